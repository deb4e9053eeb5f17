/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-json.h - a check report as JSON, the same from the collector and from a RAM file
 */
#ifndef MONATT_HOST_COLLECTOR_WORKER_CHECK_JSON_H
#define MONATT_HOST_COLLECTOR_WORKER_CHECK_JSON_H

#include <jansson.h>
#include "host-collector/worker/check-report-codec.h"

#define CHECK_JSON_ROWS 16384 /* in one answer; "row_count" says how many there are */

/*
 * {"kernel","snapshot","checks":[…],"findings":[…]}, and with table (a name of table_forms)
 * "table", "columns", "rows":[{column: cell}], "row_count", "cut".  With a snapshot, findings are
 * what was seen once.
 */
json_t *check_json(const MonattCheckReport *report, const char *table);

#endif
