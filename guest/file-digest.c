/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-digest.c - SHA-256 and SHA-384 of a file in one reading
 *
 * Must never hash less than the whole file: a read error is an error, not an end.
 */
#include "guest/file-digest.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <unistd.h>

#define FILE_DIGEST_BUFFER (64 * 1024)

bool file_digest(const char *path, uint8_t ret_sha256[MONATT_SHA256_SIZE],
                 uint8_t ret_sha384[MONATT_SHA384_SIZE], MonattError *err)
{
    static uint8_t buffer[FILE_DIGEST_BUFFER];
    struct sha256_ctx sha256;
    struct sha384_ctx sha384;
    ssize_t size;
    int fd MONATT_CLEANUP_CLOSE =
        strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        monatt_error_set_errno(err, errno, "file '%s': open", path);
        return false;
    }
    sha256_init(&sha256);
    sha384_init(&sha384);
    while ((size = read(fd, buffer, sizeof(buffer))) != 0) {
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0) {
            return monatt_error_set_errno(err, errno, "file '%s': read", path);
        }
        sha256_update(&sha256, (size_t)size, buffer);
        sha384_update(&sha384, (size_t)size, buffer);
    }
    sha256_digest(&sha256, MONATT_SHA256_SIZE, ret_sha256);
    sha384_digest(&sha384, MONATT_SHA384_SIZE, ret_sha384);
    return true;
}
