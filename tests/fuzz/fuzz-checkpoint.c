/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-checkpoint.c - the start of an event log as a hostile host would send it
 *
 * Promises: what is accepted has one encoding, gives the same replay and walk, and what a device
 * would retain after it is what it says.
 */
#include <stdint.h>
#include <string.h>
#include "libmonatt/eventlog/checkpoint.h"
#include "tests/fuzz/fuzz.h"

static void check_encoding(const MonattCheckpoint *c, const uint8_t *data)
{
    static uint8_t body[MONATT_CHECKPOINT_BODY_MAXIMUM];
    static uint8_t whole[MONATT_CHECKPOINT_MAXIMUM];
    size_t size;
    require(monatt_checkpoint_encode_body(c, body, sizeof(body), &size, NULL));
    require(size == c->body_size && memcmp(body, c->body, size) == 0);
    require(monatt_checkpoint_encode(c, whole, sizeof(whole), &size, NULL));
    require(size == c->size && memcmp(whole, data, size) == 0);
}

static void check_walk(const MonattCheckpoint *c, const uint8_t *data, size_t size)
{
    MonattLogWalk walk;
    MonattCelEntry entry;
    uint32_t retained = 0;
    bool failed = false;
    require(monatt_log_walk_begin(&walk, data, size, NULL));
    while (monatt_log_walk_next(&walk, &entry, NULL, NULL, &failed)) {
        require(!walk.is_retained || entry.number < c->records);
        retained += walk.is_retained;
    }
    require(retained == c->retained_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static MonattRetained retained;
    static uint8_t kept[MONATT_CHECKPOINT_RETAINED_BYTES];
    static MonattCelReplay replay;
    MonattCheckpoint c;
    MonattCheckpoint again = {0};
    MonattError err = {0};
    if (!monatt_checkpoint_parse(data, size, &c, &err)) {
        require(err.code == MONATT_ERROR_FORMAT || err.code == MONATT_ERROR_LIMIT);
        return 0;
    }
    require(c.size <= size && c.size <= MONATT_CHECKPOINT_MAXIMUM);
    check_encoding(&c, data);
    check_walk(&c, data, size);
    monatt_cel_replay_init(&replay);
    require(monatt_cel_replay_log(&replay, data, c.size, UINT64_MAX, NULL));
    require(replay.records == c.records && replay.bytes == c.size);
    require(monatt_retained_restore(&retained, &c, NULL));
    require(monatt_retained_put(&retained, &again, kept, sizeof(kept), NULL));
    require(again.findings == c.findings && again.others == c.others);
    require(again.retained_count <= c.retained_count);
    require(memcmp(again.report_before_sha256, c.report_before_sha256, MONATT_SHA256_SIZE) == 0);
    return 0;
}
