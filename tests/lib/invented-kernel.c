/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * invented-kernel.c - page tables, symbols and types for a kernel that a test makes up
 */
#include "tests/lib/invented-kernel.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT 0x1000u
#define PRESENT_WRITABLE 3u
#define LARGE 0x80u
#define NAMES 0x20000u /* kallsyms, as VMCOREINFO names its parts */
#define NUMBER 0x2f000u
#define TOKENS 0x30000u
#define TOKEN_INDEX 0x30800u
#define OFFSETS 0x31000u
#define BASE 0x33000u
#define TYPES 0x40000u
#define TYPES_MAXIMUM 0x40000u
#define FIRST 0x80000u /* allocations begin here */
#define INTEGERS 4u    /* types 1 to 4: u8, u16, u32, u64 */
#define FUNCTION 6u    /* a pointer to type 5, a function's prototype; arrays come after it */
#define KIND_INTEGER 1u
#define KIND_ARRAY 3u
#define KIND_STRUCT 4u
#define KIND_POINTER 2u
#define KIND_PROTOTYPE 13u
#define KIND_ENUM 6u

static void put(InventedKernel *invented, uint64_t physical, uint64_t value, size_t size)
{
    assert(physical + size <= INVENTED_SIZE);
    memcpy(invented->bytes + physical, &value, size);
}

uint8_t *invented_at(InventedKernel *invented, uint64_t address)
{
    uint64_t physical =
        address >= INVENTED_KERNEL ? address - INVENTED_KERNEL : address - INVENTED_DIRECT;
    assert(physical < INVENTED_SIZE - 8);
    return invented->bytes + physical;
}

void invented_u64(InventedKernel *invented, uint64_t address, uint64_t value)
{
    memcpy(invented_at(invented, address), &value, sizeof(value));
}

void invented_u32(InventedKernel *invented, uint64_t address, uint32_t value)
{
    memcpy(invented_at(invented, address), &value, sizeof(value));
}

void invented_u16(InventedKernel *invented, uint64_t address, uint16_t value)
{
    memcpy(invented_at(invented, address), &value, sizeof(value));
}

uint64_t invented_get(InventedKernel *invented, uint64_t address)
{
    uint64_t value;
    memcpy(&value, invented_at(invented, address), sizeof(value));
    return value;
}

void invented_begin(InventedKernel *invented)
{
    invented_clear(invented);
    memset(invented->bytes, 0, sizeof(invented->bytes));
    invented->used = FIRST;
    invented->symbol_count = 0;
    /* The direct map: one page of 1 GiB.  The kernel: pages of 2 MiB over all RAM. */
    put(invented, ROOT + 273 * 8, 0x2000 | PRESENT_WRITABLE, 8);
    put(invented, 0x2000, 0 | PRESENT_WRITABLE | LARGE, 8);
    put(invented, ROOT + 511 * 8, 0x3000 | PRESENT_WRITABLE, 8);
    put(invented, 0x3000 + 510 * 8, 0x4000 | PRESENT_WRITABLE, 8);
    for (uint64_t i = 0; i < INVENTED_SIZE >> 21; i++) {
        put(invented, 0x4000 + 8 * i, i << 21 | PRESENT_WRITABLE | LARGE, 8);
    }
    for (uint64_t at = INVENTED_TEXT; at < INVENTED_TEXT_END; at += 0x100) {
        char name[32];
        snprintf(name, sizeof(name), at == INVENTED_TEXT ? "_stext" : "function_%llx",
                 (unsigned long long)at);
        invented_symbol(invented, name, INVENTED_KERNEL + at);
    }
    invented_symbol(invented, "_etext", INVENTED_KERNEL + INVENTED_TEXT_END);
}

uint64_t invented_allocate(InventedKernel *invented, uint64_t size)
{
    uint64_t physical = (invented->used + 63) & ~63ull;
    assert(size < INVENTED_SIZE && physical + size + 64 < INVENTED_SIZE);
    invented->used = physical + size;
    return INVENTED_DIRECT + physical;
}

void invented_symbol(InventedKernel *invented, const char *name, uint64_t address)
{
    assert(invented->symbol_count < INVENTED_SYMBOLS);
    snprintf(invented->symbols[invented->symbol_count].name, sizeof(invented->symbols[0].name),
             "%s", name);
    invented->symbols[invented->symbol_count++].address = address;
}

uint64_t invented_variable(InventedKernel *invented, const char *name, uint64_t size)
{
    uint64_t address = invented_allocate(invented, size) - INVENTED_DIRECT + INVENTED_KERNEL;
    invented_symbol(invented, name, address);
    return address;
}

static void put_symbols(InventedKernel *invented)
{
    uint8_t *name = invented->bytes + NAMES;

    for (uint32_t i = 0; i < invented->symbol_count; i++) {
        size_t size = strlen(invented->symbols[i].name) + 1; /* with the type's letter */
        uint64_t address = invented->symbols[i].address;
        *name++ = (uint8_t)size;
        *name++ = 'T';
        memcpy(name, invented->symbols[i].name, size - 1);
        name += size - 1;
        assert(name < invented->bytes + NUMBER);
        put(invented, OFFSETS + 4 * i,
            (uint32_t)(address < INVENTED_KERNEL ? address : INVENTED_KERNEL - 1 - address), 4);
    }
    put(invented, NUMBER, invented->symbol_count, 4);
    put(invented, BASE, INVENTED_KERNEL, 8);
    for (uint32_t i = 0; i < 256; i++) { /* each character is its own token */
        put(invented, TOKENS + 2 * i, i, 2);
        put(invented, TOKEN_INDEX + 2 * i, 2 * i, 2);
    }
}

static void load_symbols(InventedKernel *invented)
{
    static Vmcoreinfo info;
    MonattError err = {0};

    snprintf(info.text, sizeof(info.text),
             "SYMBOL(_stext)=%llx\nSYMBOL(kallsyms_names)=%llx\nSYMBOL(kallsyms_num_syms)=%llx\n"
             "SYMBOL(kallsyms_token_table)=%llx\nSYMBOL(kallsyms_token_index)=%llx\n"
             "SYMBOL(kallsyms_offsets)=%llx\nSYMBOL(kallsyms_relative_base)=%llx\n",
             INVENTED_KERNEL + INVENTED_TEXT, INVENTED_KERNEL + NAMES, INVENTED_KERNEL + NUMBER,
             INVENTED_KERNEL + TOKENS, INVENTED_KERNEL + TOKEN_INDEX, INVENTED_KERNEL + OFFSETS,
             INVENTED_KERNEL + BASE);
    info.size = strlen(info.text);
    if (!kallsyms_load(&invented->kernel.table, &invented->kernel.space, &info, &err)) {
        fprintf(stderr, "invented kernel: %s\n", err.message);
        abort();
    }
}

typedef struct TypeMaker {
    const InventedRow *rows;
    size_t count;
    uint8_t *bytes; /* the type section */
    uint32_t size;
    uint32_t types;
    char strings[0x10000];
    uint32_t strings_size;
} TypeMaker;

static void put_word(TypeMaker *maker, uint32_t value)
{
    assert(maker->size + 4 <= TYPES_MAXIMUM / 2);
    memcpy(maker->bytes + maker->size, &value, sizeof(value));
    maker->size += 4;
}

static uint32_t put_string(TypeMaker *maker, const char *text)
{
    uint32_t at = maker->strings_size;
    assert(at + strlen(text) + 1 <= sizeof(maker->strings));
    memcpy(maker->strings + at, text, strlen(text) + 1);
    maker->strings_size += (uint32_t)strlen(text) + 1;
    return at;
}

/* Integers are types 1 to 4, then come functions, arrays in the rows' order, then structs. */
static uint32_t type_of(const TypeMaker *maker, size_t row, uint32_t arrays)
{
    static const char *const integers[] = {"u8", "u16", "u32", "u64"};
    const char *type = maker->rows[row].type ? maker->rows[row].type : "u64";
    uint32_t number = FUNCTION + 1;

    for (uint32_t i = 0; i < INTEGERS; i++) {
        if (strcmp(type, integers[i]) == 0) {
            return i + 1;
        }
    }
    if (strcmp(type, "function") == 0) {
        return FUNCTION;
    }
    if (strchr(type, '[')) {
        for (size_t i = 0; i < row; i++) {
            number += maker->rows[i].type && strchr(maker->rows[i].type, '[');
        }
        return number;
    }
    number += arrays;
    for (size_t i = 0; i < maker->count; i++) {
        if (!maker->rows[i].member && strcmp(maker->rows[i].structure, type) == 0) {
            return number;
        }
        number += !maker->rows[i].member;
    }
    fprintf(stderr, "invented kernel: no type '%s'\n", type);
    abort();
}

/* Of an array: an integer by its name, else the struct's number, which is behind all arrays. */
static uint32_t element_of(const TypeMaker *maker, const char *type, const char *bracket)
{
    const size_t size = (size_t)(bracket - type);
    uint32_t number = FUNCTION + 1;

    for (size_t i = 0; i < maker->count; i++) {
        number += maker->rows[i].type && strchr(maker->rows[i].type, '[');
    }
    for (size_t i = 0; i < maker->count; i++) {
        const InventedRow *row = &maker->rows[i];
        if (!row->member && strlen(row->structure) == size &&
            strncmp(row->structure, type, size) == 0) {
            return number;
        }
        number += !row->member;
    }
    return type[1] == '8' ? 1 : type[1] == '1' ? 2 : type[1] == '3' ? 3 : 4;
}

static void put_arrays(TypeMaker *maker, uint32_t *ret_arrays)
{
    *ret_arrays = 0;
    for (size_t i = 0; i < maker->count; i++) {
        const char *type = maker->rows[i].type, *bracket = type ? strchr(type, '[') : NULL;
        if (!bracket) {
            continue;
        }
        put_word(maker, 0);
        put_word(maker, KIND_ARRAY << 24);
        put_word(maker, 0);
        put_word(maker, element_of(maker, type, bracket));
        put_word(maker, 3);
        put_word(maker, (uint32_t)strtoul(bracket + 1, NULL, 10));
        (*ret_arrays)++;
    }
}

static void put_types(TypeMaker *maker)
{
    uint32_t arrays;

    for (uint32_t size = 1; size <= 8; size *= 2) {
        put_word(maker, 0);
        put_word(maker, KIND_INTEGER << 24);
        put_word(maker, size);
        put_word(maker, size * 8);
    }
    put_word(maker, 0);
    put_word(maker, KIND_PROTOTYPE << 24);
    put_word(maker, 0); /* returns nothing */
    put_word(maker, 0);
    put_word(maker, KIND_POINTER << 24);
    put_word(maker, FUNCTION - 1);
    put_arrays(maker, &arrays);
    for (size_t i = 0; i < maker->count; i++) {
        const InventedRow *row = &maker->rows[i];
        if (!row->member && row->type && strcmp(row->type, "enum") == 0) {
            put_word(maker, 0);
            put_word(maker, KIND_ENUM << 24 | 1);
            put_word(maker, 4);
            put_word(maker, put_string(maker, row->structure));
            put_word(maker, row->offset);
        } else if (!row->member) {
            uint32_t members = 0;
            while (i + 1 + members < maker->count && maker->rows[i + 1 + members].member) {
                members++;
            }
            put_word(maker, put_string(maker, row->structure));
            put_word(maker, KIND_STRUCT << 24 | members);
            put_word(maker, row->offset);
        } else {
            put_word(maker, put_string(maker, row->member));
            put_word(maker, type_of(maker, i, arrays));
            put_word(maker, row->offset * 8);
        }
    }
}

static void load_types(InventedKernel *invented, const InventedRow *rows, size_t count)
{
    static TypeMaker maker;
    const uint32_t header[] = {0x0001eb9f, 24};
    uint32_t *place;
    MonattError err = {0};

    maker = (TypeMaker){.rows = rows,
                        .count = count,
                        .bytes = invented->bytes + TYPES + sizeof(header) + 16,
                        .strings_size = 1};
    put_types(&maker);
    memcpy(maker.bytes + maker.size, maker.strings, maker.strings_size);
    memcpy(invented->bytes + TYPES, header, sizeof(header));
    place = (uint32_t *)(void *)(invented->bytes + TYPES + sizeof(header));
    place[0] = 0;
    place[1] = place[2] = maker.size;
    place[3] = maker.strings_size;
    if (!btf_init(&invented->kernel.types, invented->bytes + TYPES,
                  sizeof(header) + 16 + maker.size + maker.strings_size, &err)) {
        fprintf(stderr, "invented kernel: %s\n", err.message);
        abort();
    }
}

void invented_end(InventedKernel *invented, const InventedRow *rows, size_t count)
{
    guest_memory_init_bytes(&invented->memory, 0, invented->bytes, INVENTED_SIZE);
    address_space_init(&invented->kernel.space, &invented->memory, ROOT, 4);
    put_symbols(invented);
    load_symbols(invented);
    load_types(invented, rows, count);
    guest_kernel_lay_out(&invented->kernel);
}

void invented_clear(InventedKernel *invented)
{
    guest_kernel_clear(&invented->kernel);
}

void invented_ring(InventedKernel *invented, uint64_t head)
{
    invented_u64(invented, head, head);
    invented_u64(invented, head + 8, head);
}

void invented_ring_add(InventedKernel *invented, uint64_t head, uint64_t node)
{
    uint64_t last = invented_get(invented, head + 8);
    invented_u64(invented, node, head);
    invented_u64(invented, node + 8, last);
    invented_u64(invented, last, node);
    invented_u64(invented, head + 8, node);
}

void invented_ring_remove(InventedKernel *invented, uint64_t node)
{
    uint64_t next = invented_get(invented, node), previous = invented_get(invented, node + 8);
    invented_u64(invented, previous, next);
    invented_u64(invented, next + 8, previous);
}

void invented_chain_add(InventedKernel *invented, uint64_t head, uint64_t node, uint64_t end)
{
    uint64_t first = invented_get(invented, head);
    if (first == 0 || (first & 1)) {
        first = end;
    } else {
        invented_u64(invented, first + 8, node);
    }
    invented_u64(invented, node, first);
    invented_u64(invented, node + 8, head);
    invented_u64(invented, head, node);
}

void invented_chain_remove(InventedKernel *invented, uint64_t node)
{
    uint64_t next = invented_get(invented, node), back = invented_get(invented, node + 8);
    invented_u64(invented, back, next);
    if (next != 0 && !(next & 1)) {
        invented_u64(invented, next + 8, back);
    }
}
