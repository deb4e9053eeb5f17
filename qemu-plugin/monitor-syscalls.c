/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor-syscalls.c - counts SYSCALL, SYSENTER and INT 80h, with the number where it is certain
 *
 * Version 1 of the plugin API reads no register in system mode.  But the block that a SYSCALL
 * ends runs from its first instruction to its last, so when eax is loaded with a constant in the
 * same block and only instructions that are known to leave eax alone come between, that constant
 * is the number, each time this block runs.  Anything else is MONATT_PLUGIN_SYSCALL_UNKNOWN, and
 * so are SYSENTER and INT 80h, whose numbers are another table's.
 */
#include "monitor.h"

#include "decode.h"

static void on_syscall(unsigned int vcpu, void *userdata)
{
    Window *window = plugin_window(vcpu);
    if (window != NULL) {
        window_syscall(window, window_now_ns(), (uint16_t)(uintptr_t)userdata);
    }
}

/* The constant in eax before instruction last, or unknown. */
static uint16_t number_before(const struct qemu_plugin_tb *tb, size_t last)
{
    uint32_t value = MONATT_PLUGIN_SYSCALL_UNKNOWN;
    for (size_t i = 0; i < last; i++) {
        const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        if (decode_eax(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn), &value) ==
            DECODE_EAX_LOST) {
            value = MONATT_PLUGIN_SYSCALL_UNKNOWN;
        }
    }
    return value < MONATT_PLUGIN_SYSCALL_UNKNOWN ? (uint16_t)value : MONATT_PLUGIN_SYSCALL_UNKNOWN;
}

static void syscalls_translate(struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    if (count == 0) {
        return;
    }
    /* All three end a block. */
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, count - 1);
    uintptr_t number = MONATT_PLUGIN_SYSCALL_UNKNOWN;
    switch (decode_syscall(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn))) {
    case DECODE_SYSCALL_NONE:
        return;
    case DECODE_SYSCALL_SYSCALL:
        number = number_before(tb, count - 1);
        break;
    case DECODE_SYSCALL_SYSENTER:
    case DECODE_SYSCALL_INTERRUPT:
        break;
    }
    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_syscall, QEMU_PLUGIN_CB_NO_REGS,
                                           (void *)number);
}

const Monitor monitor_syscalls = {
    .name = "syscalls",
    .bit = MONATT_PLUGIN_MONITOR_SYSCALLS,
    .translate = syscalls_translate,
};
