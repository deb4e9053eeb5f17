/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor-locks.c - counts locked accesses to memory, and of those the split ones
 *
 * A locked access that touches two 64-byte lines locks the bus and slows every neighbour; aligned
 * ones cost a neighbour nothing (shared design, properties 5).  About 300 sites of a Linux guest
 * are instrumented; nothing else runs slower.
 *
 * Counted is the store, not the access: QEMU calls back for the load and for the store of one
 * read-modify-write when it runs a single vCPU, once for both when it runs several in parallel,
 * and an access that faults or is begun again in the exclusive section has not stored yet.
 */
#include "monitor.h"

#include "decode.h"

#define LINE_SIZE 64
#define PAIR_SIZE 16

static void on_store(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address,
                     void *userdata)
{
    uint64_t size = UINT64_C(1) << qemu_plugin_mem_size_shift(info);
    if (!qemu_plugin_mem_is_store(info)) {
        return;
    }
    /* CMPXCHG16B must be aligned; its second half, when it comes apart, is not counted again. */
    if ((uintptr_t)userdata == DECODE_LOCK_PAIR && address % PAIR_SIZE != 0) {
        return;
    }
    Window *window = plugin_window(vcpu);
    if (window != NULL) {
        window_lock(window, window_now_ns(), address % LINE_SIZE + size > LINE_SIZE);
    }
}

static void locks_translate(struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        DecodeLock lock = decode_lock(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn));
        if (lock != DECODE_LOCK_NONE) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_store, QEMU_PLUGIN_CB_NO_REGS,
                                             QEMU_PLUGIN_MEM_W, (void *)(uintptr_t)lock);
        }
    }
}

const Monitor monitor_locks = {
    .name = "locks",
    .bit = MONATT_PLUGIN_MONITOR_LOCKS,
    .translate = locks_translate,
};
