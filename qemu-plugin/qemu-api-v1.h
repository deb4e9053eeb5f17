/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-api-v1.h - the calls of QEMU's TCG plugin API, version 1, that this plugin uses
 *
 * Debian ships no qemu-plugin.h, so these are declarations of our own after QEMU's documentation
 * (docs/devel/tcg-plugins.rst, QEMU 6.0 to 8.2 offer version 1).  Must stay within version 1: a
 * call that a QEMU does not export makes the module fail to load.  The platform test compares
 * every name here with the symbols of the installed QEMU.
 */
#ifndef QEMU_PLUGIN_QEMU_API_V1_H
#define QEMU_PLUGIN_QEMU_API_V1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QEMU_API_VERSION 1
#define QEMU_API_EXPORT __attribute__((visibility("default")))

/* What QEMU looks up in the module: the API version and the entry point (0: loaded). */
struct qemu_info_t;
QEMU_API_EXPORT extern int qemu_plugin_version;
QEMU_API_EXPORT int qemu_plugin_install(uint64_t id, const struct qemu_info_t *info, int argc,
                                        char **argv);

/* Lives only during qemu_plugin_install(). */
typedef struct qemu_info_t {
    const char *target_name; /* "x86_64" */
    struct {
        int min;
        int cur;
    } version;
    bool system_emulation;
    struct { /* a union with one member in QEMU; meaningful with system_emulation */
        int smp_vcpus;
        int max_vcpus;
    } system;
} qemu_info_t;

struct qemu_plugin_tb;   /* a translated block, during its translation callback only */
struct qemu_plugin_insn; /* an instruction of it */
typedef uint32_t qemu_plugin_meminfo_t;

enum qemu_plugin_cb_flags {
    QEMU_PLUGIN_CB_NO_REGS, /* the callback looks at no register: version 1 could not anyway */
};

enum qemu_plugin_mem_rw {
    QEMU_PLUGIN_MEM_R = 1,
    QEMU_PLUGIN_MEM_W = 2,
    QEMU_PLUGIN_MEM_RW = 3,
};

typedef void (*qemu_plugin_udata_cb_t)(uint64_t id, void *userdata);
typedef void (*qemu_plugin_vcpu_simple_cb_t)(uint64_t id, unsigned int vcpu_index);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int vcpu_index, void *userdata);
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(uint64_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_vcpu_mem_cb_t)(unsigned int vcpu_index, qemu_plugin_meminfo_t info,
                                          uint64_t vaddr, void *userdata);

/* Called at each translation of a block, before it runs. */
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, qemu_plugin_vcpu_tb_trans_cb_t cb);
/* Called in the vCPU's thread when it is about to sleep (halted or stopped). */
void qemu_plugin_register_vcpu_idle_cb(uint64_t id, qemu_plugin_vcpu_simple_cb_t cb);
void qemu_plugin_register_atexit_cb(uint64_t id, qemu_plugin_udata_cb_t cb, void *userdata);
/* Called before each execution of the instruction. */
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            qemu_plugin_vcpu_udata_cb_t cb,
                                            enum qemu_plugin_cb_flags flags, void *userdata);
/* Called after each memory access of the instruction of the kinds asked for. */
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, qemu_plugin_vcpu_mem_cb_t cb,
                                      enum qemu_plugin_cb_flags flags, enum qemu_plugin_mem_rw rw,
                                      void *userdata);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
unsigned int qemu_plugin_mem_size_shift(qemu_plugin_meminfo_t info); /* access is 2^n bytes */
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);

#endif
