/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence-maker.h - for tests only: whole evidence files without a TPM, a device or a guest
 *
 * Does what collector, device and host TPM do together, from fields that a test may set, and then
 * breaks what it is asked to break: everything else of the evidence stays right and signed, so
 * that only the check in question can refuse it.
 */
#ifndef MONATT_TESTS_EVIDENCE_MAKER_H
#define MONATT_TESTS_EVIDENCE_MAKER_H

#include "libmonatt/evidence/evidence.h"
#include "libmonatt/formats/record-payloads.h"

#define EVIDENCE_MAKER_ITEMS 5 /* firmware, kernel, initrd, command line, qemu */

typedef struct EvidenceMaker {
    const char *directory; /* keys and CA; made when they are missing */
    const char *suite;
    const char *host_id;     /* that the CA certifies */
    const char *logged_host; /* that the host log names; NULL: host_id */
    uint8_t nonce[MONATT_NONCE_SIZE];
    uint8_t vid[MONATT_UUID_SIZE];
    uint8_t boot_seed[MONATT_BOOT_SEED_SIZE];
    uint64_t boot_count;
    uint64_t uptime_ns; /* 0: a little after the last record */
    int64_t iat;        /* 0: now */
    uint32_t rm;
    unsigned earlier;                        /* reports of this boot before this one */
    uint8_t previous[48];                    /* Q3 of the one before */
    const char *items[EVIDENCE_MAKER_ITEMS]; /* content that is hashed; NULL: left out */
    unsigned guest_extends;
    MonattTasksSummaryPayload tasks;
    gboolean without_tasks;
    uint32_t flags; /* of the task records */
    uint32_t coverage_ppm;
    unsigned hidden;     /* findings, with pid 4000 and on */
    unsigned hidden_in;  /* report that they are of; 0: all */
    unsigned seal_after; /* report after which the log is cut, and after the next one; 0: never */
    gboolean with_locks;
    const char *host_state; /* what the host's PCR values are made from */
    gboolean without_opening;
    const char *bad; /* one of evidence_maker_bad_names(), or NULL */
    /* Results. */
    uint8_t q3[48];
    size_t q3_size;
    GBytes *claims_octets;
} EvidenceMaker;

void evidence_maker_init(EvidenceMaker *maker, const char *directory, const char *suite);
void evidence_maker_clear(EvidenceMaker *maker);
MonattEvidence *evidence_maker_make(EvidenceMaker *maker);
/* NULL-terminated: name, what is wrong, name, what is wrong … */
const char *const *evidence_maker_bad_names(void);

#endif
