/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * store.h - what the collector remembers over its own death: reports, nonces, VMs seen
 *
 * SQLite, write-ahead log, synchronous=FULL: a report that was added is on disk.  No key is ever
 * written here.  One process a file (exclusive lock); calls may come from any thread.
 */
#ifndef MONATT_HOST_COLLECTOR_STORE_H
#define MONATT_HOST_COLLECTOR_STORE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/error.h"
#include "libmonatt/base/text.h"
#include "libmonatt/formats/limits.h"

/* The newest reports of a VM are kept, older ones go: a day at one a minute, and half again. */
#define STORE_REPORTS_A_VM 2000
/* …and no more bytes of evidence than this for a VM: each evidence holds the whole event log. */
#define STORE_BYTES_A_VM (512ll * 1024 * 1024)
/* Old ones are looked for at the first and every 16th report of a boot, so up to 15 more than the
 * limit may be there. */
#define STORE_PRUNE_INTERVAL 16
/* Nonces remembered, all VMs together; an asker draws 256 random bits, so this only stops people
 * (and tests) who repeat themselves. */
#define STORE_NONCES 100000
#define STORE_LIST_MAXIMUM (STORE_REPORTS_A_VM + STORE_PRUNE_INTERVAL)

typedef struct Store Store;

typedef struct StoreReport {
    uint8_t vid[MONATT_UUID_SIZE];
    uint8_t boot_seed[MONATT_BOOT_SEED_SIZE];
    uint64_t number; /* n, from 1 in each boot */
    uint8_t nonce[MONATT_NONCE_SIZE];
    uint8_t q3[MONATT_SHA256_SIZE];
    int64_t time_s; /* UNIX */
    uint64_t size;  /* of the evidence; filled when listed */
} StoreReport;

typedef struct StoreVm {
    uint8_t vid[MONATT_UUID_SIZE];
    char name[MONATT_NAME_SIZE];
    uint8_t boot_seed[MONATT_BOOT_SEED_SIZE];
    int64_t seen_s;
} StoreVm;

/* path: the database file, made when missing.  BUSY: another collector has it. */
Store *store_open(const char *path, MonattError *err) MONATT_MUST_CHECK;
void store_close(Store *store);

/*
 * All or nothing: report, its nonce and the VM's row.  True: on disk.  USAGE: the nonce was used
 * before; SYSTEM with ENOSPC: the disk is full, nothing was written.
 */
bool store_add_report(Store *store, const StoreReport *report, GBytes *evidence,
                      MonattError *err) MONATT_MUST_CHECK;
bool store_nonce_used(Store *store, const uint8_t nonce[MONATT_NONCE_SIZE], bool *ret_used,
                      MonattError *err) MONATT_MUST_CHECK;
/* The last report of this boot: number 0 and a zero q3 when there is none. */
bool store_last_report(Store *store, const uint8_t vid[MONATT_UUID_SIZE],
                       const uint8_t boot_seed[MONATT_BOOT_SEED_SIZE], uint64_t *ret_number,
                       uint8_t ret_q3[MONATT_SHA256_SIZE], MonattError *err) MONATT_MUST_CHECK;
/* Evidence of one report, byte for byte as it was sent; MISSING when it is not kept. */
GBytes *store_evidence(Store *store, const uint8_t vid[MONATT_UUID_SIZE],
                       const uint8_t boot_seed[MONATT_BOOT_SEED_SIZE], uint64_t number,
                       MonattError *err) MONATT_MUST_CHECK;
/* StoreReport elements, oldest first, of one boot; free with g_array_unref(). */
GArray *store_list(Store *store, const uint8_t vid[MONATT_UUID_SIZE],
                   const uint8_t boot_seed[MONATT_BOOT_SEED_SIZE],
                   MonattError *err) MONATT_MUST_CHECK;
/* Remembers that a VM was seen with this boot; written only when something changed. */
bool store_note_vm(Store *store, const StoreVm *vm, MonattError *err) MONATT_MUST_CHECK;
/*
 * Remembers which device TPM a VM has, by its EK's Name (TPM 2.0 Part 1, 16).  FAULT when another
 * VM was seen with it: one of the two is a copy, and a quote no longer says which VM it is of.
 */
bool store_note_ek(Store *store, const uint8_t vid[MONATT_UUID_SIZE], const uint8_t *ek_name,
                   size_t size, MonattError *err) MONATT_MUST_CHECK;
/* A VM that was seen once, by name or UUID text, the one seen last first. */
bool store_find_vm(Store *store, const char *name_or_uuid, StoreVm *ret_vm,
                   MonattError *err) MONATT_MUST_CHECK;
/* For people and audits: host id and validity of each session; no key, no certificate. */
bool store_note_session(Store *store, const char *host_id, int64_t from_s, int64_t until_s,
                        const uint8_t *sk_name, size_t sk_name_size,
                        MonattError *err) MONATT_MUST_CHECK;
/* Tests: makes the file full at so many pages of 4 KiB, as a full disk does. */
bool store_limit_pages(Store *store, unsigned pages, MonattError *err) MONATT_MUST_CHECK;

#endif
