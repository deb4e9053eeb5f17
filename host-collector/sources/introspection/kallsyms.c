/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kallsyms.c - decodes the names once and keeps only the symbols asked for
 *
 * Must never allocate by what the table says: names pass through a window of fixed size.
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

typedef struct NameWindow {
    AddressSpace *space;
    uint64_t address; /* of the next bytes to fetch */
    size_t position;
    size_t size;
    uint8_t bytes[WINDOW_SIZE];
} NameWindow;

typedef struct Kallsyms {
    AddressSpace *space;
    uint64_t offsets; /* address of the table of offsets */
    uint64_t base;    /* relative base; 0: there is none */
    uint32_t count;
    uint16_t index[TOKENS];
    char tokens[TOKEN_TABLE_MAXIMUM + 1];
    NameWindow names;
    WalkBudget budget;
} Kallsyms;

typedef enum AddressForm { FORM_ABSOLUTE_PERCPU, FORM_BASE, FORM_PLACE, FORM_COUNT } AddressForm;

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
static bool read_name(Kallsyms *table, char text[KALLSYMS_NAME_MAXIMUM + 2])
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

static bool symbol_address(Kallsyms *table, uint32_t number, AddressForm form,
                           uint64_t *ret_address)
{
    uint64_t place = table->offsets + (uint64_t)number * 4;
    uint32_t raw;
    int64_t offset;

    if (!address_space_u32(table->space, place, &raw)) {
        return false;
    }
    offset = (int32_t)raw;
    switch (form) {
    case FORM_ABSOLUTE_PERCPU:
        *ret_address = offset >= 0 ? (uint64_t)offset : table->base - 1 - (uint64_t)offset;
        return table->base != 0;
    case FORM_BASE:
        *ret_address = table->base + raw;
        return table->base != 0;
    default:
        *ret_address = place + (uint64_t)offset;
        return true;
    }
}

static bool load_tokens(Kallsyms *table, uint64_t tokens, uint64_t index)
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

static bool open_table(Kallsyms *table, const Vmcoreinfo *info, MonattError *err)
{
    uint64_t names, number, tokens, index, base_place;

    if (!vmcoreinfo_number(info, "SYMBOL(kallsyms_names)", 16, &names) ||
        !vmcoreinfo_number(info, "SYMBOL(kallsyms_num_syms)", 16, &number) ||
        !vmcoreinfo_number(info, "SYMBOL(kallsyms_token_table)", 16, &tokens) ||
        !vmcoreinfo_number(info, "SYMBOL(kallsyms_token_index)", 16, &index) ||
        !vmcoreinfo_number(info, "SYMBOL(kallsyms_offsets)", 16, &table->offsets)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING,
                                "kallsyms: VMCOREINFO does not say where (Linux 6.0 or later?)");
    }
    table->base = 0;
    if (vmcoreinfo_number(info, "SYMBOL(kallsyms_relative_base)", 16, &base_place) &&
        !address_space_u64(table->space, base_place, &table->base)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: base is not mapped");
    }
    if (!address_space_u32(table->space, number, &table->count) || table->count == 0 ||
        table->count > KALLSYMS_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: no count up to %d",
                                KALLSYMS_MAXIMUM);
    }
    if (!load_tokens(table, tokens, index)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: no token table");
    }
    table->names = (NameWindow){.space = table->space, .address = names};
    return true;
}

static bool scan_names(Kallsyms *table, KallsymsWanted *wanted, uint32_t *numbers, size_t count,
                       uint32_t *ret_text_number, MonattError *err)
{
    char name[KALLSYMS_NAME_MAXIMUM + 2];
    bool text_found = false;
    size_t left = count;

    for (uint32_t i = 0; i < table->count && (left > 0 || !text_found); i++) {
        if (!read_name(table, name)) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: name %u is not one", i);
        }
        if (!text_found && strcmp(name + 1, TEXT_SYMBOL) == 0) {
            text_found = true;
            *ret_text_number = i;
        }
        for (size_t k = 0; k < count; k++) {
            if (!wanted[k].found && strcmp(name + 1, wanted[k].name) == 0) {
                wanted[k].found = true;
                numbers[k] = i;
                left--;
            }
        }
    }
    if (!text_found) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: no %s", TEXT_SYMBOL);
    }
    return true;
}

static bool choose_form(Kallsyms *table, const Vmcoreinfo *info, uint32_t text_number,
                        AddressForm *ret_form, MonattError *err)
{
    uint64_t stext, address;

    if (!vmcoreinfo_number(info, "SYMBOL(_stext)", 16, &stext)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kallsyms: VMCOREINFO has no _stext");
    }
    for (AddressForm form = 0; form < FORM_COUNT; form++) {
        if (symbol_address(table, text_number, form, &address) && address == stext) {
            *ret_form = form;
            return true;
        }
    }
    return monatt_error_set(err, MONATT_ERROR_FORMAT,
                            "kallsyms: in no known form is _stext where VMCOREINFO has it");
}

bool kallsyms_resolve(AddressSpace *space, const Vmcoreinfo *info, KallsymsWanted *wanted,
                      size_t count, MonattError *err)
{
    Kallsyms *table MONATT_CLEANUP_FREE = NULL;
    uint32_t numbers[KALLSYMS_WANTED_MAXIMUM] = {0};
    uint32_t text_number = 0;
    AddressForm form = FORM_COUNT;

    if (count > KALLSYMS_WANTED_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "kallsyms: %zu symbols wanted", count);
    }
    table = malloc(sizeof(*table));
    if (!table) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kallsyms: out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        wanted[i].found = false;
    }
    table->space = space;
    table->budget = (WalkBudget){.steps = STEPS_MAXIMUM};
    if (!open_table(table, info, err) ||
        !scan_names(table, wanted, numbers, count, &text_number, err) ||
        !choose_form(table, info, text_number, &form, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (wanted[i].found && !symbol_address(table, numbers[i], form, &wanted[i].address)) {
            wanted[i].found = false;
        }
    }
    return true;
}
