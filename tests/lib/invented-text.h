/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * invented-text.h - an invented kernel with a measured image of it, for what compares the two
 *
 * A test lays out text, tables and variables, then takes the image: from then on what it writes
 * into the guest is a change.  The image is the guest's bytes as they were, so that no relocation
 * is part of it; how a real one is laid out is in test-kernel-image.c.
 */
#ifndef MONATT_TESTS_INVENTED_TEXT_H
#define MONATT_TESTS_INVENTED_TEXT_H

#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"

#define TEXT (INVENTED_KERNEL + INVENTED_TEXT)
#define TEXT_END (INVENTED_KERNEL + INVENTED_TEXT_END)
#define ELSEWHERE (TEXT + 0xf000)            /* a function that nothing leads to */
#define OUTSIDE (INVENTED_KERNEL + 0x600000) /* mapped, and nobody's text */

/* What one pass of a check says of one change. */
typedef enum Outcome {
    FINE,        /* nothing, and every byte is explained */
    UNEXPLAINED, /* bytes that nothing explains */
    COMPROMISED, /* legal bytes in the wrong place */
    DEGRADED,
} Outcome;

extern InventedKernel invented;
extern OneCheck one;

/* Empties it; all text is of one byte that no mechanism knows. */
void text_begin(void);
/* A table within a section of this name, or between two symbols; zeroed, to be filled. */
uint64_t text_section(const char *name, uint64_t size);
uint64_t text_between(const char *start, const char *stop, uint64_t size);
/* A bit of cpuinfo_x86.x86_capability, of 24 words. */
void text_feature(unsigned feature, bool has);
/* From now on the image is what the guest holds. */
void text_measure(const InventedRow *rows, size_t count);
void text_clear(void);
/* The guest as it was measured. */
void text_reset(void);

void text_put(uint64_t address, const void *bytes, size_t size);
#define TEXT_PUT(address, ...)                                                                     \
    text_put(address, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
/* CALL (0xe8) or JMP (0xe9) and its distance; with TEXT_FAR the opcode has two bytes. */
void text_branch(uint64_t address, uint8_t opcode, uint64_t target);
void text_branch_two(uint64_t address, uint8_t first, uint8_t opcode, uint64_t target);
/* A 32-bit place relative to where it stands. */
void text_place(uint64_t at, uint64_t to);

/* One pass of check_kernel_text that knows nothing of earlier ones.  address: where the finding
 * begins; why: what its sentence has.  Then the guest is as it was measured. */
void text_judge(Outcome outcome, uint64_t address, const char *why);
/* As above, once more over what it knows already, and the guest stays as it is. */
void text_judge_again(Outcome outcome, uint64_t address, const char *why);

#endif
