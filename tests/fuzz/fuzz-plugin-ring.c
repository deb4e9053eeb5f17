/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-plugin-ring.c - the input is what a taken QEMU writes into header, heads and records
 *
 * The first byte says what the rest is: 0 the header, 1 records behind a good header and the
 * writer's head before them.  Every record that is accepted must keep the promises of
 * plugin-ring.h.
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include "libmonatt/formats/plugin-ring.h"
#include "tests/fuzz/fuzz.h"

#define RECORDS_AT 8192 /* one vCPU */
#define READS_MAXIMUM 512

static void read_all(const MonattPluginRing *ring)
{
    MonattPluginCursor cursor = {0};
    for (int i = 0; i < READS_MAXIMUM; i++) {
        MonattPluginRecord record;
        bool some = false;
        uint64_t before = cursor.next;
        bool good = monatt_plugin_ring_next(ring, 0, &cursor, &record, &some, NULL);
        require(cursor.next >= before);
        if (!good || !some) {
            require(good || cursor.next > before);
            return;
        }
        uint64_t named = 0;
        require(record.kind == MONATT_PLUGIN_RECORD_WINDOW);
        require(record.pair_count <= MONATT_PLUGIN_RING_PAIRS && record.splits <= record.locks);
        for (size_t j = 0; j < record.pair_count; j++) {
            named += record.pairs[j].count;
        }
        require(named <= record.syscalls);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *map;
    size_t map_size = monatt_plugin_ring_size(1);
    MonattPluginRing ring;
    MonattPluginRingStatus status;
    if (map == NULL) {
        map = mmap(NULL, map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(map != MAP_FAILED);
    }
    if (size < 1 || size > 64 * 1024) {
        return 0;
    }
    size_t rest = size - 1;
    memset(map, 0, RECORDS_AT + 64 * 1024);
    require(monatt_plugin_ring_init(map, map_size, 1, NULL));
    if (data[0] == 0) {
        memcpy(map, data + 1, rest < RECORDS_AT ? rest : RECORDS_AT);
    } else if (rest >= 8) {
        memcpy(map + MONATT_PLUGIN_RING_HEADER_SIZE, data + 1, 8);
        memcpy(map + RECORDS_AT, data + 9, rest - 8);
    }
    if (monatt_plugin_ring_open(map, map_size, &ring, NULL)) {
        require(ring.vcpus == 1 && ring.capacity == MONATT_PLUGIN_RING_CAPACITY);
        if (monatt_plugin_ring_status(&ring, &status, NULL)) {
            require(status.state == MONATT_PLUGIN_ABSENT ||
                    status.window_ns >= MONATT_PLUGIN_RING_WINDOW_MINIMUM_NS);
        }
        read_all(&ring);
    }
    return 0;
}
