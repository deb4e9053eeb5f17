/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.h - "MTE1", the record that a host-extended register commits to
 *
 * Big-endian, no padding, no floats, at most MONATT_CONTENT_MAXIMUM bytes (shared design,
 * properties 9).  One record = one extend; digest = H(record) in each bank; the record is the
 * content of the event log's entry.  Payload layouts: docs/formats/records.md and
 * record-payloads.h.
 *
 *   "MTE1" | u16 type | u16 version | u32 length of the whole record | VM uuid 16 |
 *   u64 reset count | u64 sequence | u64 t0 ns | u64 t1 ns | u32 flags | u32 coverage ppm |
 *   u32 source id | payload
 *
 * Times count from the VM's start (protocol, 12.11), so that they do not name the host.
 */
#ifndef MONATT_FORMATS_RECORD_H
#define MONATT_FORMATS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/base/text.h"
#include "libmonatt/base/writer.h"
#include "libmonatt/formats/limits.h"

#define MONATT_RECORD_VERSION 1
#define MONATT_RECORD_HEADER_SIZE 72

typedef enum MonattRecordType {
    MONATT_RECORD_IMA_ENTRY = 0x1001, /* written by a guest: libmonatt/formats/ima-records.h */
    MONATT_RECORD_IMA_ANEW = 0x1002,
    MONATT_RECORD_LOCKS = 0x1701,
    MONATT_RECORD_SYSCALLS = 0x1710, /* ours: properties.md names no number for it */
    MONATT_RECORD_TASKS_SUMMARY = 0x1901,
    MONATT_RECORD_FINDING = 0x1902,
    MONATT_RECORD_CHECK_SUMMARY = 0x1908, /* check-records.h, as the next */
    MONATT_RECORD_CHECK_FINDING = 0x1909,
    MONATT_RECORD_BOOT_ITEM = 0x2001,
    MONATT_RECORD_MACHINE = 0x2002,
    MONATT_RECORD_REPORT = 0x2201,
} MonattRecordType;

#define MONATT_RECORD_DROPPED 0x00000001
#define MONATT_RECORD_TORN 0x00000002
#define MONATT_RECORD_PARTIAL 0x00000004
#define MONATT_RECORD_PAUSED 0x00000008
#define MONATT_RECORD_SOURCE_CHANGED 0x00000010
#define MONATT_RECORD_FLAGS 0x0000001f /* all that version 1 has */

#define MONATT_COVERAGE_WHOLE 1000000 /* parts per million */

typedef struct MonattRecord {
    uint16_t type;
    uint16_t version;
    uint8_t vid[MONATT_UUID_SIZE];
    uint64_t reset_count;
    uint64_t sequence; /* per VM boot and register, from 0 */
    uint64_t t0_ns;
    uint64_t t1_ns;
    uint32_t flags;
    uint32_t coverage_ppm;
    uint32_t source_id;
    const uint8_t *payload; /* not owned */
    size_t payload_size;
} MonattRecord;

/* Encodes the header; the caller then writes the payload and calls monatt_record_end(). */
void monatt_record_begin(MonattWriter *w, const MonattRecord *header);
bool monatt_record_end(MonattWriter *w, size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;
/*
 * Payload points into bytes.  Unknown types are accepted: the caller says "unknown".  Refused
 * (FORMAT): another magic, version or length, an unknown flag, coverage over the whole, t1 before
 * t0; LIMIT: over MONATT_CONTENT_MAXIMUM.
 */
bool monatt_record_parse(const void *bytes, size_t size, MonattRecord *ret_record,
                         MonattError *err) MONATT_MUST_CHECK;
/* A reader over the payload; FORMAT when the record is of another type. */
bool monatt_record_payload(const MonattRecord *record, uint16_t type, MonattReader *r,
                           MonattError *err) MONATT_MUST_CHECK;
#define MONATT_TEXT_MAXIMUM 256 /* properties 9: text <= 256 */
/* Text of a payload: u16 length and that many bytes, at most maximum; what is not printable ASCII
 * is written as '?' and refused when read.  ret has room for maximum + 1 bytes. */
void monatt_record_put_text(MonattWriter *w, const char *text, size_t maximum);
bool monatt_record_get_text(MonattReader *r, char *ret, size_t maximum) MONATT_MUST_CHECK;
const char *monatt_record_type_name(uint16_t type); /* "boot-item" …, "unknown" */

#endif
