/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-records.c - encodes and decodes the records about a guest's IMA list
 *
 * One encoding only: data that would have fitted must be there, and a decode refuses their digest.
 */
#include "libmonatt/formats/ima-records.h"

#include <string.h>

#define FIXED (MONATT_RECORD_HEADER_SIZE + 4 + MONATT_IMA_DIGEST_SIZE + 2 + 1 + 4)

MonattImaForm monatt_ima_form(size_t name_size, size_t data_size)
{
    size_t room = MONATT_IMA_RECORD_MAXIMUM - FIXED;
    return name_size <= room && data_size <= room - name_size ? MONATT_IMA_FORM_DATA
                                                              : MONATT_IMA_FORM_DIGEST;
}

void monatt_ima_entry_encode(MonattWriter *w, const MonattImaEntryPayload *payload)
{
    size_t name_size = strnlen(payload->name, sizeof(payload->name));
    MonattImaForm form = monatt_ima_form(name_size, payload->data_size);
    monatt_writer_u32_be(w, payload->pcr);
    monatt_writer_bytes(w, payload->digest, sizeof(payload->digest));
    monatt_writer_u16_be(w, (uint16_t)name_size);
    monatt_writer_bytes(w, payload->name, name_size);
    monatt_writer_u8(w, (uint8_t)form);
    monatt_writer_u32_be(w, payload->data_size);
    if (form == MONATT_IMA_FORM_DATA) {
        monatt_writer_bytes(w, payload->data, payload->data_size);
    } else {
        monatt_writer_bytes(w, payload->sha256, sizeof(payload->sha256));
    }
}

static bool take_name(MonattReader *r, char name[MONATT_IMA_NAME_MAXIMUM + 1], size_t *ret_size)
{
    const uint8_t *bytes;
    uint16_t length;
    if (!monatt_reader_sized_u16_be(r, MONATT_IMA_NAME_MAXIMUM, &bytes, &length)) {
        return false;
    }
    if (length == 0) {
        return monatt_reader_fail(r, "template without a name");
    }
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < 0x20 || bytes[i] > 0x7e) {
            return monatt_reader_fail(r, "template name has byte 0x%02x", bytes[i]);
        }
    }
    memcpy(name, bytes, length);
    name[length] = '\0';
    *ret_size = length;
    return true;
}

bool monatt_ima_entry_decode(const MonattRecord *record, MonattImaEntryPayload *ret,
                             MonattError *err)
{
    MonattReader r;
    MonattImaEntryPayload payload = {0};
    size_t name_size = 0;
    if (!monatt_record_payload(record, MONATT_RECORD_IMA_ENTRY, &r, err) ||
        !monatt_reader_u32_be(&r, &payload.pcr) ||
        !monatt_reader_copy(&r, payload.digest, sizeof(payload.digest)) ||
        !take_name(&r, payload.name, &name_size) || !monatt_reader_u8(&r, &payload.form) ||
        !monatt_reader_u32_be(&r, &payload.data_size)) {
        return false;
    }
    if (payload.pcr >= MONATT_IMA_PCR_COUNT) {
        return monatt_reader_fail(&r, "PCR %u does not exist", payload.pcr);
    }
    if (payload.data_size > MONATT_IMA_DATA_MAXIMUM) {
        return monatt_reader_fail(&r, "template data of %u bytes", payload.data_size);
    }
    if (payload.form != monatt_ima_form(name_size, payload.data_size)) {
        return monatt_reader_fail(&r, "form %u of %u bytes of template data", payload.form,
                                  payload.data_size);
    }
    bool read = payload.form == MONATT_IMA_FORM_DATA
                    ? monatt_reader_bytes(&r, payload.data_size, &payload.data)
                    : monatt_reader_copy(&r, payload.sha256, sizeof(payload.sha256));
    if (!read || !monatt_reader_finish(&r)) {
        return false;
    }
    *ret = payload;
    return true;
}

void monatt_ima_anew_encode(MonattWriter *w, const MonattImaAnewPayload *payload)
{
    monatt_writer_u16_be(w, payload->reason);
    monatt_writer_bytes(w, payload->boot_id, sizeof(payload->boot_id));
}

bool monatt_ima_anew_decode(const MonattRecord *record, MonattImaAnewPayload *ret, MonattError *err)
{
    MonattReader r;
    MonattImaAnewPayload payload = {0};
    if (!monatt_record_payload(record, MONATT_RECORD_IMA_ANEW, &r, err) ||
        !monatt_reader_u16_be(&r, &payload.reason) ||
        !monatt_reader_copy(&r, payload.boot_id, sizeof(payload.boot_id)) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    if (payload.reason != MONATT_IMA_ANEW_KEXEC && payload.reason != MONATT_IMA_ANEW_ASKED) {
        return monatt_reader_fail(&r, "reason %u is not known", payload.reason);
    }
    *ret = payload;
    return true;
}

bool monatt_ima_record(uint16_t type, uint64_t sequence, MonattImaEncode encode,
                       const void *payload, uint8_t ret_record[MONATT_IMA_RECORD_MAXIMUM],
                       size_t *ret_size, MonattError *err)
{
    MonattWriter w;
    MonattRecord header = {
        .type = type,
        .version = MONATT_RECORD_VERSION,
        .sequence = sequence,
        .coverage_ppm = MONATT_COVERAGE_WHOLE,
        .source_id = MONATT_RECORD_SOURCE_GUEST,
    };
    monatt_writer_init(&w, ret_record, MONATT_IMA_RECORD_MAXIMUM);
    monatt_record_begin(&w, &header);
    encode(&w, payload);
    return monatt_record_end(&w, ret_size, err);
}
