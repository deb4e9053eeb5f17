/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pipe.c - a ring of records; must never overwrite one that log or swtpm still need
 */
#include "hw-attest/pipe.h"

void pipe_clear(Pipe *pipe)
{
    pipe->enqueued = 0;
    pipe->logged = 0;
    pipe->synced = 0;
}

PipeEntry *pipe_entry(Pipe *pipe, uint64_t number)
{
    return &pipe->entries[number % PIPE_SLOTS];
}

PipeEntry *pipe_reserve(Pipe *pipe, bool host)
{
    if (pipe->enqueued - pipe->synced >= (host ? PIPE_SLOTS : PIPE_ENTRIES)) {
        return NULL;
    }
    return pipe_entry(pipe, pipe->enqueued);
}

void pipe_commit(Pipe *pipe)
{
    pipe->enqueued++;
}
