/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-records.h - the two "MTE1" records that a guest writes about its own IMA list
 *
 * monatt-guest writes them, a verifier reads them; both only through these functions.  A guest
 * wrote them, so they are worth what the register says: of an IMA entry the register holds the
 * digest of the template data, as PCR 10 of a TPM would, and the record is the digest's
 * explanation, not what was hashed.  A guest knows neither its VM's UUID, nor the device TPM's
 * reset count, nor the host's clock: those header fields are zeros.
 */
#ifndef MONATT_FORMATS_IMA_RECORDS_H
#define MONATT_FORMATS_IMA_RECORDS_H

#include "libmonatt/formats/ima-list.h"
#include "libmonatt/formats/record.h"

#define MONATT_RECORD_SOURCE_GUEST 256 /* source id: not one of the collector's */
/* Fits beside both digests in the device's data window: an entry has one form on every way. */
#define MONATT_IMA_RECORD_MAXIMUM 944

typedef enum MonattImaForm {
    MONATT_IMA_FORM_DATA = 1,   /* the template data */
    MONATT_IMA_FORM_DIGEST = 2, /* their SHA-256: they would not have fitted */
} MonattImaForm;

/* 0x1001: u32 PCR | template digest 20 | u16 length, template name | u8 form | u32 size of the
 * template data | the data, or their SHA-256 */
typedef struct MonattImaEntryPayload {
    uint32_t pcr;
    uint8_t digest[MONATT_IMA_DIGEST_SIZE]; /* as listed; zeros: a violation */
    char name[MONATT_IMA_NAME_MAXIMUM + 1];
    uint8_t form; /* MonattImaForm; encode takes the one that must be */
    uint32_t data_size;
    const uint8_t *data;                /* form 1; not owned */
    uint8_t sha256[MONATT_SHA256_SIZE]; /* form 2 */
} MonattImaEntryPayload;

/* Which form an entry's record must have. */
MonattImaForm monatt_ima_form(size_t name_size, size_t data_size);
void monatt_ima_entry_encode(MonattWriter *w, const MonattImaEntryPayload *payload);
/* payload->data points into the record. */
bool monatt_ima_entry_decode(const MonattRecord *record, MonattImaEntryPayload *ret,
                             MonattError *err) MONATT_MUST_CHECK;

typedef enum MonattImaAnewReason {
    MONATT_IMA_ANEW_KEXEC = 1, /* another kernel was started without a VM reset */
    MONATT_IMA_ANEW_ASKED = 2, /* monatt-guest ima-follow --begin-anew */
} MonattImaAnewReason;

/* 0x1002: u16 reason | id of the guest kernel's boot 16.  Behind it the list counts from its first
 * entry again. */
typedef struct MonattImaAnewPayload {
    uint16_t reason;
    uint8_t boot_id[MONATT_UUID_SIZE];
} MonattImaAnewPayload;

void monatt_ima_anew_encode(MonattWriter *w, const MonattImaAnewPayload *payload);
bool monatt_ima_anew_decode(const MonattRecord *record, MonattImaAnewPayload *ret,
                            MonattError *err) MONATT_MUST_CHECK;

/* The whole record of a guest: header with zeros where a guest knows nothing. */
typedef void (*MonattImaEncode)(MonattWriter *w, const void *payload);
bool monatt_ima_record(uint16_t type, uint64_t sequence, MonattImaEncode encode,
                       const void *payload, uint8_t ret_record[MONATT_IMA_RECORD_MAXIMUM],
                       size_t *ret_size, MonattError *err) MONATT_MUST_CHECK;

#endif
