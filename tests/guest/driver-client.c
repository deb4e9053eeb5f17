/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * driver-client.c - a program of a test's guest that speaks with the Linux driver by /dev/monatt
 *
 * Written against monatt-ioctl.h alone, so that the driver is not tested by the code that uses it
 * in the product.  Prints what the driver said; test-driver.py judges.
 *   info                       MONATT_IOC_INFO, "name value" a line
 *   extend INDEX COUNT BATCH FIRST  COUNT extends of both banks in batches: digest i, from FIRST
 *                              on, is i as 8 bytes, little-endian, repeated; content is i in
 * decimal write INDEX COUNT          the same by write() one INDEX BANKS OPERATION  one slot; its
 * result page | mapped              all registers by read() | by the mapped shadow page,
 * hexadecimal hold FILE                  maps and opens, waits for FILE, then says what is left of
 * both list SIZE                  a process list of that many bytes, byte i is i mod 251 report HEX
 * FILE            a report to that inblob, into FILE wrong                      calls that must
 * fail, with their errno peek FILE OFFSET           four bytes of a BAR, FILE is its resource in
 * sysfs kexec KERNEL INITRD LINE   that kernel takes over
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/reboot.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "guest/linux/monatt-ioctl.h"
#include "hw-attest/register-map.h"

#define PAGE 4096
#define HOLD_PAUSE_US 10000
#define HOLD_TURNS 6000 /* a minute */
#define REPORT_BUFFER (16u << 20)

static int device;

static int fail(const char *what)
{
    printf("%s: errno %d\n", what, errno);
    return 1;
}

static struct monatt_slot *make_slots(unsigned index, unsigned first, unsigned count)
{
    struct monatt_slot *slots = calloc(count, sizeof(*slots));
    if (!slots) {
        exit(fail("calloc"));
    }
    for (uint64_t i = first; i < (uint64_t)first + count; i++) {
        struct monatt_slot *slot = &slots[i - first];
        slot->operation = MONATT_RING_EXTEND;
        slot->index = (uint16_t)index;
        slot->banks = MONATT_SLOT_BANK_SHA256 | MONATT_SLOT_BANK_SHA384;
        for (size_t at = 0; at < sizeof(slot->sha384); at += 8) {
            memcpy(slot->sha384 + at, &i, 8);
            if (at < sizeof(slot->sha256)) {
                memcpy(slot->sha256 + at, &i, 8);
            }
        }
        slot->content_size =
            (uint16_t)snprintf((char *)slot->content, sizeof(slot->content), "%" PRIu64, i);
    }
    return slots;
}

static int submit(struct monatt_slot *slots, unsigned count, unsigned *done)
{
    struct monatt_submit call = {
        .slots = (uintptr_t)slots, .count = count, .slot_size = sizeof(*slots)};
    int result = ioctl(device, MONATT_IOC_SUBMIT, &call);
    *done = call.done;
    return result;
}

static int extend(unsigned index, unsigned count, unsigned batch, unsigned first)
{
    struct monatt_slot *slots = make_slots(index, first, count);
    unsigned good = 0;
    uint64_t last = 0;
    unsigned ordered = 1;
    for (unsigned at = 0; at < count; at += batch) {
        unsigned part = count - at < batch ? count - at : batch;
        unsigned done;
        errno = 0;
        if (submit(slots + at, part, &done) != 0 || done != part) {
            printf("done %u result %u\n", at + done, slots[at + done].result);
            return fail("submit");
        }
    }
    for (unsigned i = 0; i < count; i++) {
        good += slots[i].result == MONATT_ERR_NONE;
        /* Zero where the records have no numbers. */
        ordered &= slots[i].record > last || (slots[i].record == 0 && last == 0);
        last = slots[i].record;
    }
    printf("good %u ordered %u last %" PRIu64 "\n", good, ordered, last);
    free(slots);
    return 0;
}

static int by_write(unsigned index, unsigned count)
{
    struct monatt_slot *slots = make_slots(index, 0, count);
    ssize_t size = write(device, slots, count * sizeof(*slots));
    if (size < 0) {
        return fail("write");
    }
    printf("written %zu\n", (size_t)size / sizeof(*slots));
    free(slots);
    return 0;
}

static int one(unsigned index, unsigned banks, unsigned operation)
{
    struct monatt_slot *slot = make_slots(index, 0, 1);
    unsigned done;
    slot->banks = (uint16_t)banks;
    slot->operation = (uint16_t)operation;
    if (operation != MONATT_RING_EXTEND) {
        slot->content_size = 0;
    }
    if (submit(slot, 1, &done) != 0) {
        return fail("submit");
    }
    printf("done %u result %u\n", done, slot->result);
    free(slot);
    return 0;
}

static void print_page(const uint8_t *page)
{
    for (unsigned i = 0; i < PAGE; i++) {
        printf("%02x", page[i]);
    }
    printf("\n");
}

static uint32_t sequence(const uint8_t *page)
{
    return *(volatile const uint32_t *)(page + MONATT_BAR2_SEQUENCE);
}

static int print_mapped(void)
{
    static uint8_t copy[PAGE];
    const uint8_t *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0);
    if (page == MAP_FAILED) {
        return fail("mmap");
    }
    uint32_t before;
    do {
        before = sequence(page);
        __sync_synchronize();
        memcpy(copy, page, PAGE);
        __sync_synchronize();
    } while ((before & 1) != 0 || before != sequence(page));
    print_page(copy);
    return 0;
}

static int hold(const char *file)
{
    static uint8_t copy[PAGE];
    struct monatt_slot *slot = make_slots(1, 0, 1);
    unsigned done = 0;
    const uint8_t *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0);
    if (page == MAP_FAILED) {
        page = NULL;
    }
    for (unsigned i = 0; i < HOLD_TURNS && access(file, F_OK) != 0; i++) {
        usleep(HOLD_PAUSE_US);
    }
    printf("shadow %s\n", !page ? "none" : sequence(page) & 1 ? "odd" : "even");
    printf("read %d\n", pread(device, copy, PAGE, 0) == PAGE ? 0 : errno);
    printf("submit %d\n", submit(slot, 1, &done) == 0 ? 0 : errno);
    printf("mmap %d\n",
           mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0) != MAP_FAILED ? 0 : errno);
    return 0;
}

static int send_list(unsigned size)
{
    uint8_t *data = malloc(size);
    if (!data) {
        return fail("malloc");
    }
    for (unsigned i = 0; i < size; i++) {
        data[i] = (uint8_t)(i % 251);
    }
    struct monatt_list call = {.data = (uintptr_t)data, .size = size};
    if (ioctl(device, MONATT_IOC_LIST, &call) != 0) {
        return fail("list");
    }
    free(data);
    printf("sent\n");
    return 0;
}

static int report(const char *hex, const char *file)
{
    struct monatt_report call = {.buffer_size = REPORT_BUFFER};
    uint8_t *data = malloc(REPORT_BUFFER);
    unsigned byte;
    if (!data) {
        return fail("malloc");
    }
    while (call.inblob_size < MONATT_INBLOB_MAXIMUM && sscanf(hex, "%2x", &byte) == 1) {
        call.inblob[call.inblob_size++] = (uint8_t)byte;
        hex += 2;
    }
    call.buffer = (uintptr_t)data;
    if (ioctl(device, MONATT_IOC_REPORT, &call) != 0) {
        return fail("report");
    }
    FILE *out = fopen(file, "wb");
    if (!out || fwrite(data, 1, call.size, out) != call.size || fclose(out) != 0) {
        return fail(file);
    }
    free(data);
    printf("size %u\n", call.size);
    return 0;
}

static int info(void)
{
    struct monatt_info call;
    if (ioctl(device, MONATT_IOC_INFO, &call) != 0) {
        return fail("info");
    }
    printf("driver_version %u\nmap_version %u\ncapabilities %u\nstatus %u\nfeatures %u\n",
           call.driver_version, call.map_version, call.capabilities, call.status, call.features);
    printf("ring_slots %u\npending %u\nboot_count %u\nrecords %" PRIu64 "\nrecords_synced %" PRIu64
           "\npci_name %.32s\nnonce ",
           call.ring_slots, call.pending, call.boot_count, (uint64_t)call.records,
           (uint64_t)call.records_synced, call.pci_name);
    for (unsigned i = 0; i < sizeof(call.nonce); i++) {
        printf("%02x", call.nonce[i]);
    }
    printf("\n");
    return 0;
}

static void try_submit(const char *what, struct monatt_submit call)
{
    int result = ioctl(device, MONATT_IOC_SUBMIT, &call);
    printf("%s %d\n", what, result == 0 ? 0 : errno);
}

static void try_slot(const char *what, struct monatt_slot slot)
{
    unsigned done = 0;
    printf("%s %d\n", what, submit(&slot, 1, &done) == 0 ? 0 : errno);
}

static int wrong(void)
{
    static uint8_t bytes[2 * PAGE];
    struct monatt_slot *slots = make_slots(2, 0, 1);
    struct monatt_submit good = {
        .slots = (uintptr_t)slots, .count = 1, .slot_size = sizeof(*slots)};
    struct monatt_submit call = good;
    call.count = 0;
    try_submit("no-slots", call);
    call.count = MONATT_SUBMIT_MAXIMUM + 1;
    try_submit("too-many-slots", call);
    call = good;
    call.slot_size--;
    try_submit("slot-size", call);
    call = good;
    call.reserved = 1;
    try_submit("reserved", call);
    call = good;
    call.slots = 8;
    try_submit("bad-pointer", call);
    struct monatt_slot slot = *slots;
    slot.content_size = MONATT_SLOT_CONTENT_MAXIMUM + 1;
    try_slot("content-size", slot);
    slot = *slots;
    slot.operation = MONATT_RING_REPORT_READ;
    try_slot("operation", slot);
    slot = *slots;
    slot.reserved = 1;
    try_slot("slot-reserved", slot);
    struct monatt_list list = {.data = (uintptr_t)bytes, .size = MONATT_LIST_MAXIMUM + 1};
    printf("list-size %d\n", ioctl(device, MONATT_IOC_LIST, &list) == 0 ? 0 : errno);
    struct monatt_report ask = {.buffer = (uintptr_t)bytes, .inblob_size = 65};
    printf("inblob-size %d\n", ioctl(device, MONATT_IOC_REPORT, &ask) == 0 ? 0 : errno);
    printf("ioctl %d\n", ioctl(device, _IO(MONATT_IOC_TYPE, 0x7f)) == 0 ? 0 : errno);
    printf("read-size %d\n", pread(device, bytes, 32, 0) >= 0 ? 0 : errno);
    printf("read-offset %d\n", pread(device, bytes, PAGE, 8) >= 0 ? 0 : errno);
    printf("write-size %d\n", write(device, bytes, 100) >= 0 ? 0 : errno);
    int how = PROT_READ | PROT_WRITE;
    printf("mmap-write %d\n",
           mmap(NULL, PAGE, how, MAP_SHARED, device, 0) != MAP_FAILED ? 0 : errno);
    void *more = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, device, 0);
    printf("mmap-size %d\n", more != MAP_FAILED ? 0 : errno);
    void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, device, 0);
    int later = page == MAP_FAILED ? -1 : mprotect(page, PAGE, how);
    printf("mprotect-write %d\n", later == 0 ? 0 : errno);
    try_submit("good", good);
    free(slots);
    return 0;
}

static uint32_t chance(uint32_t below)
{
    static uint64_t state;
    if (state == 0) {
        state = below * 2862933555777941757u + 1; /* the first call gives the seed */
        return 0;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

/* Half of the numbers are such as a driver expects. */
static uint32_t number(void)
{
    static const uint32_t likely[] = {0, 1, 2, 3, 16, 24, 64, 256, 1024, 1025, 1128, 65536, 65537};
    return chance(2) ? likely[chance(sizeof(likely) / sizeof(*likely))] : chance(UINT32_MAX);
}

static void fuzz_slots(struct monatt_slot *slots, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        slots[i].operation = chance(64) ? 1 + chance(2) : number();
        slots[i].index = chance(8) ? chance(26) : number();
        slots[i].banks = chance(8) ? chance(5) : number();
        slots[i].content_size = chance(64) ? chance(1025) : number();
        slots[i].reserved = chance(1024) ? 0 : number();
        slots[i].sha256[0] = slots[i].sha384[0] = (uint8_t)chance(256);
    }
}

static int fuzz(unsigned seed, unsigned count)
{
    static const unsigned long known[] = {MONATT_IOC_INFO, MONATT_IOC_SUBMIT, MONATT_IOC_LIST};
    enum { SLOTS = 300 };
    struct monatt_slot *slots = calloc(SLOTS, sizeof(*slots));
    uint32_t words[64];
    unsigned good = 0;
    if (!slots) {
        return fail("calloc");
    }
    chance(seed);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned at = 0; at < sizeof(words) / sizeof(*words); at++) {
            words[at] = number();
        }
        if (chance(4)) {
            uint64_t pointer = (uintptr_t)slots;
            memcpy(words, &pointer, sizeof(pointer));
        }
        fuzz_slots(slots, 1 + chance(16));
        struct monatt_submit call = {.slots = (uintptr_t)slots,
                                     .count = chance(8) ? 1 + chance(SLOTS) : number(),
                                     .slot_size = chance(16) ? sizeof(*slots) : number()};
        switch (chance(5)) {
        case 0:
            good += ioctl(device, known[chance(3)], words) == 0;
            break;
        case 1:
            ioctl(device, chance(UINT32_MAX), words);
            break;
        case 2:
            good += write(device, slots, chance(SLOTS * sizeof(*slots))) > 0;
            good += write(device, slots, sizeof(*slots)) > 0;
            break;
        case 3: {
            void *page = mmap(NULL, (1 + chance(3)) * PAGE, PROT_READ, MAP_SHARED, device,
                              (off_t)chance(3) * PAGE);
            if (page != MAP_FAILED) {
                munmap(page, PAGE);
            }
            break;
        }
        default:
            good += ioctl(device, MONATT_IOC_SUBMIT, &call) == 0;
        }
    }
    printf("calls %u good %u\n", count, good);
    free(slots);
    return 0;
}

static int peek(const char *file, unsigned long offset)
{
    int fd = open(file, O_RDWR | O_SYNC | O_CLOEXEC);
    const uint8_t *bar = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    if (bar == MAP_FAILED || offset > PAGE - 4) {
        return fail("mmap");
    }
    printf("%u\n", *(volatile const uint32_t *)(bar + offset));
    return 0;
}

static int take_over(const char *kernel, const char *initrd, const char *line)
{
    int kernel_fd = open(kernel, O_RDONLY | O_CLOEXEC);
    int initrd_fd = open(initrd, O_RDONLY | O_CLOEXEC);
    if (syscall(SYS_kexec_file_load, kernel_fd, initrd_fd, strlen(line) + 1, line, 0UL) != 0) {
        return fail("kexec_file_load");
    }
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
    return fail("reboot");
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    if (strcmp(what, "peek") == 0 && count == 4) {
        return peek(words[2], strtoul(words[3], NULL, 0));
    }
    if (strcmp(what, "kexec") == 0 && count == 5) {
        return take_over(words[2], words[3], words[4]);
    }
    unsigned numbers[4] = {0, 0, 0, 0};
    for (int i = 2; i < count && i < 6; i++) {
        numbers[i - 2] = (unsigned)strtoul(words[i], NULL, 0);
    }
    device = open(MONATT_DRIVER_PATH, O_RDWR | O_CLOEXEC);
    if (device < 0) {
        return fail(MONATT_DRIVER_PATH);
    }
    if (strcmp(what, "info") == 0) {
        return info();
    }
    if (strcmp(what, "extend") == 0 && numbers[2] > 0) {
        return extend(numbers[0], numbers[1], numbers[2], numbers[3]);
    }
    if (strcmp(what, "write") == 0) {
        return by_write(numbers[0], numbers[1]);
    }
    if (strcmp(what, "one") == 0) {
        return one(numbers[0], numbers[1], numbers[2]);
    }
    if (strcmp(what, "page") == 0) {
        static uint8_t page[PAGE];
        if (pread(device, page, PAGE, 0) != PAGE) {
            return fail("read");
        }
        print_page(page);
        return 0;
    }
    if (strcmp(what, "mapped") == 0) {
        return print_mapped();
    }
    if (strcmp(what, "hold") == 0 && count == 3) {
        return hold(words[2]);
    }
    if (strcmp(what, "list") == 0) {
        return send_list(numbers[0]);
    }
    if (strcmp(what, "fuzz") == 0) {
        return fuzz(numbers[0], numbers[1]);
    }
    if (strcmp(what, "report") == 0 && count == 4) {
        return report(words[2], words[3]);
    }
    return strcmp(what, "wrong") == 0 ? wrong() : 2;
}
