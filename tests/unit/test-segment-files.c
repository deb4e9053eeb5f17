/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-segment-files.c - a device killed between any two steps of a seal leaves one present segment
 *
 * The steps are done one by one on real files, each as far as a killed process may have come.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include "hw-attest/event-log.h"
#include "tests/lib/log-maker.h"

static const uint8_t vid[MONATT_UUID_SIZE] = {0x22};
static const uint8_t seed[MONATT_BOOT_SEED_SIZE] = {0x33};

typedef struct Place {
    char *folder;
    int fd;
    EventLog log;
    LogMaker maker;
    uint8_t *buffer;
} Place;

static void begin(Place *place)
{
    GError *error = NULL;
    memset(place, 0, sizeof(*place));
    place->folder = g_dir_make_tmp("monatt-segments-XXXXXX", &error);
    g_assert_no_error(error);
    place->fd = open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    event_log_init(&place->log);
    g_assert_true(event_log_open(&place->log, place->fd, NULL));
    log_maker_init(&place->maker, vid, 7);
    place->buffer = g_malloc(MONATT_CHECKPOINT_MAXIMUM);
}

static void end(Place *place)
{
    g_autoptr(GDir) dir = g_dir_open(place->folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *path = g_build_filename(place->folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(place->folder);
    event_log_close(&place->log);
    log_maker_clear(&place->maker);
    close(place->fd);
    g_free(place->folder);
    g_free(place->buffer);
}

/* A checkpoint whose quotes speak of its body, as far as a disk is asked. */
static GBytes *checkpoint(Place *place)
{
    g_autofree uint8_t *retained = g_malloc(MONATT_CHECKPOINT_RETAINED_BYTES);
    g_autofree uint8_t *body = g_malloc(MONATT_CHECKPOINT_BODY_MAXIMUM);
    uint8_t *whole = g_malloc(MONATT_CHECKPOINT_MAXIMUM);
    uint8_t q256[MONATT_CHECKPOINT_QUALIFYING_MAXIMUM];
    uint8_t q384[MONATT_CHECKPOINT_QUALIFYING_MAXIMUM];
    size_t size256;
    size_t size384;
    size_t size;
    MonattCheckpoint c;
    log_maker_checkpoint(&place->maker, seed, &c, retained);
    g_assert_true(monatt_checkpoint_encode_body(&c, body, MONATT_CHECKPOINT_BODY_MAXIMUM,
                                                &c.body_size, NULL));
    c.body = body;
    g_assert_true(
        monatt_checkpoint_qualifying(MONATT_ALG_SHA256, body, c.body_size, q256, &size256, NULL));
    g_assert_true(
        monatt_checkpoint_qualifying(MONATT_ALG_SHA384, body, c.body_size, q384, &size384, NULL));
    c.quote256 = (MonattCheckpointQuote){q256, (uint16_t)size256, q256, 4};
    c.quote384 = (MonattCheckpointQuote){q384, (uint16_t)size384, q384, 4};
    g_assert_true(monatt_checkpoint_encode(&c, whole, MONATT_CHECKPOINT_MAXIMUM, &size, NULL));
    return g_bytes_new_take(whole, size);
}

static void write_segment(Place *place, uint64_t segment)
{
    const GByteArray *bytes = place->maker.bytes;
    int fd = segment_files_fd(&place->log.files, segment);
    g_assert_true(segment_files_write(fd, bytes->data, bytes->len, 0));
}

static void is_present(Place *place, uint64_t segment, uint64_t records)
{
    MonattCelReplay replay;
    bool has_checkpoint;
    MonattCheckpoint c;
    MonattError err = {0};
    EventLog again;
    event_log_init(&again);
    g_assert_true(event_log_open_present(&again, place->fd, &err));
    bool ok = event_log_resume(&again, &replay, &has_checkpoint, &c, &err);
    if (!ok) {
        g_test_message("%s", err.message);
    }
    g_assert_true(ok);
    g_assert_cmpuint(again.segment, ==, segment);
    g_assert_true(has_checkpoint == (segment > 0));
    g_assert_cmpuint(replay.records, ==, records);
    g_assert_cmpmem(replay.sha256, sizeof(replay.sha256), place->maker.values.sha256,
                    sizeof(place->maker.values.sha256));
    event_log_close(&again);
}

/* Every step of one seal, and every length to which its checkpoint may have been written. */
static void seal(Place *place, uint64_t segment)
{
    gsize size;
    uint64_t records = place->maker.records;
    g_autoptr(GBytes) bytes = checkpoint(place);
    const uint8_t *whole = g_bytes_get_data(bytes, &size);
    int fd = segment_files_fd(&place->log.files, segment);
    is_present(place, segment - 1, records); /* before it */
    g_assert_true(segment_files_empty(&place->log.files, segment, NULL));
    is_present(place, segment - 1, records);
    gboolean every = segment == 1 || segment == SEGMENT_FILES + 1;
    for (size_t part = 1; part < size; part += !every                          ? 997
                                               : part < 64 || size - part < 64 ? 1
                                                                               : 97) {
        g_assert_cmpint(ftruncate(fd, 0), ==, 0);
        g_assert_true(segment_files_write(fd, whole, part, 0));
        is_present(place, segment - 1, records);
        /* A file of the right size whose end did not reach the disk. */
        g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
        uint64_t found;
        g_assert_true(segment_files_find(&place->log.files, place->buffer, &found, NULL));
        g_assert_true(found == segment - 1 ||
                      size - part < 8); /* lengths and signature: not read */
    }
    g_assert_true(segment_files_empty(&place->log.files, segment, NULL));
    g_assert_true(segment_files_begin(&place->log.files, segment, whole, size, NULL));
    log_maker_begin_segment(&place->maker, whole, size);
    is_present(place, segment, records);
}

static void test_seal(void)
{
    Place place;
    begin(&place);
    log_maker_boot_item(&place.maker, MONATT_BOOT_KERNEL, "vmlinuz", "kernel");
    for (uint64_t segment = 1; segment < 2 * SEGMENT_FILES + 3; segment++) {
        MonattReportPayload report = {.number = (uint32_t)segment};
        log_maker_guest(&place.maker, 10, "measured");
        log_maker_report(&place.maker, &report);
        write_segment(&place, segment - 1);
        seal(&place, segment);
    }
    end(&place);
}

/* Half a record at the end is cut off; a broken one in the middle is no log. */
static void test_resume(void)
{
    Place place;
    begin(&place);
    log_maker_guest(&place.maker, 10, "measured");
    g_autoptr(GByteArray) one = g_byte_array_new();
    g_byte_array_append(one, place.maker.bytes->data, place.maker.bytes->len);
    MonattCelReplay after_one = place.maker.values;
    log_maker_guest(&place.maker, 10, "measured again");
    const GByteArray *two = place.maker.bytes;
    MonattCelReplay after_two = place.maker.values;
    int fd = segment_files_fd(&place.log.files, 0);
    for (guint size = one->len; size <= two->len; size++) {
        gboolean whole = size == two->len;
        g_assert_cmpint(ftruncate(fd, 0), ==, 0);
        g_assert_true(segment_files_write(fd, two->data, size, 0));
        place.maker.values = whole ? after_two : after_one;
        is_present(&place, 0, whole ? 2 : 1);
        g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, whole ? two->len : one->len);
    }
    /* The digest of the first is the guest's word, so its register number is what breaks it. */
    g_autoptr(GByteArray) broken = g_byte_array_new();
    g_byte_array_append(broken, two->data, two->len);
    broken->data[21] = 99;
    g_assert_true(segment_files_write(fd, broken->data, broken->len, 0));
    MonattCelReplay replay;
    bool has_checkpoint;
    MonattError err = {0};
    g_assert_false(event_log_resume(&place.log, &replay, &has_checkpoint, NULL, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    end(&place);
}

/* A checkpoint in a file that is not its own is somebody's copy. */
static void test_place(void)
{
    Place place;
    uint64_t found;
    gsize size;
    begin(&place);
    log_maker_guest(&place.maker, 10, "measured");
    write_segment(&place, 0);
    g_autoptr(GBytes) bytes = checkpoint(&place);
    const uint8_t *whole = g_bytes_get_data(bytes, &size);
    g_assert_true(segment_files_begin(&place.log.files, 2, whole, size, NULL));
    g_assert_true(segment_files_find(&place.log.files, place.buffer, &found, NULL));
    g_assert_cmpuint(found, ==, 0);
    g_assert_true(segment_files_begin(&place.log.files, 1, whole, size, NULL));
    g_assert_true(segment_files_find(&place.log.files, place.buffer, &found, NULL));
    g_assert_cmpuint(found, ==, 1);
    /* A body that its quotes do not speak of did not reach the disk as it was signed. */
    g_autofree uint8_t *changed = g_memdup2(whole, size);
    changed[9 + 78] ^= 1; /* the hash of the segment before, which nothing else depends on */
    g_assert_true(segment_files_begin(&place.log.files, 1, changed, size, NULL));
    g_assert_true(segment_files_find(&place.log.files, place.buffer, &found, NULL));
    g_assert_cmpuint(found, ==, 0);
    end(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/segment-files/seal", test_seal);
    g_test_add_func("/segment-files/resume", test_resume);
    g_test_add_func("/segment-files/place", test_place);
    return g_test_run();
}
