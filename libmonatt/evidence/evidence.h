/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence.h - evidence as it travels: a CMW collection around claims, quotes and log
 *
 * The format is docs/formats/evidence.md (protocol version 1, section 4).  The collector builds,
 * the verifier takes apart; neither writes the JSON by hand.  What is hashed is the exact payload
 * as sent: nothing is ever serialised again by a receiver.
 */
#ifndef MONATT_EVIDENCE_EVIDENCE_H
#define MONATT_EVIDENCE_EVIDENCE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/error.h"
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/suite.h"
#include "libmonatt/formats/limits.h"

#define MONATT_EVIDENCE_PROFILE "tag:github.com,2026:monatt/evidence#1"
#define MONATT_EVIDENCE_VERSION 1
#define MONATT_EVIDENCE_MAXIMUM (64u * 1024 * 1024) /* whole file; the log is most of it */
#define MONATT_CLAIMS_MAXIMUM (64u * 1024)          /* protocol section 4 */
#define MONATT_NAME_SIZE_TPM 34                     /* u16 algorithm + SHA-256 */

G_BEGIN_DECLS

/* GError domain of all glib code of Monatt; codes are MonattErrorCode. */
#define MONATT_GERROR (monatt_gerror_quark())
GQuark monatt_gerror_quark(void);
/* Turns err into *error ("message" and, when there is one, "\nhint: …"); always FALSE. */
gboolean monatt_error_to_gerror(const MonattError *err, GError **error);
/* The hint of an error made by the above, or NULL; message up to the hint: free with g_free(). */
const char *monatt_gerror_hint(const GError *error);
char *monatt_gerror_message(const GError *error);

/* One quote with the register values it covers: three parts that tpm2_checkquote can take. */
typedef struct MonattQuote {
    GBytes *attest;     /* TPMS_ATTEST, marshalled */
    GBytes *signature;  /* TPMT_SIGNATURE, marshalled */
    uint16_t alg;       /* bank */
    uint32_t selection; /* bit i: PCR i, as the values were taken (checked against attest) */
    GBytes *values;     /* concatenated, one digest a selected PCR, ascending */
} MonattQuote;
void monatt_quote_free(MonattQuote *quote);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattQuote, monatt_quote_free)

/* The parts of one evidence file, before anything of them is believed. */
typedef struct MonattEvidence {
    GBytes *claims; /* JWS compact */
    MonattQuote *device_quote;
    MonattQuote *host_quote;
    GBytes *log;      /* event log, CEL-TLV */
    GBytes *host_log; /* may be empty */
    GBytes *opening;  /* r of the session's host commitment, 32 bytes; NULL when left out */
} MonattEvidence;
void monatt_evidence_free(MonattEvidence *evidence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattEvidence, monatt_evidence_free)

/* CMW collection (JSON, one line, no white space); free with g_bytes_unref(). */
GBytes *monatt_evidence_serialize(const MonattEvidence *evidence,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Strict: sizes, exact members, canonical base64url, no white space, nothing behind. */
MonattEvidence *monatt_evidence_parse(const void *bytes, size_t size,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One measurement in the claims' list m. */
typedef struct MonattMeasurement {
    char kind[32];  /* "boot", "tasks", "plugin" */
    uint8_t index;  /* register */
    uint64_t first; /* event-log record numbers, inclusive; first > last: none */
    uint64_t last;
    /* H over those records' encoded log entries: 32 bytes with S256, 48 with S384 */
    uint8_t digest[MONATT_SHA384_SIZE];
} MonattMeasurement;
#define MONATT_MEASUREMENTS_MAXIMUM 16

/* C of the protocol: the payload of the evidence JWS. */
typedef struct MonattClaims {
    char suite[8];                    /* "S256" or "S384" */
    uint8_t nonce[MONATT_NONCE_SIZE]; /* N3 */
    uint8_t ask[48];                  /* H(ask3); zeros-length (ask_size 0) at the own socket */
    size_t ask_size;
    int64_t iat; /* seconds, UNIX */
    uint8_t vid[MONATT_UUID_SIZE];
    uint8_t boot_seed[MONATT_BOOT_SEED_SIZE];
    uint64_t boot_count;
    uint64_t uptime_ns;
    uint32_t rm; /* MONATT_MEASURE_* as asked */
    MonattMeasurement m[MONATT_MEASUREMENTS_MAXIMUM];
    size_t m_count;
    uint8_t dek_name[MONATT_NAME_SIZE_TPM + 16]; /* TPM Name: algorithm and digest */
    size_t dek_name_size;
    uint8_t dak_name[MONATT_NAME_SIZE_TPM + 16];
    size_t dak_name_size;
    GBytes *dak_pub; /* TPMT_PUBLIC, marshalled */
    uint8_t sk_name[MONATT_NAME_SIZE_TPM + 16];
    size_t sk_name_size;
    GBytes *sk_pub; /* TPMT_PUBLIC, marshalled */
    uint64_t log_records;
    uint64_t log_bytes;
    uint8_t log_digest[48];
    uint64_t host_log_bytes;
    uint8_t host_log_digest[48];
    uint64_t host_ima_count;
    uint8_t previous[48]; /* Q3 of the previous evidence of this boot; zeros for the first */
    uint64_t number;      /* n, from 1 in each boot */
} MonattClaims;
void monatt_claims_free(MonattClaims *claims);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonattClaims, monatt_claims_free)

/* The payload octets; Q3 = H(octets).  The caller signs exactly these. */
GBytes *monatt_claims_serialize(const MonattClaims *claims,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Strict JSON: no duplicate or unknown member, integers only, eat_profile first. */
MonattClaims *monatt_claims_parse(const void *bytes, size_t size,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

#endif
