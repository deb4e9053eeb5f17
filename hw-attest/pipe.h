/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pipe.h - the bounded queue between the registers and what confirms them: log, then swtpm
 *
 * Entry n is the n-th record of this boot.  Two cursors run through it, each moved by one thread:
 * logged (event-log.c) and synced (tpm-backend.c, never ahead of logged).  A slot is free again
 * when both have passed.  A full pipe is answered "busy", nothing is dropped.  The caller holds
 * the device's lock.
 */
#ifndef HW_ATTEST_PIPE_H
#define HW_ATTEST_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/formats/limits.h"

#define PIPE_ENTRIES 1024 /* for a guest: 60 ms of swtpm at 60 us an extend; 1.2 MB a VM */
#define PIPE_SLOTS 1088   /* and some that no guest can fill: else a flood keeps the host out */

typedef struct PipeEntry {
    uint8_t index;
    uint8_t content_type; /* MONATT_CEL_* */
    bool host;
    bool has_sha256;
    bool has_sha384;
    uint16_t content_size;
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    uint64_t log_end; /* size of the log after this record, once logged */
    uint8_t content[MONATT_CONTENT_MAXIMUM];
} PipeEntry;

typedef struct Pipe {
    uint64_t enqueued;
    uint64_t logged;
    uint64_t synced;
    PipeEntry entries[PIPE_SLOTS];
} Pipe;

/* Everything of the old boot is forgotten. */
void pipe_clear(Pipe *pipe);
/* The slot for the next record, or NULL when full; pipe_commit() makes it one. */
PipeEntry *pipe_reserve(Pipe *pipe, bool host);
void pipe_commit(Pipe *pipe);
/* The record's slot; number is between synced and enqueued. */
PipeEntry *pipe_entry(Pipe *pipe, uint64_t number);

#endif
