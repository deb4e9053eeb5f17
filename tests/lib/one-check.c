/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * one-check.c - one pass of one check over an invented kernel, with code owners of the test's
 * choice
 */
#include "tests/lib/one-check.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-tasks.h"
#include "tests/lib/invented-kernel.h"

#define RANGES 16

struct Owners {
    struct {
        uint64_t start, end;
        Owner owner;
    } ranges[RANGES];
    uint32_t count;
    char missing[96];
};
static Owners owners;

void one_check_own(uint64_t start, uint64_t end, OwnerKind kind, const char *name, bool hidden)
{
    assert(owners.count < RANGES);
    owners.ranges[owners.count].start = start;
    owners.ranges[owners.count].end = end;
    owners.ranges[owners.count].owner = (Owner){.kind = kind, .hidden = hidden};
    snprintf(owners.ranges[owners.count].owner.name, OWNER_NAME_SIZE, "%s", name);
    owners.count++;
}

void one_check_disown(const char *missing)
{
    owners.count = 0;
    snprintf(owners.missing, sizeof(owners.missing), "%s", missing);
}

void owners_find(const Owners *map, uint64_t address, Owner *ret_owner)
{
    *ret_owner = (Owner){.kind = OWNER_NONE};
    if (address >= INVENTED_KERNEL + INVENTED_TEXT &&
        address < INVENTED_KERNEL + INVENTED_TEXT_END) {
        ret_owner->kind = OWNER_KERNEL;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        if (address >= map->ranges[i].start && address < map->ranges[i].end) {
            *ret_owner = map->ranges[i].owner;
        }
    }
}

const char *owners_missing(const Owners *map)
{
    return map->missing;
}

const char *owner_kind_name(OwnerKind kind)
{
    return kind == OWNER_KERNEL ? "kernel" : kind == OWNER_MODULE ? "module" : "other";
}

void one_check_run(OneCheck *one, const Check *check, GuestKernel *kernel)
{
    static CheckTasks *tasks;
    if (!tasks) {
        tasks = check_tasks_new();
    }
    check_tasks_begin(tasks);
    CheckContext context = {.check = check,
                            .tasks = tasks,
                            .kernel = kernel,
                            .inputs = &one->inputs,
                            .reference = one->reference,
                            .owners = &owners,
                            .budget = {.steps = CHECK_STEPS},
                            .state = &one->state,
                            .table = check->table ? &one->table : NULL,
                            .result = &one->result,
                            .sightings = &one->sightings};

    table_clear(&one->table);
    if (check->table) {
        table_begin(&one->table, table_form(check->table));
    }
    memset(&one->result, 0, sizeof(one->result));
    memset(&one->sightings, 0, sizeof(one->sightings));
    address_space_forget(&kernel->space);
    check->run(&context);
}

void one_check_clear(OneCheck *one, const Check *check)
{
    table_clear(&one->table);
    if (one->state && check->clear) {
        check->clear(one->state);
    }
    one->state = NULL;
}

uint64_t one_check_counter(const OneCheck *one, const char *name)
{
    for (uint8_t i = 0; i < one->result.counter_count; i++) {
        if (strcmp(one->result.counters[i].name, name) == 0) {
            return one->result.counters[i].value;
        }
    }
    return UINT64_MAX;
}

static size_t column_of(const TableForm *form, const char *name)
{
    size_t i = 0;
    while (i < form->count && strcmp(form->columns[i], name) != 0) {
        i++;
    }
    assert(i < form->count);
    return i;
}

static void cell_text(const TableCell *cell, char text[TABLE_CELL])
{
    if (cell->kind == TABLE_TEXT) {
        snprintf(text, TABLE_CELL, "%s", cell->text);
    } else {
        snprintf(text, TABLE_CELL, cell->kind == TABLE_HEX ? "%#lx" : "%lu",
                 (unsigned long)cell->value);
    }
}

bool one_check_cell(const OneCheck *one, const char *key, const char *value, const char *column,
                    TableCell *ret_cell)
{
    TableReader reader = {
        .bytes = one->table.bytes, .size = one->table.size, .columns = one->table.form->count};
    TableCell cells[TABLE_COLUMNS];
    MonattError err = {0};

    while (table_read_row(&reader, cells, &err)) {
        char text[TABLE_CELL];
        cell_text(&cells[column_of(one->table.form, key)], text);
        if (strcmp(text, value) == 0) {
            *ret_cell = cells[column_of(one->table.form, column)];
            return true;
        }
    }
    return false;
}
