/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learn.h - turns evidence that was believed into reference values
 *
 * Learning is trust on first use: whoever does it vouches for what the VM started from.  Only
 * evidence that passed every step of the appraisal gets here.
 */
#ifndef MONATT_VERIFIER_LEARN_H
#define MONATT_VERIFIER_LEARN_H

#include "verifier/appraisal/appraisal.h"

G_BEGIN_DECLS

/* id NULL: made of the VM's UUID and the time.  MISSING when no boot item was measured,
 * REFUSED when the appraisal holds a finding: a hidden process is nothing to learn from. */
MonattReference *monatt_learn_reference(const MonattAppraisal *appraisal, const char *id,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What is being trusted, for a person to read; free with g_free(). */
char *monatt_learn_describe(const MonattReference *reference);

G_END_DECLS

#endif
