/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracing-judge.h - whose code runs when a function of the kernel is probed, traced or replaced
 *
 * The kernel's own tracers (tracefs, perf, BPF) put a function of core text there, and say to
 * whoever asks which functions they watch.  A module that puts its own there may be a tracer and
 * may be a rootkit: degraded.  It is one when what it watches is what hiding needs, or when it
 * hides itself.
 */
#ifndef MONATT_INTROSPECTION_TRACING_JUDGE_H
#define MONATT_INTROSPECTION_TRACING_JUDGE_H

#include "host-collector/sources/introspection/checks/check.h"

typedef struct TracedHook {
    const char *kind;  /* a word, the row's: "kprobe" */
    const char *place; /* what is watched: "do_sys_open+0" */
    const char *note;
    uint64_t address; /* of the kernel's structure: the finding's identity */
    uint64_t target;  /* the code that runs */
    bool sensitive;   /* it watches what hiding needs */
    bool may_be_bpf;  /* the code may be a BPF program's or trampoline's */
} TracedHook;

/* Says what is to be found, and a row of the table "hooks". */
void traced_hook_judge(CheckContext *context, const TracedHook *hook);
/* Only the row: state is "good", "odd" or "bad". */
void traced_hook_row(CheckContext *context, const TracedHook *hook, const char *state,
                     const char *note);

/* Whether this is a function that hiding needs: it lists directories, tasks, sockets, symbols or
 * modules, sends signals, audits, or lets code into the kernel (properties 2.1). */
bool traced_function_is_sensitive(const char *name);

#endif
