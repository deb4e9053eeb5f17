/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-source.c - the entries of this guest's IMA list with the digests that the kernel extends
 *
 * Must never give an entry twice or leave one out, in however small pieces the kernel hands them
 * over, and never take more memory than the longest entry.
 */
#include "guest/ima-source.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "libmonatt/base/text.h"

#define READ_SIZE (64 * 1024)
#define BUFFER_SIZE (MONATT_IMA_ENTRY_MAXIMUM + READ_SIZE)

bool ima_source_open(ImaSource *source, const char *path, MonattError *err)
{
    memset(source, 0, sizeof(*source));
    source->path = path;
    source->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0) {
        int error = errno;
        monatt_error_set_errno(err, error, "IMA list: '%s'", path);
        return monatt_error_hint(err, error == EACCES
                                          ? "run as root"
                                          : "is securityfs mounted, and IMA on (ima_policy=tcb)?");
    }
    source->buffer = malloc(BUFFER_SIZE);
    if (!source->buffer) {
        ima_source_close(source);
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "IMA list: no memory");
    }
    return true;
}

void ima_source_close(ImaSource *source)
{
    monatt_close_pointer(&source->fd);
    free(source->buffer);
    source->buffer = NULL;
}

/* *ret_some false: there are no more bytes just now. */
static bool fill(ImaSource *source, bool *ret_some, MonattError *err)
{
    if (BUFFER_SIZE - source->end < READ_SIZE) {
        memmove(source->buffer, source->buffer + source->begin, source->end - source->begin);
        source->end -= source->begin;
        source->begin = 0;
    }
    for (;;) {
        ssize_t got = read(source->fd, source->buffer + source->end, READ_SIZE);
        if (got >= 0) {
            source->end += (size_t)got;
            *ret_some = got > 0;
            return true;
        }
        if (errno != EINTR) {
            return monatt_error_set_errno(err, errno, "IMA list: '%s'", source->path);
        }
    }
}

void ima_hash(const void *bytes, size_t size, uint8_t ret_sha256[MONATT_SHA256_SIZE],
              uint8_t ret_sha384[MONATT_SHA384_SIZE])
{
    struct sha256_ctx sha256;
    struct sha384_ctx sha384;
    sha256_init(&sha256);
    sha256_update(&sha256, size, bytes);
    sha256_digest(&sha256, MONATT_SHA256_SIZE, ret_sha256);
    sha384_init(&sha384);
    sha384_update(&sha384, size, bytes);
    sha384_digest(&sha384, MONATT_SHA384_SIZE, ret_sha384);
}

static void take_digests(ImaItem *item)
{
    uint8_t buffer[MONATT_IMA_OLD_HASHED];
    uint8_t listed[MONATT_IMA_DIGEST_SIZE];
    struct sha1_ctx sha1;
    size_t size;
    if (item->entry.violation) {
        memset(item->sha256, 0xff, sizeof(item->sha256));
        memset(item->sha384, 0xff, sizeof(item->sha384));
        return;
    }
    const uint8_t *bytes = monatt_ima_hashed(&item->entry, buffer, &size);
    sha1_init(&sha1);
    sha1_update(&sha1, size, bytes);
    sha1_digest(&sha1, sizeof(listed), listed);
    item->digest_wrong = !monatt_bytes_equal(listed, item->entry.digest, sizeof(listed));
    ima_hash(bytes, size, item->sha256, item->sha384);
}

bool ima_source_next(ImaSource *source, ImaItem *ret, bool *ret_some, MonattError *err)
{
    for (;;) {
        size_t used;
        MonattImaParse parse =
            monatt_ima_parse(source->buffer + source->begin, source->end - source->begin,
                             source->number, &ret->entry, &used, err);
        if (parse == MONATT_IMA_BAD) {
            return monatt_error_hint(err, "this kernel's list has a form that is not known");
        }
        if (parse == MONATT_IMA_WHOLE) {
            source->begin += used;
            ret->number = source->number++;
            ret->digest_wrong = false;
            take_digests(ret);
            *ret_some = true;
            return true;
        }
        if (!fill(source, ret_some, err)) {
            return false;
        }
        if (!*ret_some) {
            return true;
        }
    }
}

bool ima_source_cut(const ImaSource *source)
{
    return source->end > source->begin;
}

void ima_extend(uint8_t sha256[MONATT_SHA256_SIZE], uint8_t sha384[MONATT_SHA384_SIZE],
                const uint8_t digest256[MONATT_SHA256_SIZE],
                const uint8_t digest384[MONATT_SHA384_SIZE])
{
    struct sha256_ctx low;
    struct sha384_ctx high;
    sha256_init(&low);
    sha256_update(&low, MONATT_SHA256_SIZE, sha256);
    sha256_update(&low, MONATT_SHA256_SIZE, digest256);
    sha256_digest(&low, MONATT_SHA256_SIZE, sha256);
    sha384_init(&high);
    sha384_update(&high, MONATT_SHA384_SIZE, sha384);
    sha384_update(&high, MONATT_SHA384_SIZE, digest384);
    sha384_digest(&high, MONATT_SHA384_SIZE, sha384);
}
