/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure.c - sealed copies and their digests; must never hash bytes that can still change
 */
#include "hw-attest/launcher/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/text.h"

#define COPY_BYTES (1U << 20)

static const char *measure_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool measure_refuse(const char *what, const char *path, int saved, MonattError *err)
{
    monatt_error_set_errno(err, saved, "%s: '%.120s'", what, path);
    if (err && saved == ENOENT) {
        err->code = MONATT_ERROR_MISSING;
        return monatt_error_hint(err, "a relative path starts where monatt-qemu was started");
    } else if (err && (saved == EACCES || saved == EPERM)) {
        err->code = MONATT_ERROR_PERMISSION;
        return monatt_error_hint(err, "user %u must be able to read it", (unsigned)geteuid());
    }
    return false;
}

static bool measure_digests(const void *bytes, size_t size, MonattBootItemPayload *item)
{
    /* Both in one pass over a block, so that a large initrd goes through the cache once. */
    EVP_MD_CTX *small = EVP_MD_CTX_new();
    EVP_MD_CTX *large = EVP_MD_CTX_new();
    bool good = small && large && EVP_DigestInit_ex(small, EVP_sha256(), NULL) == 1 &&
                EVP_DigestInit_ex(large, EVP_sha384(), NULL) == 1;
    for (size_t at = 0; good && at < size; at += COPY_BYTES) {
        size_t part = size - at < COPY_BYTES ? size - at : COPY_BYTES;
        good = EVP_DigestUpdate(small, (const char *)bytes + at, part) == 1 &&
               EVP_DigestUpdate(large, (const char *)bytes + at, part) == 1;
    }
    good = good && EVP_DigestFinal_ex(small, item->sha256, NULL) == 1 &&
           EVP_DigestFinal_ex(large, item->sha384, NULL) == 1;
    EVP_MD_CTX_free(small);
    EVP_MD_CTX_free(large);
    item->size = size;
    return good;
}

static bool measure_descriptor(int fd, const char *what, const char *path,
                               MonattBootItemPayload *item, MonattError *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return measure_refuse(what, path, errno, err);
    }
    size_t size = (size_t)status.st_size;
    void *bytes = size > 0 ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : NULL;
    if (bytes == MAP_FAILED) {
        return measure_refuse(what, path, errno, err);
    }
    bool good = measure_digests(bytes ? bytes : "", size, item);
    if (bytes) {
        munmap(bytes, size);
    }
    return good ? true : monatt_error_set(err, MONATT_ERROR_INTERNAL, "%s: no digest", what);
}

static bool measure_open(const char *what, const char *path, int *ret_fd, MonattError *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */
    if (fd < 0) {
        return measure_refuse(what, path, errno, err);
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return monatt_error_set(err, MONATT_ERROR_USAGE, "%s: '%.120s': is not a file", what, path);
    }
    if ((uint64_t)status.st_size > MEASURE_FILE_MAXIMUM) {
        close(fd);
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "%s: '%.120s': is larger than %llu MiB",
                                what, path, MEASURE_FILE_MAXIMUM >> 20);
    }
    *ret_fd = fd;
    return true;
}

static bool measure_copy(int from, int to, const char *what, const char *path, MonattError *err)
{
    uint64_t total = 0;
    for (;;) {
        ssize_t sent = sendfile(to, from, NULL, COPY_BYTES);
        if (sent < 0) {
            return measure_refuse(what, path, errno, err);
        }
        if (sent == 0) {
            break;
        }
        total += (uint64_t)sent;
        if (total > MEASURE_FILE_MAXIMUM) { /* it grows while it is read */
            return measure_refuse(what, path, EFBIG, err);
        }
    }
    if (fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        return measure_refuse(what, path, errno, err);
    }
    return true;
}

static bool measure_seal(const char *path, const char *what, int *ret_fd,
                         MonattBootItemPayload *ret_digests, MonattError *err)
{
    int from MONATT_CLEANUP_CLOSE = -1;
    if (!measure_open(what, path, &from, err)) {
        return false;
    }
    /* Not close-on-exec: QEMU opens it by its number. */
    int copy = memfd_create("monatt-boot", MFD_ALLOW_SEALING);
    if (copy < 0) {
        return measure_refuse(what, path, errno, err);
    }
    if (!measure_copy(from, copy, what, path, err) ||
        !measure_descriptor(copy, what, path, ret_digests, err)) {
        close(copy);
        return false;
    }
    *ret_fd = copy;
    return true;
}

static void measure_path(int fd, char ret_path[MEASURE_PATH_SIZE])
{
    snprintf(ret_path, MEASURE_PATH_SIZE, "/proc/self/fd/%d", fd);
}

bool measure_sealed(const char *path, const char *what, char ret_path[MEASURE_PATH_SIZE],
                    MonattBootItemPayload *ret_digests, MonattError *err)
{
    int copy;
    if (!measure_seal(path, what, &copy, ret_digests, err)) {
        return false;
    }
    measure_path(copy, ret_path);
    return true;
}

static bool measure_room(const Measure *measure, MonattError *err)
{
    return measure->count < MONATT_BOOT_ITEMS_MAXIMUM
               ? true
               : monatt_error_set(err, MONATT_ERROR_LIMIT,
                                  "boot measurement: more than %d files to start from",
                                  MONATT_BOOT_ITEMS_MAXIMUM);
}

static void measure_name(MonattBootItemPayload *item, uint16_t kind, const char *name)
{
    item->kind = kind;
    monatt_text_printable(name, strlen(name), item->name, sizeof(item->name));
}

bool measure_file(Measure *measure, uint16_t kind, const char *path,
                  char ret_path[MEASURE_PATH_SIZE], MonattError *err)
{
    MonattBootItemPayload item = {0};
    int copy;
    if (!measure_room(measure, err) ||
        !measure_seal(path, monatt_boot_item_kind_name(kind), &copy, &item, err)) {
        return false;
    }
    measure_path(copy, ret_path);
    if (kind == MONATT_BOOT_KERNEL) {
        measure->has_kernel = true;
        measure->kernel_fd = copy;
    }
    measure_name(&item, kind, measure_base_name(path));
    measure->items[measure->count++] = item;
    return true;
}

bool measure_in_place(Measure *measure, uint16_t kind, const char *path, MonattError *err)
{
    MonattBootItemPayload item = {0};
    int fd MONATT_CLEANUP_CLOSE = -1;
    const char *what = monatt_boot_item_kind_name(kind);
    if (!measure_room(measure, err) || !measure_open(what, path, &fd, err) ||
        !measure_descriptor(fd, what, path, &item, err)) {
        return false;
    }
    measure_name(&item, kind, measure_base_name(path));
    measure->items[measure->count++] = item;
    return true;
}

bool measure_bytes(Measure *measure, uint16_t kind, const char *name, const void *bytes,
                   size_t size, MonattError *err)
{
    MonattBootItemPayload item = {0};
    if (!measure_room(measure, err)) {
        return false;
    }
    if (!measure_digests(bytes, size, &item)) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "boot measurement: no digest");
    }
    measure_name(&item, kind, name);
    measure->items[measure->count++] = item;
    return true;
}
