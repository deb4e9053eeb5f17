/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-source.h - the entries of this guest's IMA list with the digests that the kernel extends
 */
#ifndef GUEST_IMA_SOURCE_H
#define GUEST_IMA_SOURCE_H

#include "libmonatt/formats/ima-list.h"
#include "libmonatt/formats/limits.h"

/*
 * The list can only be read from its start: securityfs cannot seek to an entry, and neither poll
 * nor inotify say that there are more.  So the file stays open: a read at its end gives nothing and
 * a later one what has come since.
 */
typedef struct ImaSource {
    int fd;
    const char *path; /* not owned */
    uint64_t number;  /* entries given so far: the next one's number */
    size_t begin;     /* of the bytes that are not parsed yet */
    size_t end;
    uint8_t *buffer;
} ImaSource;

typedef struct ImaItem {
    MonattImaEntry entry; /* its data are good until the next call */
    uint64_t number;
    bool digest_wrong; /* the listed SHA-1 is not that of the data */
    /* What a PCR of the bank is extended with; ones for a violation. */
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
} ImaItem;

/* Also begins a list that is open from its first entry. */
bool ima_source_open(ImaSource *source, const char *path, MonattError *err) MONATT_MUST_CHECK;
void ima_source_close(ImaSource *source);
/* *ret_some false: the list has no more entries just now. */
bool ima_source_next(ImaSource *source, ImaItem *ret, bool *ret_some,
                     MonattError *err) MONATT_MUST_CHECK;
/* At the end: are there bytes of an entry that is not whole? */
bool ima_source_cut(const ImaSource *source);
void ima_hash(const void *bytes, size_t size, uint8_t ret_sha256[MONATT_SHA256_SIZE],
              uint8_t ret_sha384[MONATT_SHA384_SIZE]);
/* register <- H(register || digest) in both banks. */
void ima_extend(uint8_t sha256[MONATT_SHA256_SIZE], uint8_t sha384[MONATT_SHA384_SIZE],
                const uint8_t digest256[MONATT_SHA256_SIZE],
                const uint8_t digest384[MONATT_SHA384_SIZE]);

#endif
