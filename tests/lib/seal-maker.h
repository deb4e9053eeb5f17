/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seal-maker.h - for tests only: a log's checkpoint, right or wrong, by a key in this process
 */
#ifndef MONATT_TESTS_SEAL_MAKER_H
#define MONATT_TESTS_SEAL_MAKER_H

#include "tests/lib/evidence-maker.h"
#include "tests/lib/log-maker.h"
#include "tests/lib/soft-tpm.h"

/* The log so far is sealed, what comes is the next segment's; m->bad breaks it. */
void seal_maker_seal(const EvidenceMaker *m, LogMaker *log, const SoftTpmKey *dak);
/* The log as sent, where m->bad says that checkpoint and records do not fit together. */
GBytes *seal_maker_send(const EvidenceMaker *m, const LogMaker *log);
gboolean seal_maker_is_bad(const EvidenceMaker *m);
/* NULL-terminated: name, what is wrong … */
const char *const *seal_maker_bad_names(void);

#endif
