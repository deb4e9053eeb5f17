/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-follow.c - streams this guest's IMA list into a measurement register, as a TPM's PCR has it
 *
 * Must never extend an entry twice or leave one out, at whatever point it is killed: so nothing is
 * kept but what the register itself says.  The register is one value of the chain that the list
 * makes from its base; where in the list that value comes up, there it stands.  A value that does
 * not come up is somebody else's work, and is said, not repaired.  A value of before, as a device
 * shows that lost its last extends in a crash, comes up: those entries are extended again.
 *
 * Each extend is the digest that the kernel extends into PCR 10, so tools that replay an IMA list
 * against a PCR do so against the register; the event log's record carries the template data.
 */
#include "guest/ima-follow.h"

#include <string.h>
#include "guest/ima-source.h"
#include "hw-attest/register-map.h"
#include "libmonatt/base/log.h"
#include "libmonatt/formats/ima-records.h"

#define PAUSE_LEAST_MS 50
#define PAUSE_MOST_MS 2000
#define BUSY_PAUSE_MS 200
#define WARNINGS_A_SECOND 2

typedef struct Follow {
    const ImaTarget *target;
    const ImaOptions *options;
    ImaCounts *counts;
    ImaSource source;
    ImaValue value; /* what the register must hold */
    uint8_t boot_id[MONATT_UUID_SIZE];
    MonattLogLimit limit;
    bool again; /* the register's place was taken once more, at this entry */
    uint64_t again_at;
    uint32_t count; /* of slots that are filled */
    struct monatt_slot slots[IMA_BATCH];
} Follow;

static bool is_equal(const ImaValue *a, const ImaValue *b)
{
    return monatt_bytes_equal(a->sha256, b->sha256, sizeof(a->sha256)) &&
           monatt_bytes_equal(a->sha384, b->sha384, sizeof(a->sha384));
}

static bool check_value(Follow *f, MonattError *err)
{
    ImaValue now;
    if (!f->target->read(f->target->data, f->options->index, &now, err)) {
        return false;
    }
    if (!is_equal(&now, &f->value)) {
        monatt_error_set(err, MONATT_ERROR_FAULT, "MR%u: something else extended it meanwhile",
                         f->options->index);
        return monatt_error_hint(err, "find out what; then go on with --begin-anew");
    }
    return true;
}

/* One try at the slots from *at on; BUSY in why: what is left may be tried again. */
static bool submit_once(Follow *f, uint32_t *at, MonattError *why)
{
    uint32_t done = 0;
    if (!f->target->lock(f->target->data, why)) {
        return false;
    }
    bool good = check_value(f, why);
    if (good) {
        good = f->target->submit(f->target->data, f->slots + *at, f->count - *at, &done, why);
        for (uint32_t i = 0; i < done; i++) {
            const struct monatt_slot *slot = &f->slots[*at + i];
            ima_extend(f->value.sha256, f->value.sha384, slot->sha256, slot->sha384);
        }
        *at += done;
        f->counts->extended += done;
        good = good && check_value(f, why);
    }
    f->target->unlock(f->target->data);
    return good;
}

static bool submit(Follow *f, MonattError *err)
{
    unsigned long suppressed;
    uint32_t at = 0;
    bool good = true;
    while (good && at < f->count) {
        MonattError why = {0};
        if (submit_once(f, &at, &why)) {
            continue;
        }
        good = why.code == MONATT_ERROR_BUSY;
        if (good && monatt_log_allowed(&f->limit, WARNINGS_A_SECOND, &suppressed)) {
            monatt_log_warning("MR%u: %s; waiting", f->options->index, why.message);
        }
        good = good && f->target->pause(f->target->data, BUSY_PAUSE_MS);
        if (!good) {
            *err = why;
        }
    }
    f->count = 0;
    return good;
}

static void encode_entry(MonattWriter *w, const void *payload)
{
    monatt_ima_entry_encode(w, payload);
}

static void encode_anew(MonattWriter *w, const void *payload)
{
    monatt_ima_anew_encode(w, payload);
}

static struct monatt_slot *next_slot(Follow *f, const uint8_t *sha256, const uint8_t *sha384)
{
    struct monatt_slot *slot = &f->slots[f->count++];
    memset(slot, 0, sizeof(*slot));
    slot->operation = MONATT_RING_EXTEND;
    slot->index = (uint16_t)f->options->index;
    slot->banks = MONATT_SLOT_BANK_SHA256 | MONATT_SLOT_BANK_SHA384;
    memcpy(slot->sha256, sha256, sizeof(slot->sha256));
    memcpy(slot->sha384, sha384, sizeof(slot->sha384));
    return slot;
}

static bool add_entry(Follow *f, const ImaItem *item, MonattError *err)
{
    const MonattImaEntry *entry = &item->entry;
    unsigned long suppressed;
    size_t size;
    MonattImaEntryPayload payload = {
        .pcr = entry->pcr, .data_size = (uint32_t)entry->data_size, .data = entry->data};
    memcpy(payload.digest, entry->digest, sizeof(payload.digest));
    memcpy(payload.name, entry->name, sizeof(payload.name));
    if (monatt_ima_form(strlen(entry->name), entry->data_size) == MONATT_IMA_FORM_DIGEST) {
        uint8_t unused[MONATT_SHA384_SIZE];
        ima_hash(entry->data, entry->data_size, payload.sha256, unused);
    }
    if (item->digest_wrong && monatt_log_allowed(&f->limit, WARNINGS_A_SECOND, &suppressed)) {
        monatt_log_warning("IMA list: entry %llu (%s): its SHA-1 is not that of its data",
                           (unsigned long long)item->number, entry->name);
    }
    struct monatt_slot *slot = next_slot(f, item->sha256, item->sha384);
    if (!monatt_ima_record(MONATT_RECORD_IMA_ENTRY, item->number, encode_entry, &payload,
                           slot->content, &size, err)) {
        return false;
    }
    slot->content_size = (uint16_t)size;
    return true;
}

/* Everything that the list has now; what was read so far is in the register. */
static bool drain(Follow *f, bool *ret_some, MonattError *err)
{
    ImaItem item;
    bool some;
    *ret_some = false;
    while (ima_source_next(&f->source, &item, &some, err)) {
        f->counts->entries = f->source.number;
        if (some && item.entry.pcr != f->options->index) {
            f->counts->others++;
            continue;
        }
        if (some && !add_entry(f, &item, err)) {
            return false;
        }
        if ((!some || f->count == IMA_BATCH) && !submit(f, err)) {
            return false;
        }
        if (!some) {
            return true;
        }
        *ret_some = true;
        f->counts->violations += item.entry.violation;
        f->counts->wrong += item.digest_wrong;
    }
    return false;
}

/* Reads on until the chain from one of the bases is the register's value. */
static bool find(Follow *f, ImaValue *bases, size_t count, bool *ret_found, MonattError *err)
{
    ImaItem item;
    bool some = true;
    for (;;) {
        for (size_t i = 0; i < count; i++) {
            if (is_equal(&bases[i], &f->value)) {
                *ret_found = true;
                f->counts->entries = f->source.number;
                return true;
            }
        }
        if (!ima_source_next(&f->source, &item, &some, err)) {
            return false;
        }
        if (!some) {
            *ret_found = false;
            return true;
        }
        for (size_t i = 0; i < count && item.entry.pcr == f->options->index; i++) {
            ima_extend(bases[i].sha256, bases[i].sha384, item.sha256, item.sha384);
        }
    }
}

/* The record, the note of it before it, and the list from its first entry. */
static bool begin_anew(Follow *f, uint16_t reason, MonattError *err)
{
    MonattImaAnewPayload payload = {.reason = reason};
    ImaBase note = {.reason = reason, .before = f->value, .base = f->value};
    uint8_t record[MONATT_IMA_RECORD_MAXIMUM];
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    size_t size;
    memcpy(payload.boot_id, f->boot_id, sizeof(payload.boot_id));
    memcpy(note.boot_id, f->boot_id, sizeof(note.boot_id));
    if (!monatt_ima_record(MONATT_RECORD_IMA_ANEW, 0, encode_anew, &payload, record, &size, err)) {
        return false;
    }
    ima_hash(record, size, sha256, sha384);
    ima_extend(note.base.sha256, note.base.sha384, sha256, sha384);
    struct monatt_slot *slot = next_slot(f, sha256, sha384);
    memcpy(slot->content, record, size);
    slot->content_size = (uint16_t)size;
    if (!ima_base_store(f->options->run_dir, f->options->index, &note, err) || !submit(f, err)) {
        return false;
    }
    *f->counts = (ImaCounts){.anew = true};
    ima_source_close(&f->source);
    return ima_source_open(&f->source, f->options->list, err);
}

static bool refuse_value(const Follow *f, MonattError *err)
{
    monatt_error_set(err, MONATT_ERROR_FAULT,
                     "MR%u: the list of %llu entries does not lead to its value", f->options->index,
                     (unsigned long long)f->source.number);
    return monatt_error_hint(err,
                             "something else extended it; --begin-anew records that and goes on");
}

/* Where the register's value of now comes up in the list, if it does. */
static bool locate(Follow *f, ImaBase *ret_note, bool *ret_noted, bool *ret_found, MonattError *err)
{
    ImaValue bases[2] = {0}; /* the start value of all registers that a guest extends */
    if (!f->target->read(f->target->data, f->options->index, &f->value, err)) {
        return false;
    }
    ima_base_load(f->options->run_dir, f->options->index, ret_note, ret_noted);
    if (*ret_noted) {
        bases[1] = ret_note->base;
    }
    return find(f, bases, *ret_noted ? 2 : 1, ret_found, err);
}

/* The register's place in the list, or a new beginning where that may be. */
static bool take_position(Follow *f, MonattError *err)
{
    ImaBase note;
    bool noted;
    bool found;
    if (!locate(f, &note, &noted, &found, err)) {
        return false;
    }
    if (found) {
        f->counts->known = f->source.number;
        return true;
    }
    bool of_now = noted && monatt_bytes_equal(note.boot_id, f->boot_id, sizeof(f->boot_id));
    if (of_now && is_equal(&note.before, &f->value)) {
        return begin_anew(f, note.reason, err); /* killed between the note and its record */
    }
    if (!of_now && ima_base_kexec(f->options->proc)) {
        return begin_anew(f, MONATT_IMA_ANEW_KEXEC, err);
    }
    return f->options->begin_anew ? begin_anew(f, MONATT_IMA_ANEW_ASKED, err)
                                  : refuse_value(f, err);
}

/*
 * The register is not what it must be: true when that is a place in the list after all, and another
 * one than the last time, or a device that forgets everything would be followed for ever.
 */
static bool take_position_again(Follow *f)
{
    ImaBase note;
    bool noted;
    bool found = false;
    ima_source_close(&f->source);
    if (!ima_source_open(&f->source, f->options->list, NULL) ||
        !locate(f, &note, &noted, &found, NULL) || !found ||
        (f->again && f->source.number <= f->again_at)) {
        return false;
    }
    f->again = true;
    f->again_at = f->source.number;
    monatt_log_warning("MR%u: its value is an earlier one; going on behind entry %llu",
                       f->options->index, (unsigned long long)f->source.number);
    return true;
}

static bool run(Follow *f, MonattError *err)
{
    unsigned pause = PAUSE_LEAST_MS;
    if (!take_position(f, err)) {
        return false;
    }
    monatt_log_debug("MR%u: %llu entries of the list are in it%s", f->options->index,
                     (unsigned long long)f->counts->known,
                     f->counts->anew ? ", it begins anew" : "");
    for (;;) {
        MonattError why = {0};
        bool some = true;
        if (!drain(f, &some, &why)) {
            if (why.code == MONATT_ERROR_FAULT && take_position_again(f)) {
                continue;
            }
            *err = why;
            return false;
        }
        if (f->options->once) {
            return !ima_source_cut(&f->source) ||
                   monatt_error_set(err, MONATT_ERROR_FORMAT, "IMA list: ends within entry %llu",
                                    (unsigned long long)f->source.number);
        }
        pause = some ? PAUSE_LEAST_MS : pause < PAUSE_MOST_MS / 2 ? 2 * pause : PAUSE_MOST_MS;
        if (!f->target->pause(f->target->data, pause)) {
            return true;
        }
    }
}

bool ima_follow(const ImaTarget *target, const ImaOptions *options, ImaCounts *ret,
                MonattError *err)
{
    static Follow follow; /* 75 KiB: not for a stack */
    int lock MONATT_CLEANUP_CLOSE = -1;
    memset(ret, 0, sizeof(*ret));
    memset(&follow, 0, sizeof(follow));
    follow.target = target;
    follow.options = options;
    follow.counts = ret;
    if (!ima_base_lock(options->run_dir, options->index, &lock, err) ||
        !ima_base_boot_id(options->proc, follow.boot_id, err) ||
        !ima_source_open(&follow.source, options->list, err)) {
        return false;
    }
    bool good = run(&follow, err);
    ima_source_close(&follow.source);
    return good;
}
