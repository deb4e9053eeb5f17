/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * segment-files.h - the files of a boot's log, opened before the sandbox and used in turn
 *
 * Segment n is in file n % SEGMENT_FILES.  Which one is the present one is told by what stands in
 * them alone, so a device that dies at any place leaves no doubt (docs/formats/event-log.md).
 */
#ifndef HW_ATTEST_SEGMENT_FILES_H
#define HW_ATTEST_SEGMENT_FILES_H

#include <sys/types.h>
#include "libmonatt/eventlog/checkpoint.h"

#define SEGMENT_FILES 9 /* the present one and eight before it */

typedef struct SegmentFiles {
    int fds[SEGMENT_FILES]; /* -1: not open */
    int previous_fd;        /* eventlog.previous.cel: the last segment of the boot before */
} SegmentFiles;

void segment_files_init(SegmentFiles *files);
/* Makes those that are missing, in the VM's state folder. */
bool segment_files_open(SegmentFiles *files, int folder_fd, MonattError *err) MONATT_MUST_CHECK;
void segment_files_close(SegmentFiles *files);
int segment_files_fd(const SegmentFiles *files, uint64_t segment);
/* The segment with the highest whole checkpoint, 0 when there is none; buffer: room for
 * MONATT_CHECKPOINT_MAXIMUM bytes. */
bool segment_files_find(const SegmentFiles *files, uint8_t *buffer, uint64_t *ret_segment,
                        MonattError *err) MONATT_MUST_CHECK;
/* The two steps that begin a segment: its file is empty, then it holds the checkpoint; each on disk
 * when it returns true.  A failed second step leaves the file empty if that can be. */
bool segment_files_empty(const SegmentFiles *files, uint64_t segment,
                         MonattError *err) MONATT_MUST_CHECK;
bool segment_files_begin(const SegmentFiles *files, uint64_t segment, const uint8_t *checkpoint,
                         size_t size, MonattError *err) MONATT_MUST_CHECK;
/* Copies the segment to the previous boot's file and empties all others: a new boot's log. */
bool segment_files_new_boot(const SegmentFiles *files, uint64_t segment, uint8_t *buffer,
                            size_t capacity, MonattError *err) MONATT_MUST_CHECK;

bool segment_files_write(int fd, const uint8_t *bytes, size_t size, off_t offset);

#endif
