/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file-digest.h - SHA-256 and SHA-384 of a file in one reading
 */
#ifndef GUEST_FILE_DIGEST_H
#define GUEST_FILE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/error.h"
#include "libmonatt/formats/limits.h"

/* "-" is standard input.  SYSTEM: it cannot be read; MISSING: it is not there. */
bool file_digest(const char *path, uint8_t ret_sha256[MONATT_SHA256_SIZE],
                 uint8_t ret_sha384[MONATT_SHA384_SIZE], MonattError *err) MONATT_MUST_CHECK;

#endif
