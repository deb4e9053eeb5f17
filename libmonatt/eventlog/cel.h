/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cel.h - the VM's event log: TCG Canonical Event Log Format 1.0, TLV encoding
 *
 * T is one octet, L four octets big-endian.  A record is
 *   RECNUM (0, 8 octets) | PCR (1, 4 octets) | DIGESTS (3: nested TLV, type = TPM_ALG_ID, one
 *   octet) | content TLV
 * Content: MONATT_CEL_RECORD holds one "MTE1" record, and the digests are its hashes;
 * MONATT_CEL_GUEST holds what a guest sent with its extend (maybe nothing): the digests are the
 * guest's word.  RECNUM counts from 0 in each boot.  Parsing is bounded and allocates nothing.
 */
#ifndef MONATT_EVENTLOG_CEL_H
#define MONATT_EVENTLOG_CEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/base/writer.h"
#include "libmonatt/formats/limits.h"

#define MONATT_CEL_TLV_SIZE 5 /* T and L before each value */
#define MONATT_CEL_TYPE_RECNUM 0
#define MONATT_CEL_TYPE_PCR 1
#define MONATT_CEL_TYPE_DIGESTS 3
#define MONATT_CEL_RECORD 0xd1 /* private content types of ours */
#define MONATT_CEL_GUEST 0xd2
#define MONATT_CEL_RESET 0xd3 /* guest reset MR16 or MR23: no digests; value becomes zeros */
#define MONATT_CEL_ENTRY_MAXIMUM (MONATT_CONTENT_MAXIMUM + 256)

typedef struct MonattCelEntry {
    uint64_t number;
    uint32_t index;
    bool has_sha256;
    bool has_sha384;
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    uint8_t content_type;
    const uint8_t *content; /* not owned */
    size_t content_size;
} MonattCelEntry;

/* Encodes one entry into buffer (MONATT_CEL_ENTRY_MAXIMUM bytes suffice). */
bool monatt_cel_encode(const MonattCelEntry *entry, void *buffer, size_t capacity, size_t *ret_size,
                       MonattError *err) MONATT_MUST_CHECK;
/* Reads the next entry; content points into the reader's bytes. */
bool monatt_cel_next(MonattReader *r, MonattCelEntry *ret_entry) MONATT_MUST_CHECK;

/* H over the encoded entries of one register from record first to last, inclusive (first > last:
 * over nothing); bank: MONATT_ALG_SHA256 or MONATT_ALG_SHA384, whose digest fits ret_digest.
 * Errors of monatt_cel_next(); INTERNAL when libcrypto cannot hash. */
bool monatt_cel_range_digest(const void *log, size_t size, uint32_t index, uint64_t first,
                             uint64_t last, uint16_t bank, uint8_t *ret_digest,
                             MonattError *err) MONATT_MUST_CHECK;

/* Needs OpenSSL's libcrypto, as all below.  ret: MONATT_SHA384_SIZE bytes of room. */
bool monatt_cel_hash(uint16_t bank, const void *bytes, size_t size, uint8_t *ret,
                     MonattError *err) MONATT_MUST_CHECK;
/* TPM 2.0 Part 3, 22.2: value := H(value || digest), both of the bank's size. */
bool monatt_cel_extend(uint16_t bank, uint8_t *value, const uint8_t *digest,
                       MonattError *err) MONATT_MUST_CHECK;
/* A host's record with digests that are its own. */
bool monatt_cel_check_record(const MonattCelEntry *entry, MonattError *err) MONATT_MUST_CHECK;

typedef struct MonattCelReplay {
    uint8_t sha256[MONATT_REGISTER_COUNT][MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_REGISTER_COUNT][MONATT_SHA384_SIZE];
    uint64_t extends[MONATT_REGISTER_COUNT]; /* and resets, as the device counts */
    uint64_t records;                        /* of the boot, with those before a checkpoint */
    uint64_t bytes;                          /* of this log, with its checkpoint */
} MonattCelReplay;
/* PCR start values of a PC client TPM: zeros, and all ones for PCR 17 to 22. */
void monatt_cel_replay_init(MonattCelReplay *replay);
/* Refuses (FORMAT): number not the next one, index out of range, a record's digest not its own
 * hash, a host's record outside MR17 to MR22, a guest's extend inside, a reset but of MR16, MR23.
 */
bool monatt_cel_replay_entry(MonattCelReplay *replay, const MonattCelEntry *entry,
                             MonattError *err) MONATT_MUST_CHECK;
/* A whole segment of a boot's log, with the checkpoint at its start if it has one; or up to so many
 * records of the boot (UINT64_MAX: all).  replay: as monatt_cel_replay_init() leaves it.  The
 * checkpoint's registers are taken as they stand: who needs to know that a TPM had them checks its
 * quote (checkpoint.h). */
bool monatt_cel_replay_log(MonattCelReplay *replay, const void *bytes, size_t size,
                           uint64_t records, MonattError *err) MONATT_MUST_CHECK;

#endif
