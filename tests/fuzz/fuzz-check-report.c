/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-check-report.c - what a worker that a guest has taken may answer when it is asked for checks
 *
 * The first byte says how it was asked (bit 0: a snapshot), the second which tables.  What is
 * accepted must be what the writing half writes: encoded again it is the same.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/worker/check-report-codec.h"
#include "tests/fuzz/fuzz.h"

static void check_tables(const MonattCheckReport *answer, Table tables[TABLE_FORMS_MAXIMUM],
                         uint32_t *ret_sent)
{
    memset(tables, 0, TABLE_FORMS_MAXIMUM * sizeof(*tables));
    *ret_sent = 0;
    for (size_t i = 0; i < answer->table_count; i++) {
        const MonattCheckTable *table = &answer->tables[i];
        size_t at = (size_t)(table->form - table_forms);
        TableReader reader = {
            .bytes = table->bytes, .size = table->size, .columns = table->form->count};
        TableCell cells[TABLE_COLUMNS];
        MonattError err = {0};
        uint32_t rows = 0;
        while (table_read_row(&reader, cells, &err)) {
            rows++;
        }
        assert(err.code == MONATT_ERROR_NONE && rows == table->rows);
        tables[at].rows = table->rows;
        tables[at].cut = table->cut;
        tables[at].size = table->size;
        *ret_sent |= 1u << at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t again[CHECK_REPORT_HEAD_MAXIMUM];
    Table tables[TABLE_FORMS_MAXIMUM];
    MonattCheckReport *answer = NULL;
    MonattError err = {0};
    uint32_t sent;
    size_t again_size;
    uint8_t *bytes;

    if (size < 2 || !(bytes = malloc(size - 2 + 1))) {
        return 0;
    }
    memcpy(bytes, data + 2, size - 2);
    if (!check_report_decode(bytes, size - 2, data[0] & 1, data[1], &answer, &err)) {
        assert(answer == NULL && err.code != MONATT_ERROR_NONE);
        free(bytes);
        return 0;
    }
    check_tables(answer, tables, &sent);
    assert((sent & ~(uint32_t)data[1]) == 0);
    for (size_t i = 0; i < answer->report.finding_count; i++) {
        assert(answer->snapshot == (answer->report.findings[i].sightings < CHECK_RUNNER_SCANS));
    }
    assert(check_report_encode(&answer->report, answer->snapshot, tables, sent, again,
                               sizeof(again), &again_size, &err));
    assert(again_size <= size - 2 && memcmp(again, data + 2, again_size) == 0);
    monatt_check_report_free(answer);
    return 0;
}
