/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * table.h - rows that a person asked to see: modules, sockets, hooks, BPF programs and maps
 *
 * Written by the checks in the worker, carried as bytes, shown by the command line; nothing in the
 * chain of trust reads them.  Columns are named once here (table-columns.c).  Bounded in rows and
 * bytes; a table that was cut says so.
 */
#ifndef MONATT_INTROSPECTION_TABLE_H
#define MONATT_INTROSPECTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

#define TABLE_FORMS_MAXIMUM 8 /* of tables: bounds an answer */
#define TABLE_COLUMNS 16
#define TABLE_ROWS 100000u
#define TABLE_BYTES (16u * 1024 * 1024)
#define TABLE_CELL 257 /* of text, with its terminator */

/* A table's name and columns, in their order; JSON members are the column names. */
typedef struct TableForm {
    const char *name;
    size_t count;
    const char *columns[TABLE_COLUMNS];
} TableForm;
extern const TableForm table_forms[TABLE_FORMS_MAXIMUM + 1]; /* ends with a NULL name */
const TableForm *table_form(const char *name);

typedef enum TableCellKind {
    TABLE_TEXT = 1,
    TABLE_NUMBER = 2,
    TABLE_HEX = 3,
    TABLE_FLAG = 4,
    TABLE_NOTHING = 5, /* could not be read: "-" */
} TableCellKind;

typedef struct Table {
    const TableForm *form;
    uint8_t *bytes; /* owned, capacity grows to TABLE_BYTES */
    size_t size;
    size_t capacity;
    size_t row_start;
    uint32_t rows;
    size_t cells; /* of the row at hand */
    bool cut;
    bool failed; /* of the row at hand */
} Table;

void table_begin(Table *table, const TableForm *form);
void table_clear(Table *table);
/* Cells in the columns' order; each does nothing on a NULL table.  Text is made printable. */
void table_text(Table *table, const char *text);
void table_number(Table *table, uint64_t value);
void table_hex(Table *table, uint64_t value);
void table_flag(Table *table, bool value);
void table_nothing(Table *table);
/* Ends the row; missing cells become nothing. */
void table_end_row(Table *table);

typedef struct TableCell {
    TableCellKind kind;
    uint64_t value;
    char text[TABLE_CELL];
} TableCell;
/* Reads the next row of bytes that came from elsewhere: false at the end, or with err set. */
typedef struct TableReader {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    size_t columns;
} TableReader;
bool table_read_row(TableReader *reader, TableCell cells[TABLE_COLUMNS],
                    MonattError *err) MONATT_MUST_CHECK;

#endif
