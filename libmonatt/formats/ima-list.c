/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-list.c - parses one entry of the IMA measurement list; allocates nothing, keeps nothing
 *
 * The list comes from the guest's kernel; its names and data from whoever runs programs there.
 */
#include "libmonatt/formats/ima-list.h"

#include <string.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/base/text.h"

static const char old_template[] = "ima";

static bool take_name(MonattReader *r, uint32_t length, char name[MONATT_IMA_NAME_MAXIMUM + 1])
{
    const uint8_t *bytes;
    if (!monatt_reader_bytes(r, length, &bytes)) {
        return false;
    }
    memcpy(name, bytes, length);
    name[length] = '\0';
    return true;
}

static MonattImaParse refuse(uint64_t number, const char *what, uint32_t value, MonattError *err)
{
    monatt_error_set(err, MONATT_ERROR_FORMAT, "IMA list: entry %llu: %s %u",
                     (unsigned long long)number, what, value);
    return MONATT_IMA_BAD;
}

/* Data of the template "ima": digest 20 | u32 length, name; *ret_size is all of it. */
static MonattImaParse size_old(MonattReader ahead, uint64_t number, uint32_t *ret_size,
                               MonattError *err)
{
    const uint8_t *digest;
    uint32_t length;
    if (!monatt_reader_bytes(&ahead, MONATT_IMA_DIGEST_SIZE, &digest) ||
        !monatt_reader_u32_le(&ahead, &length)) {
        return MONATT_IMA_PARTIAL;
    }
    if (length >= MONATT_IMA_OLD_NAME) {
        return refuse(number, "file name of bytes:", length, err);
    }
    *ret_size = MONATT_IMA_DIGEST_SIZE + 4 + length;
    return MONATT_IMA_WHOLE;
}

MonattImaParse monatt_ima_parse(const void *bytes, size_t size, uint64_t number,
                                MonattImaEntry *ret, size_t *ret_used, MonattError *err)
{
    static const uint8_t zeros[MONATT_IMA_DIGEST_SIZE];
    MonattReader r;
    MonattImaEntry entry = {0};
    uint32_t length;
    uint32_t data_size;
    /* Each refusal comes as soon as its field is there: a wrong length must not be waited for. */
    monatt_reader_init(&r, "IMA list", bytes, size, NULL);
    if (!monatt_reader_u32_le(&r, &entry.pcr)) {
        return MONATT_IMA_PARTIAL;
    }
    if (entry.pcr >= MONATT_IMA_PCR_COUNT) {
        return refuse(number, "PCR", entry.pcr, err);
    }
    if (!monatt_reader_copy(&r, entry.digest, sizeof(entry.digest)) ||
        !monatt_reader_u32_le(&r, &length)) {
        return MONATT_IMA_PARTIAL;
    }
    if (length < 1 || length > MONATT_IMA_NAME_MAXIMUM) {
        return refuse(number, "template name of bytes:", length, err);
    }
    if (!take_name(&r, length, entry.name)) {
        return MONATT_IMA_PARTIAL;
    }
    for (uint32_t i = 0; i < length; i++) {
        if (entry.name[i] < 0x20 || entry.name[i] > 0x7e) {
            return refuse(number, "template name has byte", (uint8_t)entry.name[i], err);
        }
    }
    if (strcmp(entry.name, old_template) == 0) {
        MonattImaParse sized = size_old(r, number, &data_size, err);
        if (sized != MONATT_IMA_WHOLE) {
            return sized;
        }
    } else if (!monatt_reader_u32_le(&r, &data_size)) {
        return MONATT_IMA_PARTIAL;
    }
    if (data_size > MONATT_IMA_DATA_MAXIMUM) {
        return refuse(number, "template data of bytes:", data_size, err);
    }
    if (!monatt_reader_bytes(&r, data_size, &entry.data)) {
        return MONATT_IMA_PARTIAL;
    }
    entry.data_size = data_size;
    entry.violation = monatt_bytes_equal(entry.digest, zeros, sizeof(zeros));
    *ret_used = size - monatt_reader_left(&r);
    *ret = entry;
    return MONATT_IMA_WHOLE;
}

const uint8_t *monatt_ima_hashed(const MonattImaEntry *entry, uint8_t buffer[MONATT_IMA_OLD_HASHED],
                                 size_t *ret_size)
{
    if (strcmp(entry->name, old_template) != 0) {
        *ret_size = entry->data_size;
        return entry->data;
    }
    /* monatt_ima_parse() has seen that the name fits. */
    size_t head = MONATT_IMA_DIGEST_SIZE + 4;
    memset(buffer, 0, MONATT_IMA_OLD_HASHED);
    memcpy(buffer, entry->data, MONATT_IMA_DIGEST_SIZE);
    memcpy(buffer + MONATT_IMA_DIGEST_SIZE, entry->data + head, entry->data_size - head);
    *ret_size = MONATT_IMA_OLD_HASHED;
    return buffer;
}
