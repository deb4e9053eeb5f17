/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checkpoint.h - how a segment of the event log begins that is not the boot's first
 *
 * A boot's log is a sequence of segments.  Segment 0 has no checkpoint; each later one begins with
 * one: what the log said before it, in bounded size, signed by the device's quoting keys.  Format
 * and who could lie where: docs/formats/event-log.md, "Segments".  Parsing is bounded, allocates
 * nothing and checks everything but the signatures (verifier/appraisal/step-checkpoint.c).
 */
#ifndef MONATT_EVENTLOG_CHECKPOINT_H
#define MONATT_EVENTLOG_CHECKPOINT_H

#include "libmonatt/base/text.h"
#include "libmonatt/eventlog/cel.h"

#define MONATT_CEL_CHECKPOINT 0xd4 /* type of the TLV, only ever the first of a file */
#define MONATT_CHECKPOINT_VERSION 1
/* Retained records of each kind; more boot items than that and the segment cannot be sealed. */
#define MONATT_CHECKPOINT_BOOT_ITEMS 64
#define MONATT_CHECKPOINT_FINDINGS 32
#define MONATT_CHECKPOINT_DEGRADED 32
#define MONATT_CHECKPOINT_RETAINED 130 /* and one of MR17, one of MR22 */
#define MONATT_CHECKPOINT_RETAINED_BYTES (MONATT_CHECKPOINT_RETAINED * MONATT_CEL_ENTRY_MAXIMUM)
#define MONATT_CHECKPOINT_BODY_MAXIMUM (MONATT_CHECKPOINT_RETAINED_BYTES + 4096)
#define MONATT_CHECKPOINT_PART_MAXIMUM 1024 /* attest or signature */
#define MONATT_CHECKPOINT_MAXIMUM                                                                  \
    (MONATT_CHECKPOINT_BODY_MAXIMUM + 4 * (MONATT_CHECKPOINT_PART_MAXIMUM + 2) + 64)

/* What the quotes sign: "MCK1" and H(body); nothing else that a device signs has this form. */
#define MONATT_CHECKPOINT_MAGIC "MCK1"
#define MONATT_CHECKPOINT_MAGIC_SIZE 4
#define MONATT_CHECKPOINT_QUALIFYING_MAXIMUM (MONATT_CHECKPOINT_MAGIC_SIZE + MONATT_SHA384_SIZE)

typedef struct MonattCheckpointQuote {
    const uint8_t *attest; /* TPMS_ATTEST; not owned */
    uint16_t attest_size;
    const uint8_t *signature; /* TPMT_SIGNATURE; not owned */
    uint16_t signature_size;
} MonattCheckpointQuote;

typedef struct MonattCheckpoint {
    uint8_t vid[MONATT_UUID_SIZE];
    uint8_t boot_seed[MONATT_BOOT_SEED_SIZE];
    uint64_t reset_count;                 /* of the device TPM: the boot's number */
    uint64_t segment;                     /* that begins here, from 1 */
    uint64_t records;                     /* of the boot, before it */
    uint8_t previous[MONATT_SHA256_SIZE]; /* SHA-256 of the whole file of the segment before */
    uint8_t sha256[MONATT_REGISTER_COUNT][MONATT_SHA256_SIZE]; /* registers at this place */
    uint8_t sha384[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE];
    /* Extends and resets of each; for MR17 to MR22 the sequence number of the next record too. */
    uint64_t extends[MONATT_REGISTER_COUNT];
    /* MR22 before its last record, so that the retained one is proven to be the last. */
    uint8_t report_before_sha256[MONATT_SHA256_SIZE];
    uint8_t report_before_sha384[MONATT_SHA384_SIZE];
    uint64_t findings; /* records of MR19 in this boot that report a compromise, retained or not */
    /* Records of MR19 that the device could not read, or degraded findings that had no room. */
    uint64_t others;
    uint32_t retained_count;
    const uint8_t *retained; /* entries as they stood in the log, ascending; not owned */
    size_t retained_size;
    /* When parsed: */
    const uint8_t *body; /* what was hashed; not owned */
    size_t body_size;
    MonattCheckpointQuote quote256; /* by the P-256 key, of the SHA-256 bank */
    MonattCheckpointQuote quote384; /* by the P-384 key, of the SHA-384 bank */
    size_t size;                    /* of the whole TLV: the first record stands behind it */
} MonattCheckpoint;

/* Does a log begin with a checkpoint?  A whole or half one. */
bool monatt_checkpoint_is_there(const void *log, size_t size);
/*
 * The checkpoint at the start of a log.  FORMAT: not one, half of one, or one that contradicts
 * itself: retained records that are not what the registers hold (all of MR20, the last of MR22),
 * without their own digests, out of order, of a register that nothing is retained of.
 */
bool monatt_checkpoint_parse(const void *log, size_t size, MonattCheckpoint *ret,
                             MonattError *err) MONATT_MUST_CHECK;
/* The body alone, from the fields up to retained_size. */
bool monatt_checkpoint_encode_body(const MonattCheckpoint *checkpoint, void *buffer,
                                   size_t capacity, size_t *ret_size,
                                   MonattError *err) MONATT_MUST_CHECK;
/* The whole TLV, from body and quotes. */
bool monatt_checkpoint_encode(const MonattCheckpoint *checkpoint, void *buffer, size_t capacity,
                              size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;
/* "MCK1" | H(body) of the bank; ret: MONATT_CHECKPOINT_QUALIFYING_MAXIMUM bytes of room. */
bool monatt_checkpoint_qualifying(uint16_t bank, const void *body, size_t size, uint8_t *ret,
                                  size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;
/* Has somebody asked for a quote that would look like a checkpoint's? */
bool monatt_checkpoint_is_qualifying(const void *qualifying, size_t size);
/*
 * Is next the checkpoint right behind this whole segment file?  Replays it; one caller at a time.
 * FORMAT: another VM or
 * boot, a segment left out, another file, registers that this file does not end at, a finding or
 * a boot item of this file that the checkpoint has not kept.
 */
bool monatt_checkpoint_follows(const MonattCheckpoint *next, const void *segment, size_t size,
                               MonattError *err) MONATT_MUST_CHECK;

/* Walks the records that a log gives to look at: those retained, then those behind. */
typedef struct MonattLogWalk {
    MonattReader retained;
    MonattReader records;
    bool has_checkpoint;
    bool is_retained; /* the entry that came last */
    MonattCheckpoint checkpoint;
} MonattLogWalk;
bool monatt_log_walk_begin(MonattLogWalk *walk, const void *log, size_t size,
                           MonattError *err) MONATT_MUST_CHECK;
/* True: an entry, and where its encoding stands (may be NULL).  False: the end, or *ret_failed. */
bool monatt_log_walk_next(MonattLogWalk *walk, MonattCelEntry *ret_entry, const uint8_t **ret_bytes,
                          size_t *ret_size, bool *ret_failed);

/* What a device keeps of a boot's records for its next checkpoint.  About 130 KiB. */
typedef struct MonattRetained {
    uint32_t boot_items;
    bool too_many; /* boot items: no checkpoint can be made in this boot */
    uint32_t kept_findings;
    uint32_t kept_degraded;
    uint64_t findings;
    uint64_t others;
    uint8_t report_sha256[MONATT_SHA256_SIZE]; /* MR22 */
    uint8_t report_sha384[MONATT_SHA384_SIZE];
    uint8_t report_before_sha256[MONATT_SHA256_SIZE];
    uint8_t report_before_sha384[MONATT_SHA384_SIZE];
    struct {
        uint64_t number;
        uint16_t size; /* 0: none */
        uint8_t bytes[MONATT_CEL_ENTRY_MAXIMUM];
    } entries[MONATT_CHECKPOINT_RETAINED]; /* boot items, findings, last plugin record, report */
} MonattRetained;
void monatt_retained_init(MonattRetained *retained);
/* A record as it goes into the log, with its encoding. */
bool monatt_retained_note(MonattRetained *retained, const MonattCelEntry *entry,
                          const uint8_t *bytes, size_t size, MonattError *err) MONATT_MUST_CHECK;
/* What a record of MR19 says of the guest's kernel. */
typedef enum MonattSays {
    MONATT_SAYS_NOTHING,
    MONATT_SAYS_UNREADABLE,
    MONATT_SAYS_DEGRADED,
    MONATT_SAYS_COMPROMISED,
} MonattSays;
MonattSays monatt_retained_says(const MonattCelEntry *entry);
/* As after all the records before the checkpoint (a device that starts again). */
bool monatt_retained_restore(MonattRetained *retained, const MonattCheckpoint *checkpoint,
                             MonattError *err) MONATT_MUST_CHECK;
/* Fills findings, others, report_before and the retained entries, which are written to buffer.
 * LIMIT: too many boot items. */
bool monatt_retained_put(const MonattRetained *retained, MonattCheckpoint *checkpoint,
                         uint8_t *buffer, size_t capacity, MonattError *err) MONATT_MUST_CHECK;

#endif
