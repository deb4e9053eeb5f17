/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-follow.h - streams this guest's IMA list into a measurement register, as a TPM's PCR has it
 */
#ifndef GUEST_IMA_FOLLOW_H
#define GUEST_IMA_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include "guest/ima-base.h"
#include "guest/linux/monatt-ioctl.h"

#define IMA_BATCH 64 /* entries that are handed over at once */

/* Where the entries go: the device, or a test's. */
typedef struct ImaTarget {
    void *data;
    /* Between lock and unlock nobody else uses the device, as far as that can be had. */
    bool (*lock)(void *data, MonattError *err);
    void (*unlock)(void *data);
    bool (*read)(void *data, uint32_t index, ImaValue *ret, MonattError *err);
    /* guest_device_submit() */
    bool (*submit)(void *data, struct monatt_slot *slots, uint32_t count, uint32_t *ret_done,
                   MonattError *err);
    /* Sleeps; false: come to an end. */
    bool (*pause)(void *data, unsigned ms);
} ImaTarget;

typedef struct ImaOptions {
    uint32_t index;   /* of the PCR whose entries are followed and of the register they go to */
    const char *list; /* binary_runtime_measurements */
    const char *run_dir;
    const char *proc;
    bool once;       /* end at the list's end */
    bool begin_anew; /* the register was moved by something else: count from here */
} ImaOptions;

typedef struct ImaCounts {
    uint64_t entries;    /* of the list, all PCRs */
    uint64_t known;      /* of those, in the register already when this began */
    uint64_t extended;   /* brought in since */
    uint64_t violations; /* of those */
    uint64_t others;     /* for other PCRs, passed over */
    uint64_t wrong;      /* whose listed SHA-1 is not that of their data: extended all the same */
    bool anew;           /* a record that the list begins anew was written */
} ImaCounts;

/*
 * Where the list and the register stand is found by replaying the list up to the register's value,
 * never by a note of this program alone.  ret is filled whatever is returned.
 *
 * FAULT: something else extended the register; BUSY: another ima-follow runs; LIMIT: the guest's
 * share of the event log is full; FORMAT: not such a list; MISSING, PERMISSION, PEER, SYSTEM.
 */
bool ima_follow(const ImaTarget *target, const ImaOptions *options, ImaCounts *ret,
                MonattError *err) MONATT_MUST_CHECK;

#endif
