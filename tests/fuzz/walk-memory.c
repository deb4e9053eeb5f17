/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * walk-memory.c - a guest's RAM as a private copy that can be changed and put back
 *
 * Must never write to the file.
 */
#include "tests/fuzz/walk-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/fuzz/fuzz.h"
#include "tests/lib/guest-image.h"

#define SMALL_MAXIMUM 16
#define STRUCTURE_MAXIMUM 4095
#define HEAD_MAXIMUM 64 /* of a page, in the search for a kernel */
#define BITS 64
#define UNDO_MAXIMUM (1u << 21)

bool __real_guest_memory_copy(const GuestMemory *memory, uint64_t address, void *buffer,
                              size_t size);
bool __wrap_guest_memory_copy(const GuestMemory *memory, uint64_t address, void *buffer,
                              size_t size);

GuestMemory walk_memory;
uint64_t walk_reads;

static uint8_t *bytes;
static uint64_t bytes_size;
static uint64_t *marks[WALK_CLASSES]; /* a bit a word */
static bool recording, without_heads;

typedef struct Undo {
    uint64_t address;
    uint32_t size;
    uint64_t at; /* in saved */
} Undo;
static Undo *undos;
static size_t undo_count;
static uint8_t *saved;
static size_t saved_size, saved_capacity;

static void note(uint64_t address, size_t size)
{
    WalkClass class = size <= SMALL_MAXIMUM       ? WALK_SMALL
                      : size <= STRUCTURE_MAXIMUM ? WALK_STRUCTURE
                                                  : WALK_BULK;
    if (without_heads && address % GUEST_PAGE_SIZE == 0 && size <= HEAD_MAXIMUM) {
        return;
    }
    for (uint64_t word = address / WALK_WORD; word <= (address + size - 1) / WALK_WORD; word++) {
        marks[class][word / BITS] |= 1ull << word % BITS;
    }
}

bool __wrap_guest_memory_copy(const GuestMemory *memory, uint64_t address, void *buffer,
                              size_t size)
{
    bool good = __real_guest_memory_copy(memory, address, buffer, size);
    walk_reads++;
    if (recording && good && size > 0) {
        note(address, size);
    }
    return good;
}

static bool open_file(const char *path, MonattError *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size < GUEST_PAGE_SIZE ||
        (bytes = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_NORESERVE, fd, 0)) == MAP_FAILED) {
        return monatt_error_set_errno(err, errno, "RAM file: '%s'", path);
    }
    close(fd);
    bytes_size = (uint64_t)status.st_size & ~(uint64_t)(GUEST_PAGE_SIZE - 1);
    return true;
}

bool walk_memory_open(const char *path, MonattError *err)
{
    static uint8_t invented[IMAGE_SIZE];

    if (path) {
        if (!open_file(path, err)) {
            return false;
        }
    } else {
        guest_image_fill(invented, sizeof(invented));
        bytes = invented;
        bytes_size = sizeof(invented);
    }
    undos = malloc(UNDO_MAXIMUM * sizeof(*undos));
    for (size_t i = 0; i < WALK_CLASSES; i++) {
        marks[i] = calloc(bytes_size / WALK_WORD / BITS + 1, sizeof(*marks[i]));
        require(marks[i]);
    }
    require(undos);
    guest_memory_init_bytes(&walk_memory, 0, bytes, bytes_size);
    return true;
}

uint64_t walk_memory_size(void)
{
    return bytes_size;
}

const uint8_t *walk_memory_at(uint64_t address, size_t size)
{
    return address < bytes_size && size <= bytes_size - address ? bytes + address : NULL;
}

uint64_t walk_memory_u64(uint64_t address)
{
    uint64_t value = 0;
    const uint8_t *at = walk_memory_at(address, sizeof(value));
    if (at) {
        memcpy(&value, at, sizeof(value));
    }
    return value;
}

void walk_memory_put(uint64_t address, const void *from, size_t size)
{
    if (address >= bytes_size) {
        return;
    }
    size = size < bytes_size - address ? size : bytes_size - address;
    if (saved_capacity - saved_size < size) {
        saved_capacity = (saved_size + size) * 2;
        saved = realloc(saved, saved_capacity);
        require(saved);
    }
    require(undo_count < UNDO_MAXIMUM);
    undos[undo_count++] = (Undo){.address = address, .size = (uint32_t)size, .at = saved_size};
    memcpy(saved + saved_size, bytes + address, size);
    saved_size += size;
    memcpy(bytes + address, from, size);
}

void walk_memory_undo(void)
{
    while (undo_count > 0) {
        const Undo *undo = &undos[--undo_count];
        memcpy(bytes + undo->address, saved + undo->at, undo->size);
    }
    saved_size = 0;
}

void walk_record_begin(bool attach)
{
    for (size_t i = 0; i < WALK_CLASSES; i++) {
        memset(marks[i], 0, (bytes_size / WALK_WORD / BITS + 1) * sizeof(*marks[i]));
    }
    recording = true;
    without_heads = attach;
}

static void take(const uint64_t *mark, uint32_t **ret_words, size_t *ret_count)
{
    const size_t rows = bytes_size / WALK_WORD / BITS + 1;
    size_t count = 0;

    for (size_t i = 0; i < rows; i++) {
        count += (size_t)__builtin_popcountll(mark[i]);
    }
    *ret_words = malloc((count + 1) * sizeof(**ret_words));
    require(*ret_words);
    *ret_count = 0;
    for (size_t i = 0; i < rows; i++) {
        for (uint64_t left = mark[i]; left; left &= left - 1) {
            (*ret_words)[(*ret_count)++] = (uint32_t)(i * BITS + (size_t)__builtin_ctzll(left));
        }
    }
}

void walk_record_end(WalkWords *ret_words)
{
    recording = false;
    for (size_t i = 0; i < WALK_CLASSES; i++) {
        take(marks[i], &ret_words->words[i], &ret_words->counts[i]);
    }
}
