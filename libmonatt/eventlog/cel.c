/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cel.c - entries of the event log, TCG Canonical Event Log Format 1.0, section 5.1 (TLV)
 *
 * One entry has exactly one encoding: fixed order of its parts, SHA-256 before SHA-384, fixed
 * sizes.  So hashing or measuring a parsed entry again gives what was in the file.  Must never
 * follow a length past the entry it stands in.
 */
#include "libmonatt/eventlog/cel.h"

#include <string.h>

static void put_tlv(MonattWriter *w, uint8_t type, const void *value, size_t size)
{
    monatt_writer_u8(w, type);
    monatt_writer_u32_be(w, (uint32_t)size);
    monatt_writer_bytes(w, value, size);
}

bool monatt_cel_encode(const MonattCelEntry *entry, void *buffer, size_t capacity, size_t *ret_size,
                       MonattError *err)
{
    MonattWriter w;
    if (entry->content_size > MONATT_CONTENT_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                "event log: content of %zu bytes, the limit is %d",
                                entry->content_size, MONATT_CONTENT_MAXIMUM);
    }
    monatt_writer_init(&w, buffer, capacity);
    monatt_writer_u8(&w, MONATT_CEL_TYPE_RECNUM);
    monatt_writer_u32_be(&w, 8);
    monatt_writer_u64_be(&w, entry->number);
    monatt_writer_u8(&w, MONATT_CEL_TYPE_PCR);
    monatt_writer_u32_be(&w, 4);
    monatt_writer_u32_be(&w, entry->index);
    monatt_writer_u8(&w, MONATT_CEL_TYPE_DIGESTS);
    monatt_writer_u32_be(&w,
                         (entry->has_sha256 ? MONATT_CEL_TLV_SIZE + MONATT_SHA256_SIZE : 0) +
                             (entry->has_sha384 ? MONATT_CEL_TLV_SIZE + MONATT_SHA384_SIZE : 0));
    if (entry->has_sha256) {
        put_tlv(&w, MONATT_ALG_SHA256, entry->sha256, sizeof(entry->sha256));
    }
    if (entry->has_sha384) {
        put_tlv(&w, MONATT_ALG_SHA384, entry->sha384, sizeof(entry->sha384));
    }
    put_tlv(&w, entry->content_type, entry->content, entry->content_size);
    return monatt_writer_finish(&w, "event log entry", ret_size, err);
}

/* The header of a TLV whose type and size are fixed. */
static bool expect_tlv(MonattReader *r, uint8_t type, uint32_t size)
{
    uint8_t got_type;
    uint32_t got_size;
    if (!monatt_reader_u8(r, &got_type) || !monatt_reader_u32_be(r, &got_size)) {
        return false;
    }
    if (got_type != type || got_size != size) {
        return monatt_reader_fail(r, "type %u with %u bytes where type %u with %u must stand",
                                  got_type, got_size, type, size);
    }
    return true;
}

static bool read_digests(MonattReader *r, MonattCelEntry *entry)
{
    uint8_t type;
    uint32_t size;
    MonattReader digests;
    if (!monatt_reader_u8(r, &type) || !monatt_reader_u32_be(r, &size)) {
        return false;
    }
    if (type != MONATT_CEL_TYPE_DIGESTS) {
        return monatt_reader_fail(r, "type %u where the digests must stand", type);
    }
    if (size > 2 * MONATT_CEL_TLV_SIZE + MONATT_SHA256_SIZE + MONATT_SHA384_SIZE) {
        return monatt_reader_fail(r, "%u bytes of digests: more than one of each bank", size);
    }
    if (!monatt_reader_sub(r, size, &digests)) {
        return false;
    }
    /* At most two rounds: the order is fixed and neither bank comes twice. */
    while (monatt_reader_left(&digests) > 0) {
        uint8_t alg;
        uint32_t digest_size;
        if (!monatt_reader_u8(&digests, &alg) || !monatt_reader_u32_be(&digests, &digest_size)) {
            break;
        }
        if (alg == MONATT_ALG_SHA256 && digest_size == MONATT_SHA256_SIZE && !entry->has_sha256 &&
            !entry->has_sha384) {
            entry->has_sha256 = true;
            if (!monatt_reader_copy(&digests, entry->sha256, sizeof(entry->sha256))) {
                break;
            }
        } else if (alg == MONATT_ALG_SHA384 && digest_size == MONATT_SHA384_SIZE &&
                   !entry->has_sha384) {
            entry->has_sha384 = true;
            if (!monatt_reader_copy(&digests, entry->sha384, sizeof(entry->sha384))) {
                break;
            }
        } else {
            monatt_reader_fail(&digests, "digest of algorithm 0x%02x with %u bytes is unexpected",
                               alg, digest_size);
            break;
        }
    }
    if (!monatt_reader_finish(&digests)) {
        r->failed = true; /* the error is shared and already set */
        return false;
    }
    return true;
}

bool monatt_cel_next(MonattReader *r, MonattCelEntry *ret_entry)
{
    MonattCelEntry entry = {0};
    uint32_t content_size;
    if (!expect_tlv(r, MONATT_CEL_TYPE_RECNUM, 8) || !monatt_reader_u64_be(r, &entry.number) ||
        !expect_tlv(r, MONATT_CEL_TYPE_PCR, 4) || !monatt_reader_u32_be(r, &entry.index) ||
        !read_digests(r, &entry) || !monatt_reader_u8(r, &entry.content_type)) {
        return false;
    }
    if (entry.content_type != MONATT_CEL_RECORD && entry.content_type != MONATT_CEL_GUEST &&
        entry.content_type != MONATT_CEL_RESET) {
        return monatt_reader_fail(r, "content of type 0x%02x is not known", entry.content_type);
    }
    if (!monatt_reader_count(r, MONATT_CONTENT_MAXIMUM, &content_size) ||
        !monatt_reader_bytes(r, content_size, &entry.content)) {
        return false;
    }
    entry.content_size = content_size;
    *ret_entry = entry;
    return true;
}
