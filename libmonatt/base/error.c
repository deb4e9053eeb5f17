/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error.c - fixed-size errors: set, prefix, hint; must never allocate or lock
 */
#include "libmonatt/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void monatt_close_pointer(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        /* Not retried on EINTR: Linux has closed the descriptor by then. */
        close(*fd);
        errno = saved;
        *fd = -1;
    }
}

void monatt_free_pointer(void *pointer_to_pointer)
{
    void **pointer = pointer_to_pointer;
    free(*pointer);
    *pointer = NULL;
}

static void set_va(MonattError *err, MonattErrorCode code, int system_errno, const char *format,
                   va_list arguments)
{
    err->code = code;
    err->system_errno = system_errno;
    err->hint[0] = '\0';
    vsnprintf(err->message, sizeof(err->message), format, arguments);
}

bool monatt_error_set(MonattError *err, MonattErrorCode code, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        set_va(err, code, 0, format, arguments);
        va_end(arguments);
    }
    return false;
}

static MonattErrorCode code_of_errno(int system_errno)
{
    switch (system_errno) {
    case EACCES:
    case EPERM:
        return MONATT_ERROR_PERMISSION;
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return MONATT_ERROR_MISSING;
    case EAGAIN:
    case EBUSY:
        return MONATT_ERROR_BUSY;
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
        return MONATT_ERROR_PEER;
    default:
        return MONATT_ERROR_SYSTEM;
    }
}

bool monatt_error_set_errno(MonattError *err, int system_errno, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        set_va(err, code_of_errno(system_errno), system_errno, format, arguments);
        va_end(arguments);
        /* strerrordesc_np: a constant table, safe where strerror would allocate or read files. */
        const char *description = strerrordesc_np(system_errno);
        size_t length = strlen(err->message);
        snprintf(err->message + length, sizeof(err->message) - length, ": %s",
                 description ? description : "unknown error");
    }
    return false;
}

bool monatt_error_hint(MonattError *err, const char *format, ...)
{
    if (err) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(err->hint, sizeof(err->hint), format, arguments);
        va_end(arguments);
    }
    return false;
}

bool monatt_error_prefix(MonattError *err, const char *format, ...)
{
    if (err) {
        char context[MONATT_ERROR_MESSAGE_SIZE];
        char old[MONATT_ERROR_MESSAGE_SIZE];
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(context, sizeof(context), format, arguments);
        va_end(arguments);
        memcpy(old, err->message, sizeof(old));
        size_t length = strlen(context);
        memcpy(err->message, context, length + 1);
        /* Cutting the tail is allowed: the front says what failed on what. */
        size_t room = sizeof(err->message) - length;
        if (room > sizeof(": ")) {
            snprintf(err->message + length, room, ": %.*s", (int)(room - sizeof(": ")), old);
        }
    }
    return false;
}

void monatt_error_clear(MonattError *err)
{
    if (err) {
        memset(err, 0, sizeof(*err));
    }
}

const char *monatt_error_code_name(MonattErrorCode code)
{
    static const char *const names[] = {
        [MONATT_ERROR_NONE] = "none",
        [MONATT_ERROR_USAGE] = "usage",
        [MONATT_ERROR_SYSTEM] = "system",
        [MONATT_ERROR_MISSING] = "missing",
        [MONATT_ERROR_PERMISSION] = "permission",
        [MONATT_ERROR_FORMAT] = "format",
        [MONATT_ERROR_LIMIT] = "limit",
        [MONATT_ERROR_BUSY] = "busy",
        [MONATT_ERROR_PEER] = "peer",
        [MONATT_ERROR_TPM] = "tpm",
        [MONATT_ERROR_REFUSED] = "refused",
        [MONATT_ERROR_FAULT] = "fault",
        [MONATT_ERROR_INTERNAL] = "internal",
    };
    _Static_assert(MONATT_ARRAY_SIZE(names) == MONATT_ERROR_COUNT, "a code without a name");
    return (unsigned)code < MONATT_ERROR_COUNT ? names[code] : "internal";
}

MonattExit monatt_error_exit_code(MonattErrorCode code)
{
    switch (code) {
    case MONATT_ERROR_NONE:
        return MONATT_EXIT_DONE;
    case MONATT_ERROR_USAGE:
        return MONATT_EXIT_USAGE;
    case MONATT_ERROR_REFUSED:
        return MONATT_EXIT_REFUSED;
    default:
        return MONATT_EXIT_FAILED;
    }
}
