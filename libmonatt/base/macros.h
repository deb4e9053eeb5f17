/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * macros.h - attributes and cleanup used everywhere; nothing here may need a library
 */
#ifndef MONATT_BASE_MACROS_H
#define MONATT_BASE_MACROS_H

#include <stddef.h>

#define MONATT_MUST_CHECK __attribute__((warn_unused_result))
#define MONATT_PRINTF(format_at, arguments_at)                                                     \
    __attribute__((format(printf, format_at, arguments_at)))
#define MONATT_UNUSED __attribute__((unused))
#define MONATT_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* int fd MONATT_CLEANUP_CLOSE = -1; closes on leaving the scope unless it is negative */
#define MONATT_CLEANUP_CLOSE __attribute__((cleanup(monatt_close_pointer)))
/* char *text MONATT_CLEANUP_FREE = NULL; */
#define MONATT_CLEANUP_FREE __attribute__((cleanup(monatt_free_pointer)))

void monatt_close_pointer(int *fd);
void monatt_free_pointer(void *pointer_to_pointer);

#endif
