/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure.h - hashes what a VM starts from, out of copies that nobody can change any more
 *
 * A file is copied into a memfd, the memfd is sealed, and the digests are made of the sealed
 * bytes: QEMU gets exactly what was measured, whoever swaps the file meanwhile.
 */
#ifndef HW_ATTEST_LAUNCHER_MEASURE_H
#define HW_ATTEST_LAUNCHER_MEASURE_H

#include "libmonatt/control/control.h"

#define MEASURE_PATH_SIZE 32 /* "/proc/self/fd/N" */
/* No kernel, initrd or firmware is larger; the copy lives in memory beside the guest's. */
#define MEASURE_FILE_MAXIMUM (4ULL << 30)

typedef struct Measure {
    size_t count;
    MonattBootItemPayload items[MONATT_BOOT_ITEMS_MAXIMUM];
    bool has_kernel; /* measured with measure_file() */
    int kernel_fd;   /* its sealed copy; QEMU's, not to be closed */
} Measure;

/*
 * Measures a file as an item of this kind; ret_path names the sealed copy, which stays open in
 * the program that is executed.  MISSING, PERMISSION or SYSTEM with the path when it cannot be
 * read, LIMIT when it is too large or there are too many items.
 */
bool measure_file(Measure *measure, uint16_t kind, const char *path,
                  char ret_path[MEASURE_PATH_SIZE], MonattError *err) MONATT_MUST_CHECK;
/* As above without an item: for what goes into the machine description. */
bool measure_sealed(const char *path, const char *what, char ret_path[MEASURE_PATH_SIZE],
                    MonattBootItemPayload *ret_digests, MonattError *err) MONATT_MUST_CHECK;
/* Measures a file in its place, which QEMU opens by itself: its binary, a variable store. */
bool measure_in_place(Measure *measure, uint16_t kind, const char *path,
                      MonattError *err) MONATT_MUST_CHECK;
bool measure_bytes(Measure *measure, uint16_t kind, const char *name, const void *bytes,
                   size_t size, MonattError *err) MONATT_MUST_CHECK;

#endif
