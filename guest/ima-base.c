/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-base.c - keeps and finds what the position in a list is counted from
 *
 * Must never be believed alone: whoever can write the note can extend the register anyway, but a
 * stale one must not make an entry count twice.
 */
#include "guest/ima-base.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOADER_KEXEC 0xd
#define NOTE_SIZE 1024 /* one line of hexadecimal: 32 + 2 * 160 digits and a little more */

/* The note's fields as bytes, in this order. */
#define BASE_BYTES (2 + MONATT_UUID_SIZE + 2 * (MONATT_SHA256_SIZE + MONATT_SHA384_SIZE))
static const char note_head[] = "monatt ima-base 1 ";

static bool read_text(const char *path, char *text, size_t capacity)
{
    int fd MONATT_CLEANUP_CLOSE = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t size = fd >= 0 ? read(fd, text, capacity - 1) : -1;
    if (size < 0) {
        return false;
    }
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return true;
}

bool ima_base_lock(const char *run_dir, uint32_t index, int *ret_lock, MonattError *err)
{
    char path[PATH_MAX];
    if (mkdir(run_dir, 0755) != 0 && errno != EEXIST) {
        monatt_error_set_errno(err, errno, "folder '%s'", run_dir);
        return monatt_error_hint(err, "name another one with --run-dir");
    }
    snprintf(path, sizeof(path), "%s/ima-%u.lock", run_dir, index);
    int fd MONATT_CLEANUP_CLOSE = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return monatt_error_set_errno(err, errno, "'%s'", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return monatt_error_set_errno(err, errno, "'%s'", path);
        }
        return monatt_error_set(err, MONATT_ERROR_BUSY, "MR%u: another ima-follow is at it", index);
    }
    *ret_lock = fd;
    fd = -1;
    return true;
}

static void put(uint8_t **at, const void *bytes, size_t size)
{
    memcpy(*at, bytes, size);
    *at += size;
}

static void take(const uint8_t **at, void *bytes, size_t size)
{
    memcpy(bytes, *at, size);
    *at += size;
}

void ima_base_load(const char *run_dir, uint32_t index, ImaBase *ret, bool *ret_some)
{
    char path[PATH_MAX];
    char text[NOTE_SIZE];
    uint8_t bytes[BASE_BYTES];
    size_t head = strlen(note_head);
    *ret_some = false;
    snprintf(path, sizeof(path), "%s/ima-%u", run_dir, index);
    if (!read_text(path, text, sizeof(text)) || strncmp(text, note_head, head) != 0 ||
        !monatt_text_to_bytes(text + head, bytes, sizeof(bytes), NULL)) {
        return;
    }
    const uint8_t *at = bytes + 2;
    ret->reason = (uint16_t)(bytes[0] << 8 | bytes[1]);
    take(&at, ret->boot_id, sizeof(ret->boot_id));
    take(&at, ret->before.sha256, sizeof(ret->before.sha256));
    take(&at, ret->before.sha384, sizeof(ret->before.sha384));
    take(&at, ret->base.sha256, sizeof(ret->base.sha256));
    take(&at, ret->base.sha384, sizeof(ret->base.sha384));
    *ret_some = true;
}

bool ima_base_store(const char *run_dir, uint32_t index, const ImaBase *base, MonattError *err)
{
    char path[PATH_MAX];
    char temporary[PATH_MAX];
    char text[NOTE_SIZE];
    uint8_t bytes[BASE_BYTES] = {(uint8_t)(base->reason >> 8), (uint8_t)base->reason};
    uint8_t *at = bytes + 2;
    put(&at, base->boot_id, sizeof(base->boot_id));
    put(&at, base->before.sha256, sizeof(base->before.sha256));
    put(&at, base->before.sha384, sizeof(base->before.sha384));
    put(&at, base->base.sha256, sizeof(base->base.sha256));
    put(&at, base->base.sha384, sizeof(base->base.sha384));
    memcpy(text, note_head, sizeof(note_head));
    monatt_text_from_bytes(bytes, sizeof(bytes), text + strlen(note_head));
    size_t size = strlen(text);
    text[size++] = '\n';
    snprintf(path, sizeof(path), "%s/ima-%u", run_dir, index);
    snprintf(temporary, sizeof(temporary), "%s/ima-%u.new", run_dir, index);
    int fd MONATT_CLEANUP_CLOSE =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || fsync(fd) != 0 ||
        rename(temporary, path) != 0) {
        return monatt_error_set_errno(err, errno, "'%s'", path);
    }
    return true;
}

bool ima_base_boot_id(const char *proc, uint8_t ret[MONATT_UUID_SIZE], MonattError *err)
{
    char path[PATH_MAX];
    char text[NOTE_SIZE];
    snprintf(path, sizeof(path), "%s/sys/kernel/random/boot_id", proc);
    if (!read_text(path, text, sizeof(text))) {
        monatt_error_set_errno(err, errno, "'%s'", path);
        return monatt_error_hint(err, "is proc mounted at %s?", proc);
    }
    return monatt_text_to_uuid(text, ret, err);
}

bool ima_base_kexec(const char *proc)
{
    char path[PATH_MAX];
    char text[NOTE_SIZE];
    snprintf(path, sizeof(path), "%s/sys/kernel/bootloader_type", proc);
    return read_text(path, text, sizeof(text)) && strtoul(text, NULL, 10) >> 4 == LOADER_KEXEC;
}
