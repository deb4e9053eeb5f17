/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cel-replay.c - computes from an event log what the registers must hold
 *
 * Knows who may write where: a log that shows a guest in MR17 to MR22, or the host elsewhere, is
 * refused although its hashes are right.  Must never believe a digest that it can compute.
 */
#include "libmonatt/eventlog/cel.h"

#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/eventlog/cel-bank.h"
#include "libmonatt/eventlog/checkpoint.h"

bool monatt_cel_hash(uint16_t bank, const void *bytes, size_t size, uint8_t *ret, MonattError *err)
{
    const EVP_MD *md = cel_bank_md(bank);
    unsigned length = 0;
    if (!md || EVP_Digest(size > 0 ? bytes : "", size, ret, &length, md, NULL) != 1) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "event log: libcrypto cannot hash");
    }
    return true;
}

bool monatt_cel_extend(uint16_t bank, uint8_t *value, const uint8_t *digest, MonattError *err)
{
    size_t size = bank == MONATT_ALG_SHA384 ? MONATT_SHA384_SIZE : MONATT_SHA256_SIZE;
    uint8_t both[2 * MONATT_SHA384_SIZE];
    memcpy(both, value, size);
    memcpy(both + size, digest, size);
    return monatt_cel_hash(bank, both, 2 * size, value, err);
}

void monatt_cel_replay_init(MonattCelReplay *replay)
{
    memset(replay, 0, sizeof(*replay));
    /* TCG PC Client Platform TPM Profile 1.05, table 6; what swtpm shows after Startup(CLEAR). */
    for (size_t i = MONATT_EVIDENCE_FIRST; i <= MONATT_EVIDENCE_LAST; i++) {
        memset(replay->sha256[i], 0xff, MONATT_SHA256_SIZE);
        memset(replay->sha384[i], 0xff, MONATT_SHA384_SIZE);
    }
}

static bool refuse(const MonattCelEntry *entry, MonattError *err, const char *why)
{
    return monatt_error_set(err, MONATT_ERROR_FORMAT, "event log: record %llu of MR%u: %s",
                            (unsigned long long)entry->number, entry->index, why);
}

static bool check_rules(const MonattCelReplay *replay, const MonattCelEntry *entry,
                        MonattError *err)
{
    if (entry->number != replay->records) {
        return monatt_error_set(
            err, MONATT_ERROR_FORMAT, "event log: record %llu where record %llu must stand",
            (unsigned long long)entry->number, (unsigned long long)replay->records);
    }
    if (entry->index >= MONATT_REGISTER_COUNT) {
        return refuse(entry, err, "no such register");
    }
    bool evidence = entry->index >= MONATT_EVIDENCE_FIRST && entry->index <= MONATT_EVIDENCE_LAST;
    switch (entry->content_type) {
    case MONATT_CEL_RECORD:
        if (!evidence) {
            return refuse(entry, err, "a host record in a register of the guest");
        }
        if (!entry->has_sha256 || !entry->has_sha384) {
            return refuse(entry, err, "a host record must have a digest for each bank");
        }
        return true;
    case MONATT_CEL_GUEST:
        if (evidence) {
            return refuse(entry, err, "a guest's extend in a register of the host");
        }
        if (!entry->has_sha256 && !entry->has_sha384) {
            return refuse(entry, err, "an extend without a digest");
        }
        return true;
    case MONATT_CEL_RESET:
        if (entry->index != MONATT_REGISTER_DEBUG && entry->index != MONATT_REGISTER_APPLICATION) {
            return refuse(entry, err, "only MR16 and MR23 can be reset");
        }
        if (entry->has_sha256 || entry->has_sha384 || entry->content_size != 0) {
            return refuse(entry, err, "a reset with digests or content");
        }
        return true;
    default:
        return refuse(entry, err, "content of an unknown type");
    }
}

static bool check_own_digests(const MonattCelEntry *entry, MonattError *err)
{
    uint8_t digest[MONATT_SHA384_SIZE];
    if (!monatt_cel_hash(MONATT_ALG_SHA256, entry->content, entry->content_size, digest, err)) {
        return false;
    }
    if (!monatt_bytes_equal(digest, entry->sha256, MONATT_SHA256_SIZE)) {
        return refuse(entry, err, "SHA-256 digest is not that of the record");
    }
    if (!monatt_cel_hash(MONATT_ALG_SHA384, entry->content, entry->content_size, digest, err)) {
        return false;
    }
    if (!monatt_bytes_equal(digest, entry->sha384, MONATT_SHA384_SIZE)) {
        return refuse(entry, err, "SHA-384 digest is not that of the record");
    }
    return true;
}

bool monatt_cel_check_record(const MonattCelEntry *entry, MonattError *err)
{
    if (entry->content_type != MONATT_CEL_RECORD || !entry->has_sha256 || !entry->has_sha384 ||
        entry->index >= MONATT_REGISTER_COUNT) {
        return refuse(entry, err, "not a host's record with its two digests");
    }
    return check_own_digests(entry, err);
}

bool monatt_cel_replay_entry(MonattCelReplay *replay, const MonattCelEntry *entry, MonattError *err)
{
    if (!check_rules(replay, entry, err) ||
        (entry->content_type == MONATT_CEL_RECORD && !check_own_digests(entry, err))) {
        return false;
    }
    if (entry->content_type == MONATT_CEL_RESET) {
        memset(replay->sha256[entry->index], 0, MONATT_SHA256_SIZE);
        memset(replay->sha384[entry->index], 0, MONATT_SHA384_SIZE);
    } else {
        if ((entry->has_sha256 &&
             !monatt_cel_extend(MONATT_ALG_SHA256, replay->sha256[entry->index], entry->sha256,
                                err)) ||
            (entry->has_sha384 &&
             !monatt_cel_extend(MONATT_ALG_SHA384, replay->sha384[entry->index], entry->sha384,
                                err))) {
            return false;
        }
    }
    replay->extends[entry->index]++;
    replay->records++;
    /* An entry has one encoding only, so its size is known without the bytes. */
    replay->bytes += MONATT_CEL_TLV_SIZE + 8 + MONATT_CEL_TLV_SIZE + 4 + MONATT_CEL_TLV_SIZE +
                     (entry->has_sha256 ? MONATT_CEL_TLV_SIZE + MONATT_SHA256_SIZE : 0) +
                     (entry->has_sha384 ? MONATT_CEL_TLV_SIZE + MONATT_SHA384_SIZE : 0) +
                     MONATT_CEL_TLV_SIZE + entry->content_size;
    return true;
}

/* The registers as the checkpoint has them. */
static bool begin_at_checkpoint(MonattCelReplay *replay, MonattReader *r, MonattError *err)
{
    MonattCheckpoint checkpoint;
    const uint8_t *skipped;
    if (!monatt_checkpoint_parse(r->bytes, monatt_reader_left(r), &checkpoint, err)) {
        return false;
    }
    memcpy(replay->sha256, checkpoint.sha256, sizeof(replay->sha256));
    memcpy(replay->sha384, checkpoint.sha384, sizeof(replay->sha384));
    memcpy(replay->extends, checkpoint.extends, sizeof(replay->extends));
    replay->records = checkpoint.records;
    replay->bytes = checkpoint.size;
    return monatt_reader_bytes(r, checkpoint.size, &skipped);
}

bool monatt_cel_replay_log(MonattCelReplay *replay, const void *bytes, size_t size,
                           uint64_t records, MonattError *err)
{
    MonattReader r;
    monatt_reader_init(&r, "event log", bytes, size, err);
    if (monatt_checkpoint_is_there(bytes, size) && !begin_at_checkpoint(replay, &r, err)) {
        return false;
    }
    /* Ends: each round consumes at least one byte of the range. */
    while (replay->records < records && monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        if (!monatt_cel_next(&r, &entry) || !monatt_cel_replay_entry(replay, &entry, err)) {
            return false;
        }
    }
    if (records != UINT64_MAX && replay->records != records) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "event log: ends after %llu records, %llu are wanted",
                                (unsigned long long)replay->records, (unsigned long long)records);
    }
    return true;
}
