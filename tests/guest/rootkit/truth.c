/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * truth.c - hooks a test's guest in the ways that the kernel offers, and hides itself
 *
 * A test tool for guests that are thrown away; its hooks change nothing that passes through them.
 * Root writes a word to /proc/monatt-truth:
 *   list, kobject     takes this module out of the list of modules, out of /sys/module
 *   show              puts it back into the list
 *   ftrace, kprobe    hooks getdents64(), filldir64()
 *   netfilter         hooks incoming IPv4 packets
 *   thread            starts a kernel thread "monatt-thread"
 *   clean             takes the hooks and the thread away
 */
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#define LINE_SIZE 32

static DEFINE_MUTEX(state_lock);
static struct list_head *before; /* where this module stood in the list; NULL: it stands there */
static bool has_ftrace, has_kprobe, has_netfilter;
static struct task_struct *thread;

static void notrace see_call(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
                             struct ftrace_regs *regs)
{
}

static struct ftrace_ops ftrace = {.func = see_call};

static int see_probe(struct kprobe *probe, struct pt_regs *regs)
{
    return 0;
}

static struct kprobe probe = {.symbol_name = "filldir64", .pre_handler = see_probe};

static unsigned int see_packet(void *user, struct sk_buff *packet,
                               const struct nf_hook_state *state)
{
    return NF_ACCEPT;
}

static const struct nf_hook_ops packets = {.hook = see_packet,
                                           .pf = NFPROTO_IPV4,
                                           .hooknum = NF_INET_PRE_ROUTING,
                                           .priority = NF_IP_PRI_FIRST};

static int sleep_on(void *user)
{
    while (!kthread_should_stop()) {
        schedule_timeout_interruptible(HZ);
    }
    return 0;
}

static int hook_ftrace(void)
{
    static char name[] = "__x64_sys_getdents64";
    int result = ftrace_set_filter(&ftrace, (unsigned char *)name, strlen(name), 1);
    return result ? result : register_ftrace_function(&ftrace);
}

static void clean(void)
{
    if (has_ftrace) {
        unregister_ftrace_function(&ftrace);
    }
    if (has_kprobe) {
        unregister_kprobe(&probe);
    }
    if (has_netfilter) {
        nf_unregister_net_hook(&init_net, &packets);
    }
    if (thread) {
        kthread_stop(thread);
    }
    thread = NULL;
    has_ftrace = has_kprobe = has_netfilter = false;
}

static void leave_list(void)
{
    if (!before) {
        before = THIS_MODULE->list.prev;
        list_del(&THIS_MODULE->list);
    }
}

static void show(void)
{
    if (before) {
        list_add(&THIS_MODULE->list, before);
        before = NULL;
    }
}

static int obey(const char *word)
{
    int result = 0;

    if (strcmp(word, "list") == 0) {
        leave_list();
    } else if (strcmp(word, "kobject") == 0) {
        kobject_del(&THIS_MODULE->mkobj.kobj);
    } else if (strcmp(word, "show") == 0) {
        show();
    } else if (strcmp(word, "ftrace") == 0 && !has_ftrace) {
        result = hook_ftrace();
        has_ftrace = result == 0;
    } else if (strcmp(word, "kprobe") == 0 && !has_kprobe) {
        result = register_kprobe(&probe);
        has_kprobe = result == 0;
    } else if (strcmp(word, "netfilter") == 0 && !has_netfilter) {
        result = nf_register_net_hook(&init_net, &packets);
        has_netfilter = result == 0;
    } else if (strcmp(word, "thread") == 0 && !thread) {
        thread = kthread_run(sleep_on, NULL, "monatt-thread");
        if (IS_ERR(thread)) {
            result = PTR_ERR(thread);
            thread = NULL;
        }
    } else if (strcmp(word, "clean") == 0) {
        clean();
    } else {
        result = -EINVAL;
    }
    return result;
}

static ssize_t command_write(struct file *file, const char __user *text, size_t size, loff_t *at)
{
    char line[LINE_SIZE];
    int result;

    if (size >= sizeof(line)) {
        return -EINVAL;
    }
    if (copy_from_user(line, text, size)) {
        return -EFAULT;
    }
    line[size] = '\0';
    mutex_lock(&state_lock);
    result = obey(strim(line));
    mutex_unlock(&state_lock);
    return result < 0 ? result : (ssize_t)size;
}

static const struct proc_ops command_operations = {.proc_write = command_write};

static int __init truth_init(void)
{
    return proc_create("monatt-truth", 0200, NULL, &command_operations) ? 0 : -ENOMEM;
}

static void __exit truth_exit(void)
{
    remove_proc_entry("monatt-truth", NULL);
    clean();
    show();
}

module_init(truth_init);
module_exit(truth_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hooks a test's guest in the kernel's own ways");
