/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin-ring.c - hands what the plugin counted to the collector through shared memory
 *
 * The write side runs inside the guest's own execution: it must never block, allocate or lock.
 * The read side must never believe a number of the other side that bounds a loop or an address:
 * every word is loaded once, into private memory, and checked there.
 *
 * A record's first word is its number + 1, 0 while it is being written.  The reader loads it
 * before and after the copy; only the same, expected value twice is a whole record.
 */
#include "libmonatt/formats/plugin-ring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/base/text.h"
#include "libmonatt/base/writer.h"

#define GEOMETRY_SIZE 32
#define STATUS_OFFSET 64
#define STATUS_STATE 64
#define STATUS_MONITORS 68
#define STATUS_WINDOW_NS 72
#define STATUS_EPOCH_NS 80
#define STATUS_UNPLACED 88
#define STATUS_SIZE 32
#define RECORD_WORDS (MONATT_PLUGIN_RING_RECORD_SIZE / 8)
#define PAGE_SIZE 4096
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)
/* A reader that still finds records overwritten under its hands after it has stepped over a whole
 * ring of them gives up: no producer of ours writes that fast. */
#define TORN_MAXIMUM 32

_Static_assert((MONATT_PLUGIN_RING_CAPACITY & (MONATT_PLUGIN_RING_CAPACITY - 1)) == 0,
               "the slot of a record is its number masked");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "words are stored in host order and decoded as little-endian");

static uint64_t records_offset(uint32_t vcpus)
{
    uint64_t end = MONATT_PLUGIN_RING_HEADER_SIZE + (uint64_t)vcpus * MONATT_PLUGIN_RING_VCPU_SIZE;
    return (end + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
}

uint64_t monatt_plugin_ring_size(uint32_t vcpus)
{
    if (vcpus == 0 || vcpus > MONATT_PLUGIN_RING_VCPUS_MAXIMUM) {
        return 0;
    }
    return records_offset(vcpus) +
           (uint64_t)vcpus * MONATT_PLUGIN_RING_CAPACITY * MONATT_PLUGIN_RING_RECORD_SIZE;
}

static uint64_t *head_of(const MonattPluginRing *ring, uint32_t vcpu)
{
    return (uint64_t *)(ring->map + MONATT_PLUGIN_RING_HEADER_SIZE +
                        (size_t)vcpu * MONATT_PLUGIN_RING_VCPU_SIZE);
}

static uint64_t *records_of(const MonattPluginRing *ring, uint32_t vcpu)
{
    return (uint64_t *)(ring->map + records_offset(ring->vcpus) +
                        (size_t)vcpu * ring->capacity * MONATT_PLUGIN_RING_RECORD_SIZE);
}

bool monatt_plugin_ring_init(void *map, size_t size, uint32_t vcpus, MonattError *err)
{
    uint64_t needed = monatt_plugin_ring_size(vcpus);
    uint8_t header[GEOMETRY_SIZE];
    MonattWriter w;
    size_t written;
    if (needed == 0) {
        return monatt_error_set(err, MONATT_ERROR_USAGE,
                                "plugin ring: %u vCPUs: 1 to %u are possible", vcpus,
                                MONATT_PLUGIN_RING_VCPUS_MAXIMUM);
    }
    if (size != needed || (uintptr_t)map % PAGE_SIZE != 0) {
        return monatt_error_set(
            err, MONATT_ERROR_USAGE,
            "plugin ring: memory of %zu bytes: %u vCPUs need %llu, page-aligned", size, vcpus,
            (unsigned long long)needed);
    }
    monatt_writer_init(&w, header, sizeof(header));
    monatt_writer_bytes(&w, MONATT_PLUGIN_RING_MAGIC, MONATT_PLUGIN_RING_MAGIC_SIZE);
    monatt_writer_u32_le(&w, MONATT_PLUGIN_RING_VERSION);
    monatt_writer_u32_le(&w, vcpus);
    monatt_writer_u32_le(&w, MONATT_PLUGIN_RING_CAPACITY);
    monatt_writer_u32_le(&w, MONATT_PLUGIN_RING_RECORD_SIZE);
    monatt_writer_u64_le(&w, needed);
    if (!monatt_writer_finish(&w, "plugin ring", &written, err)) {
        return false;
    }
    memcpy(map, header, written);
    return true;
}

bool monatt_plugin_ring_create(uint32_t vcpus, int *ret_fd, uint64_t *ret_size, MonattError *err)
{
    uint64_t size = monatt_plugin_ring_size(vcpus);
    int fd MONATT_CLEANUP_CLOSE =
        memfd_create("monatt-plugin-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return monatt_error_set_errno(err, errno, "plugin ring: memfd");
    }
    if (ftruncate(fd, (off_t)size) < 0) {
        return monatt_error_set_errno(err, errno, "plugin ring: memfd of %llu bytes",
                                      (unsigned long long)size);
    }
    /* vcpus out of range gives size 0, which init() words better than mmap() would. */
    void *map = size == 0 ? NULL : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return monatt_error_set_errno(err, errno, "plugin ring: map %llu bytes",
                                      (unsigned long long)size);
    }
    bool done = monatt_plugin_ring_init(map, size, vcpus, err);
    if (map != NULL) {
        munmap(map, size);
    }
    if (!done) {
        return false;
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0) {
        return monatt_error_set_errno(err, errno, "plugin ring: seal the memfd");
    }
    *ret_fd = fd;
    *ret_size = size;
    fd = -1;
    return true;
}

/* One load of each word, so that what is checked is what is used. */
static void copy_words(uint64_t *to, const void *from, size_t words)
{
    const uint64_t *source = from;
    for (size_t i = 0; i < words; i++) {
        to[i] = __atomic_load_n(&source[i], __ATOMIC_RELAXED);
    }
}

bool monatt_plugin_ring_open(void *map, size_t size, MonattPluginRing *ret_ring, MonattError *err)
{
    uint64_t header[GEOMETRY_SIZE / 8];
    MonattReader r;
    uint8_t magic[MONATT_PLUGIN_RING_MAGIC_SIZE];
    uint32_t version, vcpus, capacity, record_size;
    uint64_t said;
    if (size < MONATT_PLUGIN_RING_HEADER_SIZE || (uintptr_t)map % 8 != 0) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "plugin ring: %zu bytes: no header fits",
                                size);
    }
    copy_words(header, map, MONATT_ARRAY_SIZE(header));
    monatt_reader_init(&r, "plugin ring", header, sizeof(header), err);
    if (!monatt_reader_copy(&r, magic, sizeof(magic)) || !monatt_reader_u32_le(&r, &version) ||
        !monatt_reader_u32_le(&r, &vcpus) || !monatt_reader_u32_le(&r, &capacity) ||
        !monatt_reader_u32_le(&r, &record_size) || !monatt_reader_u64_le(&r, &said)) {
        return false;
    }
    if (!monatt_bytes_equal(magic, MONATT_PLUGIN_RING_MAGIC, sizeof(magic))) {
        return monatt_reader_fail(&r, "does not begin with " MONATT_PLUGIN_RING_MAGIC);
    }
    if (version != MONATT_PLUGIN_RING_VERSION) {
        return monatt_reader_fail(&r, "version %u is not known", version);
    }
    if (capacity != MONATT_PLUGIN_RING_CAPACITY || record_size != MONATT_PLUGIN_RING_RECORD_SIZE) {
        return monatt_reader_fail(&r, "%u records of %u bytes: version %u has %u of %u", capacity,
                                  record_size, version, MONATT_PLUGIN_RING_CAPACITY,
                                  MONATT_PLUGIN_RING_RECORD_SIZE);
    }
    if (said != size || monatt_plugin_ring_size(vcpus) != size) {
        return monatt_reader_fail(&r, "says %u vCPUs and %llu bytes, has %zu", vcpus,
                                  (unsigned long long)said, size);
    }
    *ret_ring = (MonattPluginRing){.map = map, .size = size, .vcpus = vcpus, .capacity = capacity};
    return true;
}

bool monatt_plugin_ring_map(int fd, bool writable, MonattPluginRing *ret_ring, MonattError *err)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || fstat(fd, &st) < 0) {
        return monatt_error_set_errno(err, errno, "plugin ring: descriptor %d", fd);
    }
    if ((seals & SEALS) != SEALS) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "plugin ring: descriptor %d: its size is not sealed", fd);
    }
    if (st.st_size <= 0 ||
        (uint64_t)st.st_size > monatt_plugin_ring_size(MONATT_PLUGIN_RING_VCPUS_MAXIMUM)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "plugin ring: descriptor %d: %lld bytes",
                                fd, (long long)st.st_size);
    }
    size_t size = (size_t)st.st_size;
    void *map = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return monatt_error_set_errno(err, errno, "plugin ring: map %zu bytes", size);
    }
    if (!monatt_plugin_ring_open(map, size, ret_ring, err)) {
        munmap(map, size);
        return false;
    }
    return true;
}

void monatt_plugin_ring_unmap(MonattPluginRing *ring)
{
    if (ring->map != NULL) {
        munmap(ring->map, ring->size);
        ring->map = NULL;
    }
}

void monatt_plugin_ring_start(const MonattPluginRing *ring, uint32_t monitors, uint64_t window_ns,
                              uint64_t epoch_ns)
{
    uint8_t *map = ring->map;
    __atomic_store_n((uint32_t *)(map + STATUS_MONITORS), monitors, __ATOMIC_RELAXED);
    __atomic_store_n((uint64_t *)(map + STATUS_WINDOW_NS), window_ns, __ATOMIC_RELAXED);
    __atomic_store_n((uint64_t *)(map + STATUS_EPOCH_NS), epoch_ns, __ATOMIC_RELAXED);
    __atomic_store_n((uint32_t *)(map + STATUS_STATE), MONATT_PLUGIN_RUNNING, __ATOMIC_RELEASE);
}

void monatt_plugin_ring_end(const MonattPluginRing *ring)
{
    __atomic_store_n((uint32_t *)(ring->map + STATUS_STATE), MONATT_PLUGIN_ENDED, __ATOMIC_RELEASE);
}

void monatt_plugin_ring_unplaced(const MonattPluginRing *ring)
{
    __atomic_fetch_add((uint64_t *)(ring->map + STATUS_UNPLACED), 1, __ATOMIC_RELAXED);
}

void monatt_plugin_producer_init(MonattPluginProducer *producer, const MonattPluginRing *ring,
                                 uint32_t vcpu)
{
    *producer = (MonattPluginProducer){
        .head = head_of(ring, vcpu),
        .records = records_of(ring, vcpu),
        .mask = ring->capacity - 1,
    };
}

void monatt_plugin_producer_write(MonattPluginProducer *producer, const MonattPluginRecord *record)
{
    uint64_t *slot = producer->records + (producer->next & producer->mask) * RECORD_WORDS;
    uint64_t words[RECORD_WORDS] = {
        0,
        record->window,
        record->locks | (uint64_t)record->splits << 32,
        record->syscalls | (uint64_t)record->kind << 32 | (uint64_t)record->flags << 40 |
            (uint64_t)record->pair_count << 48,
    };
    for (size_t i = 0; i < record->pair_count && i < MONATT_PLUGIN_RING_PAIRS; i++) {
        uint64_t pair = record->pairs[i].number | (uint64_t)record->pairs[i].count << 16;
        words[4 + i / 2] |= pair << (i % 2 * 32);
    }
    __atomic_store_n(&slot[0], 0, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* nobody sees a new word under the old number */
    for (size_t i = 1; i < RECORD_WORDS; i++) {
        __atomic_store_n(&slot[i], words[i], __ATOMIC_RELAXED);
    }
    producer->next++;
    __atomic_store_n(&slot[0], producer->next, __ATOMIC_RELEASE);
    __atomic_store_n(producer->head, producer->next, __ATOMIC_RELEASE);
}

bool monatt_plugin_ring_status(const MonattPluginRing *ring, MonattPluginRingStatus *ret_status,
                               MonattError *err)
{
    uint64_t words[STATUS_SIZE / 8];
    MonattReader r;
    MonattPluginRingStatus status;
    /* The state first: what it vouches for was stored before it. */
    uint32_t state = __atomic_load_n((uint32_t *)(ring->map + STATUS_STATE), __ATOMIC_ACQUIRE);
    if (state == MONATT_PLUGIN_ABSENT) {
        *ret_status = (MonattPluginRingStatus){.state = MONATT_PLUGIN_ABSENT};
        return true;
    }
    copy_words(words, ring->map + STATUS_OFFSET, MONATT_ARRAY_SIZE(words));
    monatt_reader_init(&r, "plugin ring status", words, sizeof(words), err);
    if (!monatt_reader_u32_le(&r, &status.state) || !monatt_reader_u32_le(&r, &status.monitors) ||
        !monatt_reader_u64_le(&r, &status.window_ns) ||
        !monatt_reader_u64_le(&r, &status.epoch_ns) ||
        !monatt_reader_u64_le(&r, &status.unplaced)) {
        return false;
    }
    if (status.state == MONATT_PLUGIN_ABSENT || status.state >= MONATT_PLUGIN_STATE_COUNT) {
        return monatt_reader_fail(&r, "state %u is not known", status.state);
    }
    if ((status.monitors & ~MONATT_PLUGIN_MONITORS_KNOWN) != 0) {
        return monatt_reader_fail(&r, "monitors 0x%x are not known", status.monitors);
    }
    if (status.window_ns < MONATT_PLUGIN_RING_WINDOW_MINIMUM_NS ||
        status.window_ns > MONATT_PLUGIN_RING_WINDOW_MAXIMUM_NS) {
        return monatt_reader_fail(&r, "a window of %llu ns is not possible",
                                  (unsigned long long)status.window_ns);
    }
    *ret_status = status;
    return true;
}

static bool record_parse(const uint64_t words[RECORD_WORDS], MonattPluginRecord *ret_record,
                         MonattError *err)
{
    MonattReader r;
    MonattPluginRecord record = {0};
    uint8_t reserved;
    uint64_t number, named = 0;
    monatt_reader_init(&r, "plugin record", words, RECORD_WORDS * sizeof(words[0]), err);
    if (!monatt_reader_u64_le(&r, &number) || !monatt_reader_u64_le(&r, &record.window) ||
        !monatt_reader_u32_le(&r, &record.locks) || !monatt_reader_u32_le(&r, &record.splits) ||
        !monatt_reader_u32_le(&r, &record.syscalls) || !monatt_reader_u8(&r, &record.kind) ||
        !monatt_reader_u8(&r, &record.flags) || !monatt_reader_u8(&r, &record.pair_count) ||
        !monatt_reader_u8(&r, &reserved)) {
        return false;
    }
    if (record.kind != MONATT_PLUGIN_RECORD_WINDOW || reserved != 0 ||
        (record.flags & ~MONATT_PLUGIN_FLAGS_KNOWN) != 0) {
        return monatt_reader_fail(&r, "kind %u, flags 0x%x are not known", record.kind,
                                  record.flags);
    }
    if (record.window > MONATT_PLUGIN_RING_NUMBER_MAXIMUM) {
        return monatt_reader_fail(&r, "window %llu is not possible",
                                  (unsigned long long)record.window);
    }
    if (record.pair_count > MONATT_PLUGIN_RING_PAIRS) {
        return monatt_reader_fail(&r, "%u pairs, %u fit", record.pair_count,
                                  MONATT_PLUGIN_RING_PAIRS);
    }
    for (size_t i = 0; i < record.pair_count; i++) {
        if (!monatt_reader_u16_le(&r, &record.pairs[i].number) ||
            !monatt_reader_u16_le(&r, &record.pairs[i].count)) {
            return false;
        }
        named += record.pairs[i].count;
    }
    if (record.splits > record.locks || named > record.syscalls) {
        return monatt_reader_fail(&r, "parts (%u split, %llu named) exceed their sums (%u, %u)",
                                  record.splits, (unsigned long long)named, record.locks,
                                  record.syscalls);
    }
    *ret_record = record;
    return true;
}

bool monatt_plugin_ring_next(const MonattPluginRing *ring, uint32_t vcpu,
                             MonattPluginCursor *cursor, MonattPluginRecord *ret_record,
                             bool *ret_some, MonattError *err)
{
    if (vcpu >= ring->vcpus) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "plugin ring: vCPU %u of %u", vcpu,
                                ring->vcpus);
    }
    uint64_t step = 1;
    for (unsigned attempt = 0; attempt < TORN_MAXIMUM; attempt++) {
        uint64_t head = __atomic_load_n(head_of(ring, vcpu), __ATOMIC_ACQUIRE);
        if (head < cursor->next) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                    "plugin ring: vCPU %u: ran backwards, from record %llu to %llu",
                                    vcpu, (unsigned long long)cursor->next,
                                    (unsigned long long)head);
        }
        if (head == cursor->next) {
            *ret_some = false;
            return true;
        }
        if (head - cursor->next > ring->capacity) {
            cursor->lost += head - ring->capacity - cursor->next;
            cursor->next = head - ring->capacity;
        }
        const uint64_t *slot =
            records_of(ring, vcpu) + (cursor->next & (ring->capacity - 1)) * RECORD_WORDS;
        uint64_t words[RECORD_WORDS];
        uint64_t before = __atomic_load_n(&slot[0], __ATOMIC_ACQUIRE);
        copy_words(words, slot, RECORD_WORDS);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        uint64_t after = __atomic_load_n(&slot[0], __ATOMIC_RELAXED);
        if (before == cursor->next + 1 && after == before) {
            cursor->next++;
            *ret_some = true;
            return record_parse(words, ret_record, err);
        }
        /* The producer is right behind: one step would only lead to its next slot. */
        uint64_t left = head - cursor->next;
        step = step < left ? step : left;
        cursor->next += step;
        cursor->lost += step;
        step *= 2;
    }
    return monatt_error_set(err, MONATT_ERROR_LIMIT,
                            "plugin ring: vCPU %u: overtaken %u times in a row", vcpu,
                            TORN_MAXIMUM);
}
