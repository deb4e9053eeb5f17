/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command-report.c - monatt-guest report: evidence about this VM, for whoever asked this guest
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "guest/command.h"
#include "libmonatt/base/text.h"

/* A file of 1 to 64 bytes, or else that many in hexadecimal. */
static bool read_inblob(const char *text, uint8_t inblob[MONATT_INBLOB_MAXIMUM], size_t *ret_size,
                        MonattError *err)
{
    uint8_t bytes[MONATT_INBLOB_MAXIMUM + 1];
    size_t digits = strlen(text);
    ssize_t size = 0;
    int fd MONATT_CLEANUP_CLOSE =
        strcmp(text, "-") == 0 ? dup(STDIN_FILENO) : open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && digits % 2 == 0 && digits / 2 >= 1 &&
        digits / 2 <= MONATT_INBLOB_MAXIMUM &&
        monatt_text_to_bytes(text, bytes, digits / 2, NULL)) {
        size = (ssize_t)(digits / 2);
    } else if (fd < 0) {
        monatt_error_set_errno(err, errno, "inblob '%s'", text);
        return monatt_error_hint(err, "name a file, or give 2 to 128 hexadecimal digits");
    }
    while (fd >= 0 && size < (ssize_t)sizeof(bytes)) {
        ssize_t got = read(fd, bytes + size, sizeof(bytes) - (size_t)size);
        if (got < 0) {
            return monatt_error_set_errno(err, errno, "inblob '%s'", text);
        }
        if (got == 0) {
            break;
        }
        size += got;
    }
    if (size < 1 || size > MONATT_INBLOB_MAXIMUM) {
        return command_usage(text, "an inblob has 1 to 64 bytes", err);
    }
    memcpy(inblob, bytes, (size_t)size);
    *ret_size = (size_t)size;
    return true;
}

/* A file whole or not at all; to standard output without a name. */
static bool write_report(const char *path, const uint8_t *bytes, size_t size, MonattError *err)
{
    char temporary[4096];
    struct stat status;
    if (!path) {
        return fwrite(bytes, 1, size, stdout) == size ||
               monatt_error_set_errno(err, errno, "standard output");
    }
    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary)) {
        return command_usage("--output", "its name is too long", err);
    }
    /* A pipe or a device cannot be renamed over. */
    bool in_place = stat(path, &status) == 0 && !S_ISREG(status.st_mode);
    int fd MONATT_CLEANUP_CLOSE =
        in_place ? open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY)
                 : open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    size_t at = 0;
    while (fd >= 0 && at < size) {
        ssize_t written = write(fd, bytes + at, size - at);
        if (written <= 0) {
            break;
        }
        at += (size_t)written;
    }
    if (fd < 0 || at < size || (!in_place && rename(temporary, path) != 0)) {
        int number = errno;
        if (fd >= 0 && !in_place) {
            unlink(temporary);
        }
        return monatt_error_set_errno(err, number, "report '%s'", path);
    }
    return true;
}

static bool check(const Options *options, MonattError *err)
{
    return options->inblob || command_usage("report", "needs --inblob FILE or HEX", err);
}

static bool run(const Options *options, GuestDevice *device, MonattError *err)
{
    uint8_t inblob[MONATT_INBLOB_MAXIMUM];
    uint8_t *bytes MONATT_CLEANUP_FREE = NULL;
    size_t inblob_size = 0;
    size_t size = 0;
    return read_inblob(options->inblob, inblob, &inblob_size, err) &&
           guest_device_report(device, inblob, inblob_size, &bytes, &size, err) &&
           write_report(options->output, bytes, size, err);
}

const GuestCommand command_report = {"report", 0, 0, OPTION_INBLOB | OPTION_OUTPUT, check, run};
