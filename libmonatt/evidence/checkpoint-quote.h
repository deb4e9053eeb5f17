/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checkpoint-quote.h - a checkpoint's quote in the form that a quote is checked and exported in
 */
#ifndef MONATT_EVIDENCE_CHECKPOINT_QUOTE_H
#define MONATT_EVIDENCE_CHECKPOINT_QUOTE_H

#include "libmonatt/eventlog/checkpoint.h"
#include "libmonatt/evidence/evidence.h"

G_BEGIN_DECLS

#define MONATT_DEVICE_SELECTION 0xffffffu /* MR0 to MR23 */

/* The quote of this bank over all registers, with the values that the checkpoint names; nothing is
 * checked.  Copies what it needs. */
MonattQuote *monatt_quote_of_checkpoint(const MonattCheckpoint *checkpoint, uint16_t bank);

G_END_DECLS

#endif
