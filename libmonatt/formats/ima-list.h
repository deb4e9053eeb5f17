/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-list.h - one entry of Linux's IMA measurement list, in its binary form
 *
 * As /sys/kernel/security/ima/binary_runtime_measurements has it (Linux security/integrity/ima/,
 * ima_measurements_show() in ima_fs.c), fields in the machine's byte order, little-endian here:
 *
 *   u32 PCR | template digest, SHA-1, 20 | u32 length, name | u32 length, template data
 *
 * The template "ima" has no length before its data, which are: digest 20 | u32 length, file name.
 * Template data of all others are fields, each u32 length and bytes; they are not looked into: what
 * the kernel extends is a hash over exactly these bytes, whatever they say, so that templates of
 * tomorrow are followed too.
 */
#ifndef MONATT_FORMATS_IMA_LIST_H
#define MONATT_FORMATS_IMA_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

#define MONATT_IMA_DIGEST_SIZE 20
#define MONATT_IMA_NAME_MAXIMUM 255 /* MAX_TEMPLATE_NAME_LEN of the kernel and more */
#define MONATT_IMA_DATA_MAXIMUM (1024 * 1024)
#define MONATT_IMA_PCR_COUNT 24
/* The longest entry: who has fewer bytes must be able to hold this many. */
#define MONATT_IMA_ENTRY_MAXIMUM                                                                   \
    (4 + MONATT_IMA_DIGEST_SIZE + 4 + MONATT_IMA_NAME_MAXIMUM + 4 + MONATT_IMA_DATA_MAXIMUM)
#define MONATT_IMA_OLD_NAME 256 /* of a file in the template "ima", as it is hashed */
#define MONATT_IMA_OLD_HASHED (MONATT_IMA_DIGEST_SIZE + MONATT_IMA_OLD_NAME)

typedef struct MonattImaEntry {
    uint32_t pcr;
    uint8_t digest[MONATT_IMA_DIGEST_SIZE]; /* SHA-1 of the template data, or zeros */
    bool violation;                         /* zeros: the kernel extended ones in its place */
    char name[MONATT_IMA_NAME_MAXIMUM + 1]; /* "ima-ng"; printable ASCII */
    const uint8_t *data;                    /* as listed; within the bytes that were parsed */
    size_t data_size;
} MonattImaEntry;

typedef enum MonattImaParse {
    MONATT_IMA_WHOLE,   /* an entry, *ret_used bytes long */
    MONATT_IMA_PARTIAL, /* the bytes end within an entry; nothing else was written */
    MONATT_IMA_BAD,     /* no such list: FORMAT or LIMIT */
} MonattImaParse;

/* The entry that begins at bytes[0].  number: which one it is, for the message. */
MonattImaParse monatt_ima_parse(const void *bytes, size_t size, uint64_t number,
                                MonattImaEntry *ret, size_t *ret_used,
                                MonattError *err) MONATT_MUST_CHECK;
/*
 * What a bank's digest is a hash of (ima_calc_field_array_hash_tfm() in ima_crypto.c): the data as
 * listed; of the template "ima" digest and file name, this padded to 256 bytes, for which buffer is
 * used.  The pointer is into entry->data or buffer.  A violation has no digest: all ones.
 */
const uint8_t *monatt_ima_hashed(const MonattImaEntry *entry, uint8_t buffer[MONATT_IMA_OLD_HASHED],
                                 size_t *ret_size);

#endif
