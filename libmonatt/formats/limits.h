/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limits.h - sizes and counts that more than one program must agree on
 */
#ifndef MONATT_FORMATS_LIMITS_H
#define MONATT_FORMATS_LIMITS_H

#define MONATT_REGISTER_COUNT 24      /* MR0 to MR23, one for each PCR of a PC client TPM */
#define MONATT_GUEST_REGISTER_LAST 15 /* MR0 to MR15: the guest extends */
#define MONATT_EVIDENCE_FIRST 17      /* MR17 to MR22: only the host extends */
#define MONATT_EVIDENCE_LAST 22
#define MONATT_REGISTER_DEBUG 16       /* resettable by the guest, as PCR 16 is */
#define MONATT_REGISTER_APPLICATION 23 /* resettable by the guest, as PCR 23 is */

#define MONATT_MR_PLUGIN 17
#define MONATT_MR_SCHEDULING 18
#define MONATT_MR_INTROSPECTION 19
#define MONATT_MR_BOOT 20
#define MONATT_MR_HOST 21
#define MONATT_MR_REPORTS 22

#define MONATT_SHA256_SIZE 32
#define MONATT_SHA384_SIZE 48
#define MONATT_NONCE_SIZE 32
#define MONATT_BOOT_SEED_SIZE 32
/* One record of the event log holds at most this much content (properties.md 9). */
#define MONATT_CONTENT_MAXIMUM 1024
/*
 * Evidence carries the whole event log of a boot, so the log has an end: what a guest writes may
 * fill its share of it and no more, and never the host's disk.
 */
#define MONATT_EVENT_LOG_MAXIMUM (32u * 1024 * 1024)
#define MONATT_EVENT_LOG_GUEST_SHARE (24u * 1024 * 1024)
/* The guest's own process list, sent through the data window. */
#define MONATT_GUEST_LIST_MAXIMUM (256 * 1024)
/* What a guest binds the report that it asks for to; the length is configfs-tsm's. */
#define MONATT_INBLOB_MAXIMUM 64
/* Evidence that a guest gets of itself; read in pieces of 1 KiB, so more would take minutes. */
#define MONATT_GUEST_REPORT_MAXIMUM (8 * 1024 * 1024)

#define MONATT_ALG_SHA256 0x000b /* TPM_ALG_ID, TPM 2.0 Part 2, 6.3 */
#define MONATT_ALG_SHA384 0x000c

#endif
