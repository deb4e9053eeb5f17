/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-kernel.c - the kernel file of a VM, as its launcher measured it
 *
 * What the guest's memory is compared with: must never be a file that anybody can still change.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/vm-parts.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

bool vm_set_kernel(Device *device, int fd, MonattError *err)
{
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) != 0 || status.st_size <= 0) {
        close(fd);
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kernel: '%s': is no sealed file",
                                device->name);
    }
    device->kernel_fd = fd;
    device->kernel_size = (uint64_t)status.st_size;
    return true;
}
