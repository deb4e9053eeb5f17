/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checkpoint.c - writes and reads the checkpoint at the start of a segment
 *
 * Must never take a checkpoint that says of a register what its own retained records deny.
 */
#include "libmonatt/eventlog/checkpoint.h"

#include <string.h>

bool monatt_checkpoint_is_there(const void *log, size_t size)
{
    const uint8_t *bytes = log;
    return size > 0 && bytes[0] == MONATT_CEL_CHECKPOINT;
}

bool monatt_checkpoint_qualifying(uint16_t bank, const void *body, size_t size, uint8_t *ret,
                                  size_t *ret_size, MonattError *err)
{
    memcpy(ret, MONATT_CHECKPOINT_MAGIC, MONATT_CHECKPOINT_MAGIC_SIZE);
    *ret_size = MONATT_CHECKPOINT_MAGIC_SIZE +
                (bank == MONATT_ALG_SHA384 ? MONATT_SHA384_SIZE : MONATT_SHA256_SIZE);
    return monatt_cel_hash(bank, body, size, ret + MONATT_CHECKPOINT_MAGIC_SIZE, err);
}

bool monatt_checkpoint_is_qualifying(const void *qualifying, size_t size)
{
    return (size == MONATT_CHECKPOINT_MAGIC_SIZE + MONATT_SHA256_SIZE ||
            size == MONATT_CHECKPOINT_MAGIC_SIZE + MONATT_SHA384_SIZE) &&
           monatt_bytes_equal(qualifying, MONATT_CHECKPOINT_MAGIC, MONATT_CHECKPOINT_MAGIC_SIZE);
}

bool monatt_checkpoint_encode_body(const MonattCheckpoint *c, void *buffer, size_t capacity,
                                   size_t *ret_size, MonattError *err)
{
    MonattWriter w;
    monatt_writer_init(&w, buffer, capacity);
    monatt_writer_bytes(&w, MONATT_CHECKPOINT_MAGIC, MONATT_CHECKPOINT_MAGIC_SIZE);
    monatt_writer_u16_be(&w, MONATT_CHECKPOINT_VERSION);
    monatt_writer_bytes(&w, c->vid, sizeof(c->vid));
    monatt_writer_bytes(&w, c->boot_seed, sizeof(c->boot_seed));
    monatt_writer_u64_be(&w, c->reset_count);
    monatt_writer_u64_be(&w, c->segment);
    monatt_writer_u64_be(&w, c->records);
    monatt_writer_bytes(&w, c->previous, sizeof(c->previous));
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        monatt_writer_bytes(&w, c->sha256[i], sizeof(c->sha256[i]));
        monatt_writer_bytes(&w, c->sha384[i], sizeof(c->sha384[i]));
        monatt_writer_u64_be(&w, c->extends[i]);
    }
    monatt_writer_bytes(&w, c->report_before_sha256, sizeof(c->report_before_sha256));
    monatt_writer_bytes(&w, c->report_before_sha384, sizeof(c->report_before_sha384));
    monatt_writer_u64_be(&w, c->findings);
    monatt_writer_u64_be(&w, c->others);
    monatt_writer_u32_be(&w, c->retained_count);
    monatt_writer_u32_be(&w, (uint32_t)c->retained_size);
    monatt_writer_bytes(&w, c->retained, c->retained_size);
    return monatt_writer_finish(&w, "checkpoint", ret_size, err);
}

static void put_part(MonattWriter *w, const uint8_t *bytes, uint16_t size)
{
    monatt_writer_u16_be(w, size);
    monatt_writer_bytes(w, bytes, size);
}

bool monatt_checkpoint_encode(const MonattCheckpoint *c, void *buffer, size_t capacity,
                              size_t *ret_size, MonattError *err)
{
    MonattWriter w;
    monatt_writer_init(&w, buffer, capacity);
    monatt_writer_u8(&w, MONATT_CEL_CHECKPOINT);
    monatt_writer_u32_be(&w, 0);
    monatt_writer_u32_be(&w, (uint32_t)c->body_size);
    monatt_writer_bytes(&w, c->body, c->body_size);
    put_part(&w, c->quote256.attest, c->quote256.attest_size);
    put_part(&w, c->quote256.signature, c->quote256.signature_size);
    put_part(&w, c->quote384.attest, c->quote384.attest_size);
    put_part(&w, c->quote384.signature, c->quote384.signature_size);
    monatt_writer_patch_u32_be(&w, 1, (uint32_t)(w.size - MONATT_CEL_TLV_SIZE));
    return monatt_writer_finish(&w, "checkpoint", ret_size, err);
}

static bool read_quote(MonattReader *r, MonattCheckpointQuote *quote)
{
    return monatt_reader_sized_u16_be(r, MONATT_CHECKPOINT_PART_MAXIMUM, &quote->attest,
                                      &quote->attest_size) &&
           monatt_reader_sized_u16_be(r, MONATT_CHECKPOINT_PART_MAXIMUM, &quote->signature,
                                      &quote->signature_size);
}

static bool read_head(MonattReader *r, MonattCheckpoint *c)
{
    const uint8_t *magic;
    uint16_t version;
    if (!monatt_reader_bytes(r, MONATT_CHECKPOINT_MAGIC_SIZE, &magic) ||
        !monatt_reader_u16_be(r, &version)) {
        return false;
    }
    if (!monatt_bytes_equal(magic, MONATT_CHECKPOINT_MAGIC, MONATT_CHECKPOINT_MAGIC_SIZE) ||
        version != MONATT_CHECKPOINT_VERSION) {
        return monatt_reader_fail(r, "not a checkpoint of version %d", MONATT_CHECKPOINT_VERSION);
    }
    if (!monatt_reader_copy(r, c->vid, sizeof(c->vid)) ||
        !monatt_reader_copy(r, c->boot_seed, sizeof(c->boot_seed)) ||
        !monatt_reader_u64_be(r, &c->reset_count) || !monatt_reader_u64_be(r, &c->segment) ||
        !monatt_reader_u64_be(r, &c->records) ||
        !monatt_reader_copy(r, c->previous, sizeof(c->previous))) {
        return false;
    }
    if (c->segment == 0 || c->records == 0) {
        return monatt_reader_fail(r, "of segment %llu, after %llu records: the first has none",
                                  (unsigned long long)c->segment, (unsigned long long)c->records);
    }
    return true;
}

static bool read_registers(MonattReader *r, MonattCheckpoint *c)
{
    MonattCelReplay start;
    uint64_t left = c->records;
    monatt_cel_replay_init(&start);
    for (unsigned i = 0; i < MONATT_REGISTER_COUNT; i++) {
        if (!monatt_reader_copy(r, c->sha256[i], sizeof(c->sha256[i])) ||
            !monatt_reader_copy(r, c->sha384[i], sizeof(c->sha384[i])) ||
            !monatt_reader_u64_be(r, &c->extends[i])) {
            return false;
        }
        if (c->extends[i] > left) {
            return monatt_reader_fail(r, "MR%u: more extends than records", i);
        }
        left -= c->extends[i];
        if (c->extends[i] == 0 &&
            (!monatt_bytes_equal(c->sha256[i], start.sha256[i], sizeof(c->sha256[i])) ||
             !monatt_bytes_equal(c->sha384[i], start.sha384[i], sizeof(c->sha384[i])))) {
            return monatt_reader_fail(r, "MR%u: never extended, not at its start value", i);
        }
    }
    return left == 0 ||
           monatt_reader_fail(r, "%llu records that no register had", (unsigned long long)left);
}

static bool read_body(MonattReader *r, MonattCheckpoint *c)
{
    uint32_t size;
    if (!read_head(r, c) || !read_registers(r, c) ||
        !monatt_reader_copy(r, c->report_before_sha256, sizeof(c->report_before_sha256)) ||
        !monatt_reader_copy(r, c->report_before_sha384, sizeof(c->report_before_sha384)) ||
        !monatt_reader_u64_be(r, &c->findings) || !monatt_reader_u64_be(r, &c->others) ||
        !monatt_reader_count(r, MONATT_CHECKPOINT_RETAINED, &c->retained_count) ||
        !monatt_reader_count(r, MONATT_CHECKPOINT_RETAINED_BYTES, &size) ||
        !monatt_reader_bytes(r, size, &c->retained)) {
        return false;
    }
    c->retained_size = size;
    return monatt_reader_finish(r);
}

/* What the retained records say of the registers. */
typedef struct Retained {
    uint64_t counts[MONATT_REGISTER_COUNT];
    uint64_t compromised; /* of MR19's, and the rest */
    uint64_t degraded;
    MonattCelReplay replay; /* of MR20 from its start, of MR22 from before its last record */
} Retained;

static bool refuse(const MonattCelEntry *entry, MonattError *err, const char *why)
{
    return monatt_error_set(err, MONATT_ERROR_FORMAT,
                            "checkpoint: retained record %llu of MR%u: %s",
                            (unsigned long long)entry->number, entry->index, why);
}

static bool check_entry(const MonattCheckpoint *c, const MonattCelEntry *entry, Retained *seen,
                        MonattError *err)
{
    if (entry->number >= c->records) {
        return refuse(entry, err, "stands behind the checkpoint");
    }
    if (entry->index != MONATT_MR_PLUGIN && entry->index != MONATT_MR_INTROSPECTION &&
        entry->index != MONATT_MR_BOOT && entry->index != MONATT_MR_REPORTS) {
        return refuse(entry, err, "nothing is retained of this register");
    }
    if (!monatt_cel_check_record(entry, err)) {
        return false;
    }
    if (entry->index == MONATT_MR_INTROSPECTION) {
        MonattSays says = monatt_retained_says(entry);
        if (says != MONATT_SAYS_COMPROMISED && says != MONATT_SAYS_DEGRADED) {
            return refuse(entry, err, "is no finding");
        }
        seen->compromised += says == MONATT_SAYS_COMPROMISED;
        seen->degraded += says == MONATT_SAYS_DEGRADED;
    }
    seen->counts[entry->index]++;
    return monatt_cel_extend(MONATT_ALG_SHA256, seen->replay.sha256[entry->index], entry->sha256,
                             err) &&
           monatt_cel_extend(MONATT_ALG_SHA384, seen->replay.sha384[entry->index], entry->sha384,
                             err);
}

static bool is_value(const MonattCheckpoint *c, const Retained *seen, unsigned index)
{
    return monatt_bytes_equal(c->sha256[index], seen->replay.sha256[index], MONATT_SHA256_SIZE) &&
           monatt_bytes_equal(c->sha384[index], seen->replay.sha384[index], MONATT_SHA384_SIZE);
}

static bool check_counts(const MonattCheckpoint *c, const Retained *seen, MonattError *err)
{
    const uint64_t *counts = seen->counts;
    const uint64_t *extends = c->extends;
    if (counts[MONATT_MR_BOOT] != extends[MONATT_MR_BOOT] || !is_value(c, seen, MONATT_MR_BOOT)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "checkpoint: the retained boot items are not those of MR20");
    }
    if (counts[MONATT_MR_REPORTS] != (extends[MONATT_MR_REPORTS] > 0) ||
        !is_value(c, seen, MONATT_MR_REPORTS)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "checkpoint: the retained report is not the last of MR22");
    }
    if (counts[MONATT_MR_PLUGIN] != (extends[MONATT_MR_PLUGIN] > 0)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "checkpoint: one record of MR17 must be retained");
    }
    if (c->findings > extends[MONATT_MR_INTROSPECTION] ||
        c->others > extends[MONATT_MR_INTROSPECTION] - c->findings ||
        seen->degraded > extends[MONATT_MR_INTROSPECTION] - c->findings - c->others ||
        seen->compromised > c->findings || (c->findings > 0 && seen->compromised == 0)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "checkpoint: its findings are not as many as it says");
    }
    return true;
}

static bool check_retained(const MonattCheckpoint *c, MonattError *err)
{
    MonattReader r;
    Retained seen = {{0}};
    uint64_t next = 0;
    uint32_t count = 0;
    monatt_cel_replay_init(&seen.replay);
    memcpy(seen.replay.sha256[MONATT_MR_REPORTS], c->report_before_sha256, MONATT_SHA256_SIZE);
    memcpy(seen.replay.sha384[MONATT_MR_REPORTS], c->report_before_sha384, MONATT_SHA384_SIZE);
    monatt_reader_init(&r, "checkpoint", c->retained, c->retained_size, err);
    /* Ends: each round consumes at least one byte, and there are at most RETAINED of them. */
    while (monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        if (!monatt_cel_next(&r, &entry)) {
            return false;
        }
        if (entry.number < next || ++count > c->retained_count) {
            return refuse(&entry, err, "out of order, or one too many");
        }
        next = entry.number + 1;
        if (!check_entry(c, &entry, &seen, err)) {
            return false;
        }
    }
    if (count != c->retained_count) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "checkpoint: retained records are missing");
    }
    return check_counts(c, &seen, err);
}

bool monatt_checkpoint_parse(const void *log, size_t size, MonattCheckpoint *ret, MonattError *err)
{
    MonattCheckpoint c = {.segment = 0};
    MonattReader r;
    MonattReader value;
    MonattReader body;
    uint8_t type;
    uint32_t length;
    uint32_t body_size;
    monatt_reader_init(&r, "checkpoint", log, size, err);
    if (!monatt_reader_u8(&r, &type)) {
        return false;
    }
    if (type != MONATT_CEL_CHECKPOINT) {
        return monatt_reader_fail(&r, "the log does not begin with one");
    }
    if (!monatt_reader_count(&r, MONATT_CHECKPOINT_MAXIMUM, &length) ||
        !monatt_reader_sub(&r, length, &value) ||
        !monatt_reader_count(&value, MONATT_CHECKPOINT_BODY_MAXIMUM, &body_size) ||
        !monatt_reader_bytes(&value, body_size, &c.body)) {
        return false;
    }
    c.body_size = body_size;
    c.size = r.position;
    monatt_reader_init(&body, "checkpoint", c.body, c.body_size, err);
    if (!read_body(&body, &c) || !read_quote(&value, &c.quote256) ||
        !read_quote(&value, &c.quote384) || !monatt_reader_finish(&value) ||
        !check_retained(&c, err)) {
        return false;
    }
    *ret = c;
    return true;
}
