/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kallsyms.c - decodes names and addresses once, then finds them by hash and by bisection
 *
 * Must never allocate by what the table says: names pass through a window of fixed size, and what
 * is kept grows with what was decoded.  Hashing has a budget: names may be made to collide.
 */
#include "host-collector/sources/introspection/kallsyms.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/walk-budget.h"

#define TOKENS 256
#define TOKEN_TABLE_MAXIMUM 8192 /* 256 tokens, about 1 KiB in Debian's kernels */
#define WINDOW_SIZE 16384
#define LONG_LENGTH 0x80u /* two-byte length, from 6.1 */
#define TEXT_SYMBOL "_stext"
/* Characters and tokens of one table; Debian's take 5 million.  64 false ones then cost seconds. */
#define STEPS_MAXIMUM (32u * 1024 * 1024)
/* Of the hash: a million honest names take as many.  64 tables made to collide cost seconds. */
#define PROBES_MAXIMUM (4u * 1024 * 1024)
#define OFFSETS_AT_ONCE 1024

typedef struct NameWindow {
    AddressSpace *space;
    uint64_t address; /* of the next bytes to fetch */
    size_t position;
    size_t size;
    uint8_t bytes[WINDOW_SIZE];
} NameWindow;

typedef struct Decoder {
    AddressSpace *space;
    KallsymsPlaces places;
    uint64_t base; /* relative base; 0: there is none */
    uint32_t count;
    uint16_t index[TOKENS];
    char tokens[TOKEN_TABLE_MAXIMUM + 1];
    NameWindow names;
    WalkBudget budget;
} Decoder;

typedef enum AddressForm {
    FORM_ABSOLUTE_PERCPU,
    FORM_BASE,
    FORM_PLACE,
    FORM_ABSOLUTE,
    FORM_COUNT
} AddressForm;

static bool window_byte(NameWindow *window, uint8_t *ret_byte)
{
    if (window->position == window->size) {
        /* To the end of the page first: what follows the table may not be mapped. */
        size_t size = GUEST_PAGE_SIZE - (window->address & (GUEST_PAGE_SIZE - 1));
        if (!address_space_read(window->space, window->address, window->bytes, size)) {
            return false;
        }
        window->address += size;
        window->position = 0;
        window->size = size;
    }
    *ret_byte = window->bytes[window->position++];
    return true;
}

/* One compressed name into text: type character, name, terminator. */
static bool read_name(Decoder *table, char text[KALLSYMS_NAME_MAXIMUM + 2])
{
    size_t length, used = 0;
    uint8_t byte;

    if (!window_byte(&table->names, &byte)) {
        return false;
    }
    length = byte;
    if (length & LONG_LENGTH) {
        if (!window_byte(&table->names, &byte) || (byte & LONG_LENGTH)) {
            return false;
        }
        length = (length & ~(size_t)LONG_LENGTH) | (size_t)byte << 7;
    }
    while (length-- > 0) {
        const char *token;
        /* An empty token is none: it would make a name of any length cost nothing to write. */
        if (!window_byte(&table->names, &byte) || table->tokens[table->index[byte]] == '\0') {
            return false;
        }
        for (token = table->tokens + table->index[byte]; *token; token++) {
            if (used > KALLSYMS_NAME_MAXIMUM) {
                return false;
            }
            text[used++] = *token;
        }
    }
    text[used] = '\0';
    return used > 0 && walk_budget_take(&table->budget, used);
}

/* raw: what the table of offsets (or of addresses) holds for this symbol. */
static bool symbol_address(const Decoder *table, uint32_t number, uint64_t raw, AddressForm form,
                           uint64_t *ret_address)
{
    int64_t offset = (int32_t)(uint32_t)raw;

    switch (form) {
    case FORM_ABSOLUTE_PERCPU:
        *ret_address = offset >= 0 ? (uint64_t)offset : table->base - 1 - (uint64_t)offset;
        return table->base != 0;
    case FORM_BASE:
        *ret_address = table->base + (uint32_t)raw;
        return table->base != 0;
    case FORM_PLACE:
        *ret_address = table->places.offsets + (uint64_t)number * 4 + (uint64_t)offset;
        return true;
    default:
        *ret_address = raw;
        return true;
    }
}

static bool load_tokens(Decoder *table, uint64_t tokens, uint64_t index)
{
    size_t size;

    if (!address_space_read(table->space, index, table->index, sizeof(table->index))) {
        return false;
    }
    for (size_t i = 0; i < TOKENS; i++) {
        table->index[i] = le16toh(table->index[i]);
        if (table->index[i] >= TOKEN_TABLE_MAXIMUM ||
            (i > 0 && table->index[i] < table->index[i - 1])) {
            return false;
        }
    }
    /* The last token's end is not written anywhere: a terminator is put behind what is read. */
    size = table->index[TOKENS - 1] + 64u;
    size = size < TOKEN_TABLE_MAXIMUM ? size : TOKEN_TABLE_MAXIMUM;
    memset(table->tokens, 0, sizeof(table->tokens));
    return address_space_read(table->space, tokens, table->tokens, size);
}

static bool places_of_note(const Vmcoreinfo *info, KallsymsPlaces *places)
{
    *places = (KallsymsPlaces){0};
    (void)!vmcoreinfo_number(info, "SYMBOL(kallsyms_relative_base)", 16, &places->base);
    return vmcoreinfo_number(info, "SYMBOL(kallsyms_names)", 16, &places->names) &&
           vmcoreinfo_number(info, "SYMBOL(kallsyms_num_syms)", 16, &places->number) &&
           vmcoreinfo_number(info, "SYMBOL(kallsyms_token_table)", 16, &places->tokens) &&
           vmcoreinfo_number(info, "SYMBOL(kallsyms_token_index)", 16, &places->index) &&
           (vmcoreinfo_number(info, "SYMBOL(kallsyms_offsets)", 16, &places->offsets) ||
            vmcoreinfo_number(info, "SYMBOL(kallsyms_addresses)", 16, &places->addresses));
}

static bool open_table(Decoder *table, const Vmcoreinfo *info, uint64_t stext, MonattError *err)
{
    if (!places_of_note(info, &table->places) &&
        !kallsyms_locate(table->space, stext, &table->places)) {
        return monatt_error_set(
            err, MONATT_ERROR_MISSING,
            "kallsyms: VMCOREINFO does not say where, and nothing behind _stext has their shape");
    }
    if (table->places.base && !address_space_u64(table->space, table->places.base, &table->base)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: base is not mapped");
    }
    if (!address_space_u32(table->space, table->places.number, &table->count) ||
        table->count == 0 || table->count > KALLSYMS_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: no count up to %d",
                                KALLSYMS_MAXIMUM);
    }
    if (!load_tokens(table, table->places.tokens, table->places.index)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: no token table");
    }
    table->names = (NameWindow){.space = table->space, .address = table->places.names};
    return true;
}

/* Room for one more of size bytes; grows by doubling, from what is there and never from a count. */
static bool grow(void **bytes, size_t *capacity, size_t needed, size_t size)
{
    size_t wanted = *capacity ? *capacity : 4096;
    void *grown;

    if (needed <= *capacity) {
        return true;
    }
    while (wanted < needed) {
        wanted *= 2;
    }
    grown = realloc(*bytes, wanted * size);
    if (!grown) {
        return false;
    }
    *bytes = grown;
    *capacity = wanted;
    return true;
}

static bool read_names(Kallsyms *symbols, Decoder *table, uint32_t *ret_text_number,
                       MonattError *err)
{
    char name[KALLSYMS_NAME_MAXIMUM + 2];
    size_t entries = 0, characters = 0;
    bool text_found = false;

    for (uint32_t i = 0; i < table->count; i++) {
        size_t size;
        void *grown = symbols->entries, *grown_text = symbols->text;

        if (!read_name(table, name)) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: name %u is not one", i);
        }
        size = strlen(name + 1) + 1;
        if (size > KALLSYMS_TEXT_MAXIMUM - symbols->text_size) {
            return monatt_error_set(err, MONATT_ERROR_LIMIT, "kallsyms: names of more than %u B",
                                    KALLSYMS_TEXT_MAXIMUM);
        }
        if (!grow(&grown, &entries, (size_t)i + 1, sizeof(*symbols->entries))) {
            return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kallsyms: out of memory");
        }
        symbols->entries = grown;
        if (!grow(&grown_text, &characters, symbols->text_size + size, 1)) {
            return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kallsyms: out of memory");
        }
        symbols->text = grown_text;
        if (!text_found && strcmp(name + 1, TEXT_SYMBOL) == 0) {
            text_found = true;
            *ret_text_number = i;
        }
        symbols->entries[i] = (KallsymsEntry){.text = (uint32_t)symbols->text_size};
        memcpy(symbols->text + symbols->text_size, name + 1, size);
        symbols->text_size += size;
        symbols->count = i + 1;
    }
    if (!text_found) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: no %s", TEXT_SYMBOL);
    }
    return true;
}

/* What the table holds for symbols first … first + count. */
static bool read_raw(const Decoder *table, uint32_t first, size_t count, uint64_t *ret_raw)
{
    uint32_t narrow[OFFSETS_AT_ONCE];

    if (table->places.addresses) {
        return address_space_read(table->space, table->places.addresses + (uint64_t)first * 8,
                                  ret_raw, count * sizeof(*ret_raw));
    }
    if (!address_space_read(table->space, table->places.offsets + (uint64_t)first * 4, narrow,
                            count * sizeof(*narrow))) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        ret_raw[i] = htole64(le32toh(narrow[i]));
    }
    return true;
}

static bool choose_form(const Decoder *table, uint64_t stext, uint32_t text_number,
                        AddressForm *ret_form, MonattError *err)
{
    const AddressForm first = table->places.addresses ? FORM_ABSOLUTE : FORM_ABSOLUTE_PERCPU;
    uint64_t raw, address;

    if (read_raw(table, text_number, 1, &raw)) {
        for (AddressForm form = first; form < FORM_COUNT; form++) {
            if (symbol_address(table, text_number, le64toh(raw), form, &address) &&
                address == stext) {
                *ret_form = form;
                return true;
            }
        }
    }
    return monatt_error_set(err, MONATT_ERROR_FORMAT,
                            "kallsyms: in no known form is _stext where VMCOREINFO has it");
}

static int by_address(const void *a, const void *b)
{
    const KallsymsEntry *x = a, *y = b;
    if (x->address != y->address) {
        return x->address < y->address ? -1 : 1;
    }
    return (x->text > y->text) - (x->text < y->text); /* names lie in the kernel's order */
}

static bool read_addresses(Kallsyms *symbols, const Decoder *table, AddressForm form,
                           MonattError *err)
{
    uint64_t raw[OFFSETS_AT_ONCE];
    bool ascending = true;

    for (uint32_t first = 0; first < symbols->count; first += OFFSETS_AT_ONCE) {
        uint32_t left = symbols->count - first;
        uint32_t count = left < OFFSETS_AT_ONCE ? left : OFFSETS_AT_ONCE;

        if (!read_raw(table, first, count, raw)) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: address %u is not mapped",
                                    first);
        }
        for (uint32_t i = 0; i < count; i++) {
            KallsymsEntry *entry = &symbols->entries[first + i];
            (void)!symbol_address(table, first + i, le64toh(raw[i]), form, &entry->address);
            ascending = ascending && (first + i == 0 || entry[-1].address <= entry->address);
        }
    }
    if (!ascending) {
        qsort(symbols->entries, symbols->count, sizeof(*symbols->entries), by_address);
    }
    return true;
}

static uint32_t hash_name(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a, then mixed: slots are taken from the low bits */
    for (; *name; name++) {
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    }
    hash ^= hash >> 15;
    hash *= 0x2c1b3c6du;
    return hash ^ hash >> 13;
}

static bool hash_names(Kallsyms *symbols, MonattError *err)
{
    WalkBudget probes = {.steps = PROBES_MAXIMUM};
    uint32_t size = 16;

    while (size < symbols->count * 2) {
        size *= 2;
    }
    symbols->slots = calloc(size, sizeof(*symbols->slots));
    if (!symbols->slots) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kallsyms: out of memory");
    }
    symbols->slot_mask = size - 1;
    for (uint32_t i = 0; i < symbols->count; i++) {
        const char *name = symbols->text + symbols->entries[i].text;
        uint32_t slot = hash_name(name) & symbols->slot_mask;

        while (symbols->slots[slot] &&
               strcmp(symbols->text + symbols->entries[symbols->slots[slot] - 1].text, name) != 0) {
            if (!walk_budget_take(&probes, 1)) {
                return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                        "kallsyms: the names are made to collide");
            }
            slot = (slot + 1) & symbols->slot_mask;
        }
        if (!symbols->slots[slot]) {
            symbols->slots[slot] = i + 1;
        }
    }
    return true;
}

bool kallsyms_load(Kallsyms *symbols, AddressSpace *space, const Vmcoreinfo *info, MonattError *err)
{
    Decoder *table MONATT_CLEANUP_FREE = calloc(1, sizeof(*table));
    uint32_t text_number = 0;
    uint64_t stext;
    AddressForm form = FORM_COUNT;

    *symbols = (Kallsyms){0};
    if (!table) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kallsyms: out of memory");
    }
    if (!vmcoreinfo_number(info, "SYMBOL(_stext)", 16, &stext)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: VMCOREINFO has no _stext");
    }
    table->space = space;
    table->budget = (WalkBudget){.steps = STEPS_MAXIMUM};
    if (!open_table(table, info, stext, err) || !read_names(symbols, table, &text_number, err) ||
        !choose_form(table, stext, text_number, &form, err) ||
        !read_addresses(symbols, table, form, err) || !hash_names(symbols, err)) {
        kallsyms_clear(symbols);
        return false;
    }
    return true;
}

void kallsyms_clear(Kallsyms *symbols)
{
    free(symbols->entries);
    free(symbols->text);
    free(symbols->slots);
    *symbols = (Kallsyms){0};
}

bool kallsyms_copy(Kallsyms *ret, const Kallsyms *from)
{
    size_t entries = from->count * sizeof(*from->entries);
    size_t slots = ((size_t)from->slot_mask + 1) * sizeof(*from->slots);

    *ret = *from;
    ret->entries = malloc(entries + 1);
    ret->text = malloc(from->text_size + 1);
    ret->slots = malloc(slots);
    if (from->count == 0 || !from->slots || !ret->entries || !ret->text || !ret->slots) {
        kallsyms_clear(ret);
        return false;
    }
    memcpy(ret->entries, from->entries, entries);
    memcpy(ret->text, from->text, from->text_size);
    memcpy(ret->slots, from->slots, slots);
    return true;
}

bool kallsyms_find(const Kallsyms *symbols, const char *name, uint64_t *ret_address)
{
    if (!symbols->slots) {
        return false;
    }
    /* At most half of the slots are taken, so an empty one comes. */
    for (uint32_t slot = hash_name(name) & symbols->slot_mask; symbols->slots[slot];
         slot = (slot + 1) & symbols->slot_mask) {
        const KallsymsEntry *entry = &symbols->entries[symbols->slots[slot] - 1];
        if (strcmp(symbols->text + entry->text, name) == 0) {
            *ret_address = entry->address;
            return true;
        }
    }
    return false;
}

/* The number of entries below address. */
static uint32_t entries_below(const Kallsyms *symbols, uint64_t address)
{
    uint32_t low = 0, high = symbols->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (symbols->entries[middle].address < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const KallsymsEntry *kallsyms_at(const Kallsyms *symbols, uint64_t address)
{
    uint32_t at = entries_below(symbols, address);
    const KallsymsEntry *entry;

    if (at == symbols->count || symbols->entries[at].address != address) {
        if (at == 0) {
            return NULL;
        }
        at = entries_below(symbols, symbols->entries[at - 1].address);
    }
    entry = &symbols->entries[at];
    return entry->address >> 63 == address >> 63 ? entry : NULL;
}
