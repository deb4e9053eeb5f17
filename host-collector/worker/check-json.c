/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-json.c - a check report as JSON; every text in it was made printable before
 */
#include "host-collector/worker/check-json.h"

#include <stdio.h>
#include <string.h>
#include "libmonatt/base/text.h"

static json_t *hex(uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%#lx", (unsigned long)value);
    return json_string(text);
}

static json_t *result_to_json(const CheckResult *result)
{
    json_t *row = json_object();
    json_t *counters = json_object();
    json_object_set_new(row, "check", json_string(monatt_sub_check_name(result->check)));
    json_object_set_new(row, "reason", json_string(monatt_reason_name(result->reason)));
    json_object_set_new(row, "text", json_string(result->text));
    json_object_set_new(row, "findings", json_integer(result->findings));
    json_object_set_new(row, "unsettled", json_integer(result->unsettled));
    json_object_set_new(row, "passes", json_integer(result->passes));
    json_object_set_new(row, "cpu_us", json_integer((json_int_t)(result->cpu_us & INT64_MAX)));
    if (result->has_digest) {
        char text[2 * MONATT_SHA256_SIZE + 1];
        monatt_text_from_bytes(result->digest, sizeof(result->digest), text);
        json_object_set_new(row, "digest", json_string(text));
    }
    for (uint8_t i = 0; i < result->counter_count; i++) {
        json_object_set_new(counters, result->counters[i].name,
                            json_integer((json_int_t)(result->counters[i].value & INT64_MAX)));
    }
    json_object_set_new(row, "counters", counters);
    return row;
}

static json_t *finding_to_json(const CheckFinding *finding)
{
    json_t *row = json_object();
    json_object_set_new(row, "check", json_string(monatt_sub_check_name(finding->check)));
    json_object_set_new(
        row, "severity",
        json_string(finding->severity == CHECK_COMPROMISED ? "compromised" : "degraded"));
    json_object_set_new(row, "sightings", json_integer(finding->sightings));
    json_object_set_new(row, "object", json_string(finding->object));
    json_object_set_new(row, "address", hex(finding->address));
    json_object_set_new(row, "pid", json_integer(finding->pid));
    json_object_set_new(row, "expected", json_string(finding->expected));
    json_object_set_new(row, "observed", json_string(finding->observed));
    json_object_set_new(row, "owner", json_string(finding->owner));
    json_object_set_new(row, "text", json_string(finding->text));
    return row;
}

static json_t *cell_to_json(const TableCell *cell)
{
    switch (cell->kind) {
    case TABLE_TEXT:
        return json_string(cell->text);
    case TABLE_NUMBER:
        return cell->value <= INT64_MAX ? json_integer((json_int_t)cell->value) : hex(cell->value);
    case TABLE_HEX:
        return hex(cell->value);
    case TABLE_FLAG:
        return json_boolean(cell->value != 0);
    case TABLE_NOTHING:
    default:
        return json_null();
    }
}

static void add_table(json_t *root, const TableForm *form, const MonattCheckTable *table)
{
    json_t *columns = json_array();
    json_t *rows = json_array();
    uint32_t count = table ? table->rows : 0;
    TableReader reader = {.bytes = table ? table->bytes : NULL,
                          .size = table ? table->size : 0,
                          .columns = form->count};
    TableCell cells[TABLE_COLUMNS];
    MonattError err = {0};

    for (size_t i = 0; i < form->count; i++) {
        json_array_append_new(columns, json_string(form->columns[i]));
    }
    for (uint32_t i = 0; i < CHECK_JSON_ROWS && table_read_row(&reader, cells, &err); i++) {
        json_t *row = json_object();
        for (size_t k = 0; k < form->count; k++) {
            json_object_set_new(row, form->columns[k], cell_to_json(&cells[k]));
        }
        json_array_append_new(rows, row);
    }
    json_object_set_new(root, "table", json_string(form->name));
    json_object_set_new(root, "columns", columns);
    json_object_set_new(root, "row_count", json_integer(count));
    json_object_set_new(root, "cut", json_boolean(!table || table->cut || count > CHECK_JSON_ROWS));
    json_object_set_new(root, "rows", rows);
}

json_t *check_json(const MonattCheckReport *report, const char *table)
{
    json_t *root = json_object();
    json_t *checks = json_array();
    json_t *findings = json_array();
    const TableForm *form = table ? table_form(table) : NULL;

    json_object_set_new(root, "kernel", json_string(report->report.kernel));
    json_object_set_new(root, "snapshot", json_boolean(report->snapshot));
    for (size_t i = 0; i < report->report.result_count; i++) {
        json_array_append_new(checks, result_to_json(&report->report.results[i]));
    }
    for (size_t i = 0; i < report->report.finding_count; i++) {
        json_array_append_new(findings, finding_to_json(&report->report.findings[i]));
    }
    json_object_set_new(root, "checks", checks);
    json_object_set_new(root, "findings", findings);
    if (form) {
        add_table(root, form, monatt_check_report_table(report, form->name));
    }
    return root;
}
