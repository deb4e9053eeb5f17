/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * segment-files.c - finds, empties and begins segments; must never write into one that is sealed
 */
#include "hw-attest/segment-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "libmonatt/base/log.h"
#include "libmonatt/base/macros.h"

void segment_files_init(SegmentFiles *files)
{
    for (size_t i = 0; i < SEGMENT_FILES; i++) {
        files->fds[i] = -1;
    }
    files->previous_fd = -1;
}

static int open_file(int folder_fd, const char *name)
{
    return openat(folder_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool segment_files_open(SegmentFiles *files, int folder_fd, MonattError *err)
{
    bool ok = true;
    for (size_t i = 0; i < SEGMENT_FILES && ok; i++) {
        char name[32] = "eventlog.cel";
        if (i > 0) {
            snprintf(name, sizeof(name), "eventlog.%zu.cel", i);
        }
        files->fds[i] = open_file(folder_fd, name);
        ok = files->fds[i] >= 0;
    }
    if (ok) {
        files->previous_fd = open_file(folder_fd, "eventlog.previous.cel");
        ok = files->previous_fd >= 0;
    }
    if (!ok) {
        int saved = errno;
        segment_files_close(files);
        return monatt_error_set_errno(err, saved, "event log: open");
    }
    return true;
}

void segment_files_close(SegmentFiles *files)
{
    for (size_t i = 0; i < SEGMENT_FILES; i++) {
        monatt_close_pointer(&files->fds[i]);
    }
    monatt_close_pointer(&files->previous_fd);
}

int segment_files_fd(const SegmentFiles *files, uint64_t segment)
{
    return files->fds[segment % SEGMENT_FILES];
}

bool segment_files_write(int fd, const uint8_t *bytes, size_t size, off_t offset)
{
    while (size > 0) {
        ssize_t written = pwrite(fd, bytes, size, offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        bytes += written;
        size -= (size_t)written;
        offset += written;
    }
    return true;
}

static bool read_start(int fd, uint8_t *buffer, size_t capacity, size_t *ret_size, MonattError *err)
{
    size_t size = 0;
    while (size < capacity) {
        ssize_t got = pread(fd, buffer + size, capacity - size, (off_t)size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return monatt_error_set_errno(err, errno, "event log: read");
        }
        if (got == 0) {
            break;
        }
        size += (size_t)got;
    }
    *ret_size = size;
    return true;
}

/* Do the quotes speak of this body?  No signature: only whether the whole of it reached the disk.
 */
static bool is_whole(const MonattCheckpoint *c)
{
    const MonattCheckpointQuote *quotes[] = {&c->quote256, &c->quote384};
    static const uint16_t banks[] = {MONATT_ALG_SHA256, MONATT_ALG_SHA384};
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(banks); i++) {
        uint8_t wanted[MONATT_CHECKPOINT_QUALIFYING_MAXIMUM];
        size_t size = 0;
        if (!monatt_checkpoint_qualifying(banks[i], c->body, c->body_size, wanted, &size, NULL) ||
            !memmem(quotes[i]->attest, quotes[i]->attest_size, wanted, size)) {
            return false;
        }
    }
    return true;
}

bool segment_files_find(const SegmentFiles *files, uint8_t *buffer, uint64_t *ret_segment,
                        MonattError *err)
{
    uint64_t found = 0;
    for (size_t i = 0; i < SEGMENT_FILES; i++) {
        MonattCheckpoint c;
        size_t size = 0;
        if (!read_start(files->fds[i], buffer, MONATT_CHECKPOINT_MAXIMUM, &size, err)) {
            return false;
        }
        if (monatt_checkpoint_is_there(buffer, size) &&
            monatt_checkpoint_parse(buffer, size, &c, NULL) && is_whole(&c) &&
            c.segment % SEGMENT_FILES == i && c.segment > found) {
            found = c.segment;
        }
    }
    *ret_segment = found;
    return true;
}

bool segment_files_empty(const SegmentFiles *files, uint64_t segment, MonattError *err)
{
    int fd = segment_files_fd(files, segment);
    if (ftruncate(fd, 0) != 0 || fdatasync(fd) != 0) {
        return monatt_error_set_errno(err, errno, "event log: empty the oldest segment");
    }
    return true;
}

bool segment_files_begin(const SegmentFiles *files, uint64_t segment, const uint8_t *checkpoint,
                         size_t size, MonattError *err)
{
    int fd = segment_files_fd(files, segment);
    if (segment_files_write(fd, checkpoint, size, 0) && fdatasync(fd) == 0) {
        return true;
    }
    int saved = errno;
    if (ftruncate(fd, 0) != 0) {
        monatt_log_warning("event log: half a checkpoint stays: %s", strerrordesc_np(errno));
    }
    return monatt_error_set_errno(err, saved, "event log: write the checkpoint");
}

bool segment_files_new_boot(const SegmentFiles *files, uint64_t segment, uint8_t *buffer,
                            size_t capacity, MonattError *err)
{
    /* Copied, not renamed: inside the sandbox no file may be made. */
    off_t offset = 0;
    int fd = segment_files_fd(files, segment);
    bool ok = ftruncate(files->previous_fd, 0) == 0;
    while (ok) {
        ssize_t got = pread(fd, buffer, capacity, offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        ok = got >= 0 && segment_files_write(files->previous_fd, buffer, (size_t)got, offset);
        if (got <= 0) {
            break;
        }
        offset += got;
    }
    /* A previous log that could not be kept whole is no reason to have no present one. */
    if (!ok || fdatasync(files->previous_fd) != 0) {
        monatt_log_warning("event log: the previous boot's log was not kept whole");
    }
    /* The present one last: until then it is found. */
    for (uint64_t i = 1; i <= SEGMENT_FILES; i++) {
        if (!segment_files_empty(files, segment + i, err)) {
            return false;
        }
    }
    return true;
}
