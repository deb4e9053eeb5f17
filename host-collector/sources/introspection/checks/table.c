/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * table.c - rows as bytes: per cell u8 kind, then u64 big-endian or u16 length and text
 */
#include "host-collector/sources/introspection/checks/table.h"

#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/reader.h"
#include "libmonatt/base/text.h"

#define TABLE_FIRST 4096u

void table_begin(Table *table, const TableForm *form)
{
    memset(table, 0, sizeof(*table));
    table->form = form;
}

void table_clear(Table *table)
{
    free(table->bytes);
    memset(table, 0, sizeof(*table));
}

static void put(Table *table, const void *bytes, size_t size)
{
    if (table->failed) {
        return;
    }
    if (size > table->capacity - table->size) {
        size_t capacity = table->capacity ? table->capacity : TABLE_FIRST;
        while (capacity - table->size < size && capacity < TABLE_BYTES) {
            capacity *= 2;
        }
        uint8_t *more = capacity - table->size < size ? NULL : realloc(table->bytes, capacity);
        if (!more) {
            table->failed = true;
            return;
        }
        table->bytes = more;
        table->capacity = capacity;
    }
    memcpy(table->bytes + table->size, bytes, size);
    table->size += size;
}

static bool next_cell(Table *table, TableCellKind kind)
{
    uint8_t byte = (uint8_t)kind;
    if (!table || !table->form || table->cells >= table->form->count) {
        return false;
    }
    table->cells++;
    put(table, &byte, 1);
    return true;
}

static void put_value(Table *table, TableCellKind kind, uint64_t value)
{
    uint8_t bytes[8];
    if (next_cell(table, kind)) {
        for (unsigned i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (uint8_t)(value >> (56 - 8 * i));
        }
        put(table, bytes, sizeof(bytes));
    }
}

void table_text(Table *table, const char *text)
{
    char printable[TABLE_CELL];
    if (!next_cell(table, TABLE_TEXT)) {
        return;
    }
    monatt_text_printable(text, strlen(text), printable, sizeof(printable));
    size_t length = strlen(printable);
    uint8_t size[2] = {(uint8_t)(length >> 8), (uint8_t)length};
    put(table, size, sizeof(size));
    put(table, printable, length);
}

void table_number(Table *table, uint64_t value)
{
    put_value(table, TABLE_NUMBER, value);
}

void table_hex(Table *table, uint64_t value)
{
    put_value(table, TABLE_HEX, value);
}

void table_flag(Table *table, bool value)
{
    put_value(table, TABLE_FLAG, value);
}

void table_nothing(Table *table)
{
    (void)next_cell(table, TABLE_NOTHING);
}

void table_end_row(Table *table)
{
    if (!table || !table->form) {
        return;
    }
    while (table->cells < table->form->count) {
        table_nothing(table);
    }
    if (table->failed || table->rows >= TABLE_ROWS) {
        table->size = table->row_start; /* a row is whole or it is not there */
        table->cut = true;
    } else {
        table->rows++;
        table->row_start = table->size;
    }
    table->cells = 0;
    table->failed = false;
}

static bool text_is_printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static bool read_cell(MonattReader *r, TableCell *cell)
{
    uint8_t kind;
    uint16_t length;
    if (!monatt_reader_u8(r, &kind)) {
        return false;
    }
    cell->kind = kind;
    cell->value = 0;
    cell->text[0] = '\0';
    switch (kind) {
    case TABLE_NUMBER:
    case TABLE_HEX:
    case TABLE_FLAG:
        return monatt_reader_u64_be(r, &cell->value);
    case TABLE_NOTHING:
        return true;
    case TABLE_TEXT:
        if (!monatt_reader_u16_be(r, &length) || length >= TABLE_CELL ||
            !monatt_reader_copy(r, cell->text, length)) {
            return false;
        }
        cell->text[length] = '\0';
        return text_is_printable(cell->text, length);
    default:
        return false;
    }
}

bool table_read_row(TableReader *reader, TableCell cells[TABLE_COLUMNS], MonattError *err)
{
    MonattReader r;
    if (reader->at >= reader->size || reader->columns > TABLE_COLUMNS) {
        return false;
    }
    monatt_reader_init(&r, "table", reader->bytes + reader->at, reader->size - reader->at, err);
    for (size_t i = 0; i < reader->columns; i++) {
        if (!read_cell(&r, &cells[i])) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "table: cell %zu at %zu is none", i,
                                    reader->at);
        }
    }
    reader->at += r.position;
    return true;
}
