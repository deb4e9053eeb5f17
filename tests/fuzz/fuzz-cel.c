/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-cel.c - the input is an event log as a hostile host would send it
 *
 * The first byte says what is done with host records: 0 nothing, 1 their digests are put right
 * first (a fuzzer cannot find a hash), so that the replay goes on behind them.  Promises: an
 * accepted entry has one encoding, and the replay counts exactly the bytes that it took.
 */
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/eventlog/cel.h"
#include "tests/fuzz/fuzz.h"

#define LOG_MAXIMUM (64 * 1024)

static void check_entry(const MonattCelEntry *entry, const uint8_t *bytes, size_t size)
{
    uint8_t again[MONATT_CEL_ENTRY_MAXIMUM];
    size_t length = 0;
    require(entry->content_size <= MONATT_CONTENT_MAXIMUM);
    require(monatt_cel_encode(entry, again, sizeof(again), &length, NULL));
    require(length == size && memcmp(again, bytes, size) == 0);
}

static void put_digests_right(MonattCelEntry *entry)
{
    if (entry->content_type == MONATT_CEL_RECORD) {
        EVP_Digest(entry->content, entry->content_size, entry->sha256, NULL, EVP_sha256(), NULL);
        EVP_Digest(entry->content, entry->content_size, entry->sha384, NULL, EVP_sha384(), NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static MonattCelReplay replay;
    static MonattCelReplay whole;
    MonattError err = {0};
    MonattReader r;
    MonattCelEntry entry;
    if (size < 1 || size > LOG_MAXIMUM) {
        return 0;
    }
    bool right = data[0] == 1;
    const uint8_t *log = data + 1;
    monatt_cel_replay_init(&replay);
    monatt_reader_init(&r, "fuzz", log, size - 1, &err);
    while (monatt_reader_left(&r) > 0) {
        size_t before = r.position;
        if (!monatt_cel_next(&r, &entry)) {
            require(err.code == MONATT_ERROR_FORMAT && r.failed);
            break;
        }
        require(r.position > before);
        check_entry(&entry, log + before, r.position - before);
        if (right) {
            put_digests_right(&entry);
        }
        if (!monatt_cel_replay_entry(&replay, &entry, &err)) {
            require(err.code == MONATT_ERROR_FORMAT);
            break;
        }
        require(replay.bytes == r.position);
        require(entry.index < MONATT_REGISTER_COUNT);
    }
    if (!right) {
        /* What was taken entry by entry is what the first so many records give in one go. */
        monatt_cel_replay_init(&whole);
        require(monatt_cel_replay_log(&whole, log, size - 1, replay.records, NULL));
        require(memcmp(&whole, &replay, sizeof(whole)) == 0);
    }
    return 0;
}
