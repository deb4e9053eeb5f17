/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate.c - the ground of all mutations: guest RAM opened for writing, draws, writes, undo
 */
#include "tests/mutators/mutate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/mutators/ram-file.h"

#define DRAWS 10000
#define FUNCTION_MAXIMUM 65536u
#define FREED_INIT 0xcc /* traps: what stands there does nothing */

/* QEMU names the file behind "-object memory-backend-memfd" so. */
bool mutator_backend(unsigned long qemu, char *path, size_t capacity, MonattError *err)
{
    char folder[64], link[512];
    const struct dirent *entry;
    DIR *directory;

    snprintf(folder, sizeof(folder), "/proc/%lu/fd", qemu);
    directory = opendir(folder);
    if (!directory) {
        return monatt_error_set_errno(err, errno, "memory backend: '%s'", folder);
    }
    while ((entry = readdir(directory))) {
        ssize_t size = readlinkat(dirfd(directory), entry->d_name, link, sizeof(link) - 1);
        if (size > 0) {
            link[size] = '\0';
            if (strstr(link, "memfd:memory-backend-memfd")) {
                snprintf(path, capacity, "%s/%.16s", folder, entry->d_name);
                closedir(directory);
                return true;
            }
        }
    }
    closedir(directory);
    return monatt_error_set(err, MONATT_ERROR_MISSING,
                            "memory backend: QEMU %lu has no memory-backend-memfd", qemu);
}

bool mutator_open(Mutator *mutator, const char *path, uint64_t low, MonattError *err)
{
    MonattRamRegion regions[2];
    struct stat status;
    int fds[2] = {open(path, O_RDWR | O_CLOEXEC), -1};
    size_t count;

    if (fds[0] < 0 || fstat(fds[0], &status) < 0) {
        return monatt_error_set_errno(err, errno, "guest memory: '%s'", path);
    }
    mutator->size = (uint64_t)status.st_size;
    count = ram_file_regions(mutator->size, low, regions);
    mutator->low = count == 2 ? low : 0;
    if (count == 2) {
        fds[1] = dup(fds[0]);
    }
    mutator->writable = mmap(NULL, mutator->size, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    if (mutator->writable == MAP_FAILED) {
        mutator->writable = NULL;
        return monatt_error_set_errno(err, errno, "guest memory: '%s'", path);
    }
    return guest_memory_map(&mutator->memory, regions, fds, count, err) &&
           guest_kernel_find(&mutator->kernel, &mutator->memory, err) &&
           task_scan_init(&mutator->tasks, err);
}

void mutator_close(Mutator *mutator)
{
    task_scan_clear(&mutator->tasks);
    guest_kernel_clear(&mutator->kernel);
    guest_memory_clear(&mutator->memory);
    if (mutator->writable) {
        munmap(mutator->writable, mutator->size);
        mutator->writable = NULL;
    }
}

void mutator_undo(Mutator *mutator)
{
    while (mutator->write_count > 0) {
        const MutationWrite *write = &mutator->writes[--mutator->write_count];
        memcpy(mutator->writable + write->offset, write->before, write->size);
    }
    address_space_forget(&mutator->kernel.space);
}

bool mutator_save(const Mutator *mutator, const char *path, MonattError *err)
{
    FILE *file = fopen(path, "wbe");
    bool good = file && fwrite(mutator->writes, sizeof(mutator->writes[0]), mutator->write_count,
                               file) == mutator->write_count;
    if ((file && fclose(file) != 0) || !good) {
        return monatt_error_set_errno(err, errno, "undo file: '%s'", path);
    }
    return true;
}

bool mutator_undo_file(Mutator *mutator, const char *path, MonattError *err)
{
    FILE *file = fopen(path, "rbe");
    if (!file) {
        return monatt_error_set_errno(err, errno, "undo file: '%s'", path);
    }
    mutator->write_count = fread(mutator->writes, sizeof(mutator->writes[0]), MUTATOR_WRITES, file);
    fclose(file);
    for (size_t i = 0; i < mutator->write_count; i++) {
        const MutationWrite *write = &mutator->writes[i];
        if (write->size > MUTATOR_WRITE_SIZE || write->offset > mutator->size ||
            write->size > mutator->size - write->offset) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "undo file: '%s': of another guest",
                                    path);
        }
    }
    mutator_undo(mutator);
    return true;
}

/* SplitMix64: any state is a good one. */
uint64_t mutator_draw(Mutator *mutator, uint64_t below)
{
    uint64_t z = mutator->random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return below > 0 ? z % below : 0;
}

static bool not_mapped(uint64_t address, MonattError *err)
{
    return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest memory: %#lx is not mapped",
                            (unsigned long)address);
}

bool mutator_read(Mutator *mutator, uint64_t address, void *bytes, size_t size, MonattError *err)
{
    return address_space_read(&mutator->kernel.space, address, bytes, size) ||
           not_mapped(address, err);
}

bool mutator_read_u64(Mutator *mutator, uint64_t address, uint64_t *ret_value, MonattError *err)
{
    return mutator_read(mutator, address, ret_value, sizeof(*ret_value), err);
}

bool mutator_write_physical(Mutator *mutator, uint64_t physical, const void *bytes, size_t size,
                            MonattError *err)
{
    uint64_t offset = mutator->low > 0 && physical >= RAM_ABOVE_HOLE
                          ? physical - RAM_ABOVE_HOLE + mutator->low
                          : physical;
    uint64_t end = mutator->low > 0 && physical < RAM_ABOVE_HOLE ? mutator->low : mutator->size;
    MutationWrite *write = &mutator->writes[mutator->write_count];

    if (offset > end || size > end - offset) {
        return not_mapped(physical, err);
    }
    if (mutator->write_count >= MUTATOR_WRITES || size > MUTATOR_WRITE_SIZE) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "mutation: too many writes");
    }
    write->offset = offset;
    write->size = (uint32_t)size;
    memcpy(write->before, mutator->writable + offset, size);
    memcpy(mutator->writable + offset, bytes, size);
    mutator->write_count++;
    return true;
}

bool mutator_write(Mutator *mutator, uint64_t address, const void *bytes, size_t size,
                   MonattError *err)
{
    const uint8_t *in = bytes;

    while (size > 0) {
        uint64_t physical;
        size_t chunk = GUEST_PAGE_SIZE - (address & (GUEST_PAGE_SIZE - 1));
        chunk = chunk < size ? chunk : size;
        if (!address_space_translate(&mutator->kernel.space, address, &physical)) {
            return not_mapped(address, err);
        }
        if (!mutator_write_physical(mutator, physical, in, chunk, err)) {
            return false;
        }
        address += chunk;
        in += chunk;
        size -= chunk;
    }
    return true;
}

bool mutator_write_u64(Mutator *mutator, uint64_t address, uint64_t value, MonattError *err)
{
    return mutator_write(mutator, address, &value, sizeof(value), err);
}

bool mutator_none(MonattError *err, const char *what)
{
    return monatt_error_set(err, MONATT_ERROR_MISSING, "mutation: this guest has no %s", what);
}

bool mutator_symbol(Mutator *mutator, const char *name, uint64_t *ret_address, MonattError *err)
{
    return guest_kernel_symbol(&mutator->kernel, name, ret_address) || mutator_none(err, name);
}

bool mutator_any_symbol(Mutator *mutator, const char *const *names, uint64_t *ret_address,
                        MonattError *err)
{
    const char *first = names[0];
    for (; *names; names++) {
        if (guest_kernel_symbol(&mutator->kernel, *names, ret_address)) {
            return true;
        }
    }
    return mutator_none(err, first);
}

bool mutator_member(Mutator *mutator, const char *structure, const char *path, uint32_t *ret_offset,
                    MonattError *err)
{
    return guest_kernel_member(&mutator->kernel, structure, path, ret_offset) ||
           monatt_error_set(err, MONATT_ERROR_MISSING, "mutation: this guest has no %s.%s",
                            structure, path);
}

/* Something that could be code of somebody's. */
static bool has_data(Mutator *mutator, uint64_t physical)
{
    uint8_t page[GUEST_PAGE_SIZE];
    if (!guest_memory_copy(&mutator->memory, physical, page, sizeof(page))) {
        return false;
    }
    for (size_t i = 0; i < sizeof(page); i++) {
        if (page[i] != 0 && page[i] != FREED_INIT) {
            return true;
        }
    }
    return false;
}

static bool is_empty(Mutator *mutator, uint64_t physical)
{
    static const uint8_t zeros[GUEST_PAGE_SIZE];
    uint8_t page[GUEST_PAGE_SIZE];
    return guest_memory_copy(&mutator->memory, physical, page, sizeof(page)) &&
           memcmp(page, zeros, sizeof(page)) == 0;
}

/* A page of RAM by the direct map, with or without something in it. */
static bool draw_page(Mutator *mutator, bool data, uint64_t *ret_address, MonattError *err)
{
    uint64_t direct;

    if (!mutator_read_u64(mutator, mutator->kernel.symbols.page_offset_base, &direct, err)) {
        return false;
    }
    for (int i = 0; i < DRAWS; i++) {
        const GuestRegion *region =
            &mutator->memory.regions[mutator_draw(mutator, mutator->memory.count)];
        uint64_t physical = region->guest_physical +
                            mutator_draw(mutator, region->size / GUEST_PAGE_SIZE) * GUEST_PAGE_SIZE;
        uint64_t back;
        /* Not the first MiB: other things than Linux have a say there. */
        if (physical >= 1u << 20 &&
            (data ? has_data(mutator, physical) : is_empty(mutator, physical)) &&
            address_space_translate(&mutator->kernel.space, direct + physical, &back) &&
            back == physical) {
            *ret_address = direct + physical;
            return true;
        }
    }
    return mutator_none(err, "page of the wanted kind");
}

bool mutator_scratch(Mutator *mutator, uint64_t *ret_address, MonattError *err)
{
    return draw_page(mutator, false, ret_address, err);
}

bool mutator_foreign(Mutator *mutator, uint64_t *ret_address, MonattError *err)
{
    if (mutator_draw(mutator, 2) == 0) {
        task_scan_run(&mutator->tasks, &mutator->kernel);
        if (mutator->tasks.table.count > 0) {
            const GuestTask *task =
                &mutator->tasks.table.tasks[mutator_draw(mutator, mutator->tasks.table.count)];
            uint64_t physical;
            *ret_address = task->stack + mutator_draw(mutator, 512) * 16;
            if (address_space_translate(&mutator->kernel.space, *ret_address, &physical)) {
                mutator->target = *ret_address;
                return true;
            }
        }
    }
    if (!draw_page(mutator, true, ret_address, err)) {
        return false;
    }
    mutator->target = *ret_address += mutator_draw(mutator, 256) * 16;
    return true;
}

uint64_t mutator_symbol_size(Mutator *mutator, uint64_t address)
{
    const Kallsyms *table = &mutator->kernel.table;
    const KallsymsEntry *entry = kallsyms_at(table, address);

    for (; entry && entry < table->entries + table->count; entry++) {
        if (entry->address > address) {
            return entry->address - address;
        }
    }
    return 0;
}

bool mutator_function(Mutator *mutator, uint64_t *ret_address, uint64_t *ret_size, MonattError *err)
{
    const Kallsyms *table = &mutator->kernel.table;
    uint64_t start, end;

    if (!mutator_symbol(mutator, "_stext", &start, err) ||
        !mutator_symbol(mutator, "_etext", &end, err)) {
        return false;
    }
    for (int i = 0; i < DRAWS; i++) {
        const KallsymsEntry *entry = &table->entries[mutator_draw(mutator, table->count)];
        uint64_t size = entry->address >= start && entry->address < end
                            ? mutator_symbol_size(mutator, entry->address)
                            : 0;
        if (size >= 16 && size < FUNCTION_MAXIMUM && entry->address + size <= end) {
            *ret_address = entry->address;
            *ret_size = size;
            return true;
        }
    }
    return mutator_none(err, "function");
}

void mutator_name(Mutator *mutator, uint64_t address, char ret[CHECK_OBJECT_SIZE])
{
    char name[KALLSYMS_NAME_MAXIMUM];
    uint64_t offset;

    if (!guest_kernel_symbol_at(&mutator->kernel, address, name, &offset)) {
        snprintf(ret, CHECK_OBJECT_SIZE, "%#lx", (unsigned long)address);
    } else if (offset == 0) {
        snprintf(ret, CHECK_OBJECT_SIZE, "%.60s", name);
    } else {
        snprintf(ret, CHECK_OBJECT_SIZE, "%.40s+%#lx", name, (unsigned long)offset);
    }
}

void mutator_say(Mutator *mutator, uint64_t address, const char *object, const char *format, ...)
{
    va_list arguments;

    mutator->address = address;
    snprintf(mutator->object, sizeof(mutator->object), "%s", object);
    va_start(arguments, format);
    vsnprintf(mutator->what, sizeof(mutator->what), format, arguments);
    va_end(arguments);
}

bool mutator_unlink(Mutator *mutator, uint64_t node, MonattError *err)
{
    uint64_t next, previous;

    return mutator_read_u64(mutator, node, &next, err) &&
           mutator_read_u64(mutator, node + 8, &previous, err) &&
           mutator_write_u64(mutator, previous, next, err) &&
           mutator_write_u64(mutator, next + 8, previous, err);
}

const Mutation *mutation_at(size_t index)
{
    for (size_t i = 0; mutation_tables[i]; i++) {
        for (const Mutation *mutation = mutation_tables[i]; mutation->name; mutation++) {
            if (index-- == 0) {
                return mutation;
            }
        }
    }
    return NULL;
}

const Mutation *mutation_find(const char *name)
{
    for (size_t i = 0; mutation_at(i); i++) {
        if (strcmp(mutation_at(i)->name, name) == 0) {
            return mutation_at(i);
        }
    }
    return NULL;
}
