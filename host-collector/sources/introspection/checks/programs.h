/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * programs.h - the programs that run in a guest: which files, and what of them lies in memory
 */
#ifndef MONATT_INTROSPECTION_PROGRAMS_H
#define MONATT_INTROSPECTION_PROGRAMS_H

#include <nettle/sha2.h>
#include "host-collector/sources/introspection/checks/check-tasks.h"
#include "host-collector/sources/introspection/checks/process.h"

#define PROGRAMS_MAXIMUM 1024
#define PROGRAM_PAGES_MAXIMUM 65536u /* 256 MiB of one file; what is beyond is not hashed */
#define PROGRAM_HASHES 64u           /* pages that one pass hashes, some 0.4 ms */
#define PROGRAM_LOOKS 1024u          /* pages that one pass looks for */

/* Offsets; LAYOUT_MISSING where this kernel has none. */
typedef struct ProgramLayout {
    uint32_t inode_number;
    uint32_t inode_generation;
    uint32_t inode_size;
    uint32_t inode_mapping;
    uint32_t mapping_root; /* address_space.i_pages.xa_head */
    uint32_t node_shift;
    uint32_t node_slots;
} ProgramLayout;

typedef struct Program {
    uint64_t inode; /* address; with number and generation the program's identity */
    uint64_t number;
    uint32_t generation;
    uint32_t processes; /* that run it in this pass */
    uint64_t size;
    bool deleted;
    bool done;       /* all pages have been looked at, digest holds */
    uint32_t next;   /* page */
    uint32_t hashed; /* pages that were in memory */
    struct sha256_ctx hash;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char path[PROCESS_PATH_SIZE];
} Program;

/*
 * Looks at the program's next pages in the page cache: SHA-256 over u64 index, big-endian, and the
 * SHA-256 of each page that is there.  *hashes and *looks are what this pass may still do.
 */
void program_hash_pages(CheckContext *context, const ProgramLayout *layout, Program *program,
                        uint32_t *hashes, uint32_t *looks);

#endif
