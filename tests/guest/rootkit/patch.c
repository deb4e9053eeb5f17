/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * patch.c - a livepatch as a distribution would ship one: /proc/cmdline says something else
 *
 * For guests that are thrown away, to see that a listed livepatch is no finding, and how it is
 * listed.  Unloaded when "0" was written to /sys/kernel/livepatch/patch/enabled.
 */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int say_patched(struct seq_file *file, void *unused)
{
    seq_puts(file, "this kernel has a livepatch\n");
    return 0;
}

static struct klp_func functions[] = {
    {.old_name = "cmdline_proc_show", .new_func = say_patched},
    {},
};

static struct klp_object objects[] = {
    {.funcs = functions}, /* no name: the kernel itself */
    {},
};

static struct klp_patch patch = {.mod = THIS_MODULE, .objs = objects};

static int __init patch_init(void)
{
    return klp_enable_patch(&patch);
}

static void __exit patch_exit(void)
{
}

module_init(patch_init);
module_exit(patch_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("a livepatch of a test's guest");
MODULE_INFO(livepatch, "Y");
