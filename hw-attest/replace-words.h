/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace-words.h - the vfio-user device as QEMU is told of it, at start and when it is replaced
 *
 * The launcher writes it on the command line, the device process into QMP's device_add: one form,
 * so that a replaced device is the same one to the guest.
 */
#ifndef HW_ATTEST_REPLACE_WORDS_H
#define HW_ATTEST_REPLACE_WORDS_H

#include <jansson.h>

#define REPLACE_DEVICE "monatt0"   /* the device's id, with every wire */
#define REPLACE_PORT "monatt-port" /* id of its root port on q35, and so its bus's name */
/* QEMU's main loop waits so long for an answer that does not come: short, in milliseconds. */
#define REPLACE_MESSAGE_TIMEOUT_MS 1000

/* A new object for -device or device_add; NULL when there is no memory or path is no UTF-8. */
static inline json_t *replace_device_words(const char *bus, const char *path)
{
    return json_pack("{s:s, s:s, s:s, s:{s:s, s:s}, s:i}", "driver", "vfio-user-pci", "id",
                     REPLACE_DEVICE, "bus", bus, "socket", "type", "unix", "path", path,
                     "x-msg-timeout", REPLACE_MESSAGE_TIMEOUT_MS);
}

#endif
