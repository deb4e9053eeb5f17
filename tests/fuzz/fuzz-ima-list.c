/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-ima-list.c - the input is a guest's IMA list
 *
 * Promises: the entry is the same however few bytes come at once, and no refusal waits for bytes
 * that it does not need; each entry's record is read back as it was and encodes the same.
 */
#include <string.h>
#include "libmonatt/formats/ima-records.h"
#include "tests/fuzz/fuzz.h"

static void encode(MonattWriter *w, const void *payload)
{
    monatt_ima_entry_encode(w, payload);
}

static void check_record(const MonattImaEntry *entry, uint64_t number)
{
    static uint8_t record[MONATT_IMA_RECORD_MAXIMUM];
    static uint8_t again[MONATT_IMA_RECORD_MAXIMUM];
    MonattImaEntryPayload payload = {
        .pcr = entry->pcr, .data_size = (uint32_t)entry->data_size, .data = entry->data};
    MonattImaEntryPayload back;
    MonattRecord parsed;
    size_t size;
    size_t size_again;
    memcpy(payload.digest, entry->digest, sizeof(payload.digest));
    memcpy(payload.name, entry->name, sizeof(payload.name));
    require(
        monatt_ima_record(MONATT_RECORD_IMA_ENTRY, number, encode, &payload, record, &size, NULL));
    require(monatt_record_parse(record, size, &parsed, NULL));
    require(parsed.sequence == number);
    require(monatt_ima_entry_decode(&parsed, &back, NULL));
    require(strcmp(back.name, entry->name) == 0 && back.data_size == entry->data_size);
    require(back.form != MONATT_IMA_FORM_DATA ||
            memcmp(back.data, entry->data, entry->data_size) == 0);
    require(monatt_ima_record(MONATT_RECORD_IMA_ENTRY, number, encode, &back, again, &size_again,
                              NULL));
    require(size == size_again && memcmp(record, again, size) == 0);
}

/* The parser's word on the first size bytes of an entry must not change with more of them. */
static void check_cuts(const uint8_t *data, size_t whole)
{
    MonattImaEntry entry;
    size_t used = 7;
    size_t step = whole > 4096 ? whole / 512 : 1;
    for (size_t size = 0; size < whole; size += step) {
        require(monatt_ima_parse(data, size, 0, &entry, &used, NULL) == MONATT_IMA_PARTIAL);
        require(used == 7);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t buffer[MONATT_IMA_OLD_HASHED];
    MonattImaEntry entry;
    size_t at = 0;
    for (uint64_t number = 0; number < 10000; number++) {
        size_t used;
        size_t hashed;
        MonattImaParse parse = monatt_ima_parse(data + at, size - at, number, &entry, &used, NULL);
        if (parse != MONATT_IMA_WHOLE) {
            require(parse != MONATT_IMA_PARTIAL || size - at < MONATT_IMA_ENTRY_MAXIMUM);
            return 0;
        }
        require(used > 0 && used <= size - at && used <= MONATT_IMA_ENTRY_MAXIMUM);
        require(entry.pcr < MONATT_IMA_PCR_COUNT && entry.name[0] != '\0');
        require(entry.data >= data + at && entry.data + entry.data_size == data + at + used);
        const uint8_t *bytes = monatt_ima_hashed(&entry, buffer, &hashed);
        require(bytes == entry.data ? hashed == entry.data_size
                                    : hashed == MONATT_IMA_OLD_HASHED && bytes == buffer);
        check_cuts(data + at, used);
        check_record(&entry, number);
        at += used;
    }
    return 0;
}
