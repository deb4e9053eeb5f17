/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log-walk.c - a log's records in order, with those that its checkpoint retained first
 *
 * Whoever looks for records of a boot looks through this, so that none forgets what a rotation
 * has kept.  Replays nothing: cel-replay.c does.
 */
#include <string.h>
#include "libmonatt/eventlog/checkpoint.h"

bool monatt_log_walk_begin(MonattLogWalk *walk, const void *log, size_t size, MonattError *err)
{
    const uint8_t *skipped;
    memset(walk, 0, sizeof(*walk));
    monatt_reader_init(&walk->records, "event log", log, size, err);
    monatt_reader_init(&walk->retained, "checkpoint", log, 0, err);
    if (!monatt_checkpoint_is_there(log, size)) {
        return true;
    }
    if (!monatt_checkpoint_parse(log, size, &walk->checkpoint, err) ||
        !monatt_reader_bytes(&walk->records, walk->checkpoint.size, &skipped)) {
        return false;
    }
    walk->has_checkpoint = true;
    monatt_reader_init(&walk->retained, "checkpoint", walk->checkpoint.retained,
                       walk->checkpoint.retained_size, err);
    return true;
}

bool monatt_log_walk_next(MonattLogWalk *walk, MonattCelEntry *ret_entry, const uint8_t **ret_bytes,
                          size_t *ret_size, bool *ret_failed)
{
    walk->is_retained = monatt_reader_left(&walk->retained) > 0;
    MonattReader *r = walk->is_retained ? &walk->retained : &walk->records;
    size_t start = r->position;
    *ret_failed = false;
    if (monatt_reader_left(r) == 0) {
        return false;
    }
    if (!monatt_cel_next(r, ret_entry)) {
        *ret_failed = true;
        return false;
    }
    if (ret_bytes) {
        *ret_bytes = r->bytes + start;
    }
    if (ret_size) {
        *ret_size = r->position - start;
    }
    return true;
}

static bool refuse(MonattError *err, const char *why)
{
    return monatt_error_set(err, MONATT_ERROR_FORMAT, "segments: %s", why);
}

/* Does the next segment's checkpoint go on where this one's stopped? */
static bool check_order(const MonattLogWalk *walk, const MonattCheckpoint *next,
                        const void *segment, size_t size, MonattError *err)
{
    const MonattCheckpoint *own = &walk->checkpoint;
    uint8_t digest[MONATT_SHA384_SIZE];
    if (walk->has_checkpoint &&
        (!monatt_bytes_equal(own->vid, next->vid, sizeof(own->vid)) ||
         own->reset_count != next->reset_count ||
         !monatt_bytes_equal(own->boot_seed, next->boot_seed, sizeof(own->boot_seed)))) {
        return refuse(err, "of two VMs or two boots");
    }
    if (next->segment != (walk->has_checkpoint ? own->segment : 0) + 1) {
        return refuse(err, "one is left out");
    }
    if (!monatt_cel_hash(MONATT_ALG_SHA256, segment, size, digest, err)) {
        return false;
    }
    return monatt_bytes_equal(digest, next->previous, MONATT_SHA256_SIZE) ||
           refuse(err, "the checkpoint was made behind another file");
}

static bool check_end(const MonattCheckpoint *next, const void *segment, size_t size,
                      MonattError *err)
{
    MonattCelReplay end;
    monatt_cel_replay_init(&end);
    if (!monatt_cel_replay_log(&end, segment, size, UINT64_MAX, err)) {
        return false;
    }
    if (end.records != next->records ||
        !monatt_bytes_equal(end.sha256, next->sha256, sizeof(end.sha256)) ||
        !monatt_bytes_equal(end.sha384, next->sha384, sizeof(end.sha384)) ||
        !monatt_bytes_equal(end.extends, next->extends, sizeof(end.extends))) {
        return refuse(err, "the file does not end at the checkpoint's registers");
    }
    return true;
}

bool monatt_checkpoint_follows(const MonattCheckpoint *next, const void *segment, size_t size,
                               MonattError *err)
{
    static uint8_t kept[MONATT_CHECKPOINT_RETAINED_BYTES];
    static MonattRetained retained;
    MonattLogWalk walk;
    MonattCelEntry entry;
    MonattCheckpoint wanted;
    const uint8_t *bytes;
    size_t length;
    bool failed = false;
    if (!monatt_log_walk_begin(&walk, segment, size, err) ||
        !check_order(&walk, next, segment, size, err) || !check_end(next, segment, size, err)) {
        return false;
    }
    if (!walk.has_checkpoint) {
        monatt_retained_init(&retained);
    } else if (!monatt_retained_restore(&retained, &walk.checkpoint, err)) {
        return false;
    }
    while (monatt_log_walk_next(&walk, &entry, &bytes, &length, &failed)) {
        if (!walk.is_retained && !monatt_retained_note(&retained, &entry, bytes, length, err)) {
            return false;
        }
    }
    if (failed || !monatt_retained_put(&retained, &wanted, kept, sizeof(kept), err)) {
        return false;
    }
    return (wanted.findings == next->findings && wanted.others == next->others &&
            wanted.retained_size == next->retained_size &&
            monatt_bytes_equal(wanted.retained, next->retained, next->retained_size)) ||
           refuse(err, "the checkpoint has not kept what it must");
}
