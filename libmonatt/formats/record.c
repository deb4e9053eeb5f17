/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.c - encodes and parses "MTE1" records; allocates nothing, keeps nothing
 */
#include "libmonatt/formats/record.h"

#include <string.h>

static const uint8_t record_magic[4] = {'M', 'T', 'E', '1'};
#define LENGTH_OFFSET 8

void monatt_record_begin(MonattWriter *w, const MonattRecord *header)
{
    monatt_writer_bytes(w, record_magic, sizeof(record_magic));
    monatt_writer_u16_be(w, header->type);
    monatt_writer_u16_be(w, MONATT_RECORD_VERSION);
    monatt_writer_u32_be(w, 0); /* the length, known at the end */
    monatt_writer_bytes(w, header->vid, sizeof(header->vid));
    monatt_writer_u64_be(w, header->reset_count);
    monatt_writer_u64_be(w, header->sequence);
    monatt_writer_u64_be(w, header->t0_ns);
    monatt_writer_u64_be(w, header->t1_ns);
    monatt_writer_u32_be(w, header->flags);
    monatt_writer_u32_be(w, header->coverage_ppm);
    monatt_writer_u32_be(w, header->source_id);
}

bool monatt_record_end(MonattWriter *w, size_t *ret_size, MonattError *err)
{
    if (!w->failed && w->size > MONATT_CONTENT_MAXIMUM) {
        w->failed = true;
    }
    monatt_writer_patch_u32_be(w, LENGTH_OFFSET, (uint32_t)w->size);
    return monatt_writer_finish(w, "record", ret_size, err);
}

bool monatt_record_parse(const void *bytes, size_t size, MonattRecord *ret_record, MonattError *err)
{
    MonattReader r;
    MonattRecord record = {0};
    uint8_t magic[4];
    uint32_t length;

    if (size > MONATT_CONTENT_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "record: %zu bytes, the limit is %d", size,
                                MONATT_CONTENT_MAXIMUM);
    }
    monatt_reader_init(&r, "record", bytes, size, err);
    if (!monatt_reader_copy(&r, magic, sizeof(magic))) {
        return false;
    }
    if (!monatt_bytes_equal(magic, record_magic, sizeof(magic))) {
        return monatt_reader_fail(&r, "does not begin with MTE1");
    }
    if (!monatt_reader_u16_be(&r, &record.type) || !monatt_reader_u16_be(&r, &record.version) ||
        !monatt_reader_u32_be(&r, &length) ||
        !monatt_reader_copy(&r, record.vid, sizeof(record.vid)) ||
        !monatt_reader_u64_be(&r, &record.reset_count) ||
        !monatt_reader_u64_be(&r, &record.sequence) || !monatt_reader_u64_be(&r, &record.t0_ns) ||
        !monatt_reader_u64_be(&r, &record.t1_ns) || !monatt_reader_u32_be(&r, &record.flags) ||
        !monatt_reader_u32_be(&r, &record.coverage_ppm) ||
        !monatt_reader_u32_be(&r, &record.source_id)) {
        return false;
    }
    if (record.version != MONATT_RECORD_VERSION) {
        return monatt_reader_fail(&r, "version %u is not known", record.version);
    }
    if (length != size) {
        return monatt_reader_fail(&r, "says %u bytes, has %zu", length, size);
    }
    /* A flag of tomorrow may say that the record is worth less: it must not be passed over. */
    if (record.flags & ~(uint32_t)MONATT_RECORD_FLAGS) {
        return monatt_reader_fail(&r, "flags 0x%08x are not known", record.flags);
    }
    if (record.coverage_ppm > MONATT_COVERAGE_WHOLE) {
        return monatt_reader_fail(&r, "coverage of %u millionths", record.coverage_ppm);
    }
    if (record.t1_ns < record.t0_ns) {
        return monatt_reader_fail(&r, "ends before it begins");
    }
    record.payload_size = monatt_reader_left(&r);
    if (!monatt_reader_bytes(&r, record.payload_size, &record.payload)) {
        return false;
    }
    *ret_record = record;
    return true;
}

bool monatt_record_payload(const MonattRecord *record, uint16_t type, MonattReader *r,
                           MonattError *err)
{
    if (record->type != type) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "record: type is %s (0x%04x), not %s",
                                monatt_record_type_name(record->type), record->type,
                                monatt_record_type_name(type));
    }
    monatt_reader_init(r, monatt_record_type_name(type), record->payload, record->payload_size,
                       err);
    return true;
}

/* A name or command could move a terminal's cursor: what is not printable ASCII becomes '?'. */
void monatt_record_put_text(MonattWriter *w, const char *text, size_t maximum)
{
    char safe[MONATT_TEXT_MAXIMUM + 1];
    monatt_text_printable(text, strnlen(text, maximum), safe, sizeof(safe));
    size_t length = strlen(safe);
    monatt_writer_u16_be(w, (uint16_t)length);
    monatt_writer_bytes(w, safe, length);
}

bool monatt_record_get_text(MonattReader *r, char *ret, size_t maximum)
{
    uint16_t length;
    const uint8_t *bytes;
    if (!monatt_reader_sized_u16_be(r, maximum, &bytes, &length)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < 0x20 || bytes[i] > 0x7e) {
            return monatt_reader_fail(r, "text has byte 0x%02x, which is not printable", bytes[i]);
        }
        ret[i] = (char)bytes[i];
    }
    ret[length] = '\0';
    return true;
}

const char *monatt_record_type_name(uint16_t type)
{
    switch (type) {
    case MONATT_RECORD_IMA_ENTRY:
        return "ima-entry";
    case MONATT_RECORD_IMA_ANEW:
        return "ima-anew";
    case MONATT_RECORD_LOCKS:
        return "locks";
    case MONATT_RECORD_SYSCALLS:
        return "syscalls";
    case MONATT_RECORD_TASKS_SUMMARY:
        return "tasks-summary";
    case MONATT_RECORD_FINDING:
        return "finding";
    case MONATT_RECORD_CHECK_SUMMARY:
        return "check-summary";
    case MONATT_RECORD_CHECK_FINDING:
        return "check-finding";
    case MONATT_RECORD_BOOT_ITEM:
        return "boot-item";
    case MONATT_RECORD_MACHINE:
        return "machine";
    case MONATT_RECORD_REPORT:
        return "report";
    default:
        return "unknown";
    }
}
