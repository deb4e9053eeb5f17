/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ftrace.h - the guest's function tracing: who traces, what is traced, and what the two say of each
 * other
 *
 * check-ftrace.c follows the list of ftrace_ops, ftrace-records.c the records of the functions that
 * call a tracer, ftrace-others.c livepatches, fprobes, graph tracers and direct calls.
 */
#ifndef MONATT_INTROSPECTION_FTRACE_H
#define MONATT_INTROSPECTION_FTRACE_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/checks/layout.h"

#define FTRACE_COVERED_MAXIMUM 131072u /* functions of all filters together */
#define FTRACE_OPS_MAXIMUM 16384u
#define FTRACE_TRAMPOLINES_MAXIMUM 256u
#define FTRACE_PATCHED_MAXIMUM 1024u
#define FTRACE_NAMES 4u /* of functions in a row */

typedef struct FtraceLayout {
    uint32_t ops_function; /* from here on all are needed */
    uint32_t ops_next;
    uint32_t ops_flags;
    uint32_t ops_hash;
    uint32_t hash_filter;
    uint32_t hash_count;
    uint32_t hash_bits;
    uint32_t hash_buckets;
    uint32_t entry_chain;
    uint32_t entry_address; /* up to here */
    uint32_t ops_saved;
    uint32_t ops_direct;
    uint32_t ops_list; /* of those that have a trampoline */
    uint32_t entry_direct;
    uint32_t page_next;
    uint32_t page_records;
    uint32_t page_count;
    uint32_t record_size;
    uint32_t record_address;
    uint32_t record_flags;
    uint32_t patch_list;
    uint32_t patch_objects;
    uint32_t object_node;
    uint32_t object_functions;
    uint32_t function_node;
    uint32_t function_old;
    uint32_t function_new;
    uint32_t fprobe_ops;
    uint32_t fprobe_entry;
    uint32_t fprobe_exit;
    uint32_t fprobe_node;
    uint32_t fprobe_pointer;
    uint32_t graph_entry;
    uint32_t graph_return;
} FtraceLayout;

typedef struct FtraceCheck {
    FtraceLayout layout;
    char lacks[96];                     /* "": ops can be listed */
    uint64_t enabled, modify, direct;   /* FTRACE_OPS_FL_; 0: no such enumerator */
    uint32_t count_mask, record_modify; /* of dyn_ftrace.flags */
    uint64_t patch_handler, kprobe_modify_ops, probe_handlers[2];
    bool whole; /* this pass has all ops and their filters */
    uint32_t ops_count, all_count, covered_count, modified_count, patched_count;
    uint64_t listed[FTRACE_OPS_MAXIMUM];       /* the ops in the list */
    uint64_t covered[FTRACE_COVERED_MAXIMUM];  /* a function for each filter that has it, sorted */
    uint64_t modified[FTRACE_COVERED_MAXIMUM]; /* those of ops that change where it goes, sorted */
    char patched[FTRACE_PATCHED_MAXIMUM][64];  /* functions that a listed livepatch replaces */
} FtraceCheck;

/* Calls visit for each entry of a struct ftrace_hash; false: torn, or visit said so. */
typedef bool (*FtraceHashVisit)(CheckContext *context, FtraceCheck *check, uint64_t address,
                                uint64_t entry, void *user);
bool ftrace_hash_walk(CheckContext *context, FtraceCheck *check, uint64_t hash,
                      FtraceHashVisit visit, void *user);

void ftrace_read_livepatches(CheckContext *context, FtraceCheck *check);
void ftrace_read_direct(CheckContext *context, FtraceCheck *check);
void ftrace_read_probes(CheckContext *context, FtraceCheck *check);
void ftrace_read_graph(CheckContext *context, FtraceCheck *check);
/* The handlers of the struct fprobe whose ops these are. */
void ftrace_judge_probe(CheckContext *context, FtraceCheck *check, uint64_t probe,
                        const char *place, bool sensitive);
/* Functions of others than the kernel at its tracepoints. */
void ftrace_read_tracepoints(CheckContext *context);
void ftrace_read_records(CheckContext *context, FtraceCheck *check);

#endif
