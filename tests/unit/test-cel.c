/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-cel.c - the event log: one encoding an entry, every cut refused, replay to known values
 *
 * The vectors (tests/data/cel/) and their values were made by a program that shares nothing with
 * the library.
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/eventlog/cel.h"

#define VECTOR_RECORDS 12

static uint8_t *vector;
static size_t vector_size;

static void load_vector(void)
{
    g_autofree char *path =
        g_build_filename(g_getenv("MONATT_SOURCE_DIR"), "tests/data/cel/all-kinds.cel", NULL);
    g_assert_true(g_file_get_contents(path, (char **)&vector, &vector_size, NULL));
}

static void test_encode(void)
{
    static const uint8_t expected[] = {
        0,    0,    0,    0,    8,    1,    2,    3,    4,    5,    6,    7,    8, /* RECNUM */
        1,    0,    0,    0,    4,    0,    0,    0,    9,                         /* PCR */
        3,    0,    0,    0,    37,   0x0b, 0,    0,    0,    32,   0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, /* DIGESTS */
        0xd2, 0,    0,    0,    2,    'h',  'i',                                /* content */
    };
    MonattCelEntry entry = {.number = 0x0102030405060708,
                            .index = 9,
                            .has_sha256 = true,
                            .content_type = MONATT_CEL_GUEST,
                            .content = (const uint8_t *)"hi",
                            .content_size = 2};
    uint8_t buffer[MONATT_CEL_ENTRY_MAXIMUM];
    MonattError err = {0};
    size_t size = 0;
    memset(entry.sha256, 0xaa, sizeof(entry.sha256));
    g_assert_true(monatt_cel_encode(&entry, buffer, sizeof(buffer), &size, &err));
    g_assert_cmpmem(buffer, size, expected, sizeof(expected));
    g_assert_false(monatt_cel_encode(&entry, buffer, size - 1, &size, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    static const uint8_t large[MONATT_CONTENT_MAXIMUM + 1];
    entry.has_sha384 = true;
    entry.content = large;
    entry.content_size = MONATT_CONTENT_MAXIMUM;
    g_assert_true(monatt_cel_encode(&entry, buffer, sizeof(buffer), &size, &err));
    entry.content_size++;
    err = (MonattError){0};
    g_assert_false(monatt_cel_encode(&entry, buffer, sizeof(buffer), &size, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
}

static void test_one_encoding(void)
{
    MonattReader r;
    MonattError err = {0};
    size_t at = 0;
    unsigned count = 0;
    monatt_reader_init(&r, "log", vector, vector_size, &err);
    while (monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        uint8_t buffer[MONATT_CEL_ENTRY_MAXIMUM];
        size_t size = 0;
        g_assert_true(monatt_cel_next(&r, &entry));
        g_assert_cmpuint(entry.number, ==, count++);
        g_assert_true(monatt_cel_encode(&entry, buffer, sizeof(buffer), &size, &err));
        g_assert_cmpmem(buffer, size, vector + at, r.position - at);
        at = r.position;
    }
    g_assert_cmpuint(count, ==, VECTOR_RECORDS);
    g_assert_true(monatt_reader_finish(&r));
}

static bool replay(const void *bytes, size_t size, uint64_t records, MonattCelReplay *replayed,
                   MonattError *err)
{
    g_autofree uint8_t *exact = g_malloc(size + (size == 0));
    memcpy(exact, bytes, size);
    monatt_cel_replay_init(replayed);
    *err = (MonattError){0};
    bool done = monatt_cel_replay_log(replayed, exact, size, records, err);
    g_assert_cmpint(done, ==, err->code == MONATT_ERROR_NONE);
    return done;
}

static void test_replay(void)
{
    static MonattCelReplay replayed;
    g_autofree char *path =
        g_build_filename(g_getenv("MONATT_SOURCE_DIR"), "tests/data/cel/all-kinds.pcrs", NULL);
    g_autofree char *text = NULL;
    MonattError err;
    unsigned compared = 0;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_true(replay(vector, vector_size, UINT64_MAX, &replayed, &err));
    g_assert_cmpuint(replayed.records, ==, VECTOR_RECORDS);
    g_assert_cmpuint(replayed.bytes, ==, vector_size);
    g_assert_cmpuint(replayed.extends[0], ==, 3);
    g_assert_cmpuint(replayed.extends[16], ==, 3); /* a reset counts, as in the device */
    g_assert_cmpuint(replayed.extends[1], ==, 0);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; **line != '\0'; line++) {
        char bank[8];
        char value[2 * MONATT_SHA384_SIZE + 1];
        char ours[2 * MONATT_SHA384_SIZE + 1];
        unsigned index;
        g_assert_cmpint(sscanf(*line, "%7s %u %96s", bank, &index, value), ==, 3);
        g_assert_cmpuint(index, <, MONATT_REGISTER_COUNT);
        if (strcmp(bank, "sha256") == 0) {
            monatt_text_from_bytes(replayed.sha256[index], MONATT_SHA256_SIZE, ours);
        } else {
            monatt_text_from_bytes(replayed.sha384[index], MONATT_SHA384_SIZE, ours);
        }
        g_assert_cmpstr(ours, ==, value);
        compared++;
    }
    g_assert_cmpuint(compared, ==, 2 * MONATT_REGISTER_COUNT);
}

static void test_prefix(void)
{
    static MonattCelReplay whole;
    static MonattCelReplay part;
    MonattError err;
    for (uint64_t records = 0; records <= VECTOR_RECORDS; records++) {
        g_assert_true(replay(vector, vector_size, records, &part, &err));
        g_assert_cmpuint(part.records, ==, records);
        /* The prefix's bytes alone give the same. */
        g_assert_true(replay(vector, part.bytes, UINT64_MAX, &whole, &err));
        g_assert_cmpmem(&whole, sizeof(whole), &part, sizeof(part));
    }
    g_assert_false(replay(vector, vector_size, VECTOR_RECORDS + 1, &part, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_false(replay(vector, 0, 1, &part, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
}

static void test_refuses_cut(void)
{
    static MonattCelReplay replayed;
    MonattError err;
    g_autoptr(GHashTable) ends = g_hash_table_new(g_direct_hash, g_direct_equal);
    for (uint64_t records = 0; records <= VECTOR_RECORDS; records++) {
        g_assert_true(replay(vector, vector_size, records, &replayed, &err));
        g_hash_table_add(ends, GSIZE_TO_POINTER(replayed.bytes + 1));
    }
    for (size_t size = 0; size <= vector_size; size++) {
        bool boundary = g_hash_table_contains(ends, GSIZE_TO_POINTER(size + 1));
        g_assert_cmpint(replay(vector, size, UINT64_MAX, &replayed, &err), ==, boundary);
        g_assert_cmpint(err.code, ==, boundary ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
    }
}

/* One entry, so that every rule can be broken alone. */
static MonattErrorCode one(MonattCelEntry entry)
{
    static MonattCelReplay replayed;
    static const uint8_t sha256_of_hi[] = {0x8f, 0x43, 0x43, 0x46, 0x64, 0x8f, 0x6b, 0x96,
                                           0xdf, 0x89, 0xdd, 0xa9, 0x01, 0xc5, 0x17, 0x6b,
                                           0x10, 0xa6, 0xd8, 0x39, 0x61, 0xdd, 0x3c, 0x1a,
                                           0xc8, 0x8b, 0x59, 0xb2, 0xdc, 0x32, 0x7a, 0xa4};
    uint8_t buffer[MONATT_CEL_ENTRY_MAXIMUM];
    MonattError err = {0};
    size_t size;
    if (entry.sha256[0] == 0) {
        memcpy(entry.sha256, sha256_of_hi, sizeof(sha256_of_hi));
    }
    g_assert_true(monatt_cel_encode(&entry, buffer, sizeof(buffer), &size, &err));
    (void)!replay(buffer, size, UINT64_MAX, &replayed, &err);
    return err.code;
}

#define HI .content = (const uint8_t *)"hi", .content_size = 2

static void test_rules(void)
{
    MonattCelEntry guest = {.index = 15, .has_sha256 = true, .content_type = MONATT_CEL_GUEST, HI};
    MonattCelEntry reset = {.index = 16, .content_type = MONATT_CEL_RESET};
    for (uint32_t index = 0; index < 300; index++) {
        bool hosts = index >= 17 && index <= 22;
        guest.index = reset.index = index;
        g_assert_cmpint(one(guest) == MONATT_ERROR_NONE, ==, index < 24 && !hosts);
        g_assert_cmpint(one(reset) == MONATT_ERROR_NONE, ==, index == 16 || index == 23);
    }
    guest.index = UINT32_MAX;
    g_assert_cmpint(one(guest), ==, MONATT_ERROR_FORMAT);
    guest.index = 15;
    guest.number = 1; /* must be 0 */
    g_assert_cmpint(one(guest), ==, MONATT_ERROR_FORMAT);
    guest.number = 0;
    guest.sha256[0] = 0x77; /* the guest's word: need not be the content's hash */
    g_assert_cmpint(one(guest), ==, MONATT_ERROR_NONE);
    guest.has_sha256 = false;
    g_assert_cmpint(one(guest), ==, MONATT_ERROR_FORMAT);
    guest.has_sha384 = true;
    g_assert_cmpint(one(guest), ==, MONATT_ERROR_NONE);
    reset.index = 16;
    reset.has_sha256 = true;
    g_assert_cmpint(one(reset), ==, MONATT_ERROR_FORMAT);
    reset = (MonattCelEntry){.index = 16, .content_type = MONATT_CEL_RESET, HI};
    g_assert_cmpint(one(reset), ==, MONATT_ERROR_FORMAT);
    reset = (MonattCelEntry){.index = 16, .content_type = 0x05}; /* PCCLIENT_STD: not ours */
    g_assert_cmpint(one(reset), ==, MONATT_ERROR_FORMAT);
}

static void test_host_records(void)
{
    static MonattCelReplay replayed;
    MonattReader r;
    MonattError err = {0};
    MonattCelEntry good;
    monatt_reader_init(&r, "log", vector, vector_size, &err);
    g_assert_true(monatt_cel_next(&r, &good)); /* MR20's */
    g_assert_cmpint(one(good), ==, MONATT_ERROR_NONE);
    MonattCelEntry bad = good;
    for (uint32_t index = 0; index < 26; index++) {
        bad.index = index;
        g_assert_cmpint(one(bad) == MONATT_ERROR_NONE, ==, index >= 17 && index <= 22);
    }
    bad = good;
    bad.has_sha256 = false;
    g_assert_cmpint(one(bad), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.has_sha384 = false;
    g_assert_cmpint(one(bad), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.sha256[31] ^= 1;
    g_assert_cmpint(one(bad), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.sha384[47] ^= 1;
    g_assert_cmpint(one(bad), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.content_size--;
    g_assert_cmpint(one(bad), ==, MONATT_ERROR_FORMAT);
    /* A refused entry moves nothing. */
    bad = good;
    bad.sha384[47] ^= 1;
    static MonattCelReplay before;
    monatt_cel_replay_init(&before);
    monatt_cel_replay_init(&replayed);
    g_assert_false(monatt_cel_replay_entry(&replayed, &bad, &err));
    g_assert_cmpmem(&replayed, sizeof(replayed), &before, sizeof(before));
}

static MonattErrorCode raw(const char *bytes, size_t size)
{
    MonattReader r;
    MonattCelEntry entry;
    MonattError err = {0};
    g_autofree char *exact = g_memdup2(bytes, size);
    monatt_reader_init(&r, "log", exact, size, &err);
    bool done = monatt_cel_next(&r, &entry) && monatt_reader_finish(&r);
    g_assert_cmpint(done, ==, err.code == MONATT_ERROR_NONE);
    return err.code;
}

#define RAW(text) raw(text, sizeof(text) - 1)
#define NUMBER "\0\0\0\0\10\0\0\0\0\0\0\0\0"
#define INDEX "\1\0\0\0\4\0\0\0\5"
#define D32 "0123456789abcdef0123456789abcdef"
#define D48 D32 "0123456789abcdef"
#define SHA256 "\x0b\0\0\0\x20" D32
#define SHA384 "\x0c\0\0\0\x30" D48
#define EMPTY "\xd2\0\0\0\0"

static void test_refuses_forms(void)
{
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x5a" SHA256 SHA384 EMPTY), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x35" SHA384 EMPTY), ==, MONATT_ERROR_NONE);
    /* the banks the other way round, or twice: a second encoding of the same entry */
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x5a" SHA384 SHA256 EMPTY), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x4a" SHA256 SHA256 EMPTY), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x6a" SHA384 SHA384 EMPTY), ==, MONATT_ERROR_FORMAT);
    /* other algorithms and sizes */
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x25\x04\0\0\0\x20" D32 EMPTY), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x35\x0b\0\0\0\x30" D48 EMPTY), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x25\x0c\0\0\0\x20" D32 EMPTY), ==,
                    MONATT_ERROR_FORMAT);
    /* digests that reach past their TLV, and a TLV that reaches past the log */
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x24" SHA256 EMPTY), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x26" SHA256 EMPTY), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\xff\xff\xff\xff" SHA256 EMPTY), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x25" SHA256 "\xd2\0\0\0\1"), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x25" SHA256 "\xd2\xff\xff\xff\xff"), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER INDEX "\3\0\0\0\x25" SHA256 "\xd4\0\0\0\0"), ==,
                    MONATT_ERROR_FORMAT);
    /* parts in another order, of another size, or missing */
    g_assert_cmpint(RAW(INDEX NUMBER "\3\0\0\0\x25" SHA256 EMPTY), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER "\1\0\0\0\3\0\0\5"
                               "\3\0\0\0\x25" SHA256 EMPTY),
                    ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(RAW(NUMBER "\2\0\0\0\4\0\0\0\5"
                               "\3\0\0\0\x25" SHA256 EMPTY),
                    ==, MONATT_ERROR_FORMAT); /* an NV index */
    g_assert_cmpint(RAW(NUMBER INDEX EMPTY), ==, MONATT_ERROR_FORMAT);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    load_vector();
    g_test_add_func("/cel/encode", test_encode);
    g_test_add_func("/cel/one-encoding", test_one_encoding);
    g_test_add_func("/cel/replay", test_replay);
    g_test_add_func("/cel/prefix", test_prefix);
    g_test_add_func("/cel/refuses-cut", test_refuses_cut);
    g_test_add_func("/cel/rules", test_rules);
    g_test_add_func("/cel/host-records", test_host_records);
    g_test_add_func("/cel/refuses-forms", test_refuses_forms);
    int status = g_test_run();
    g_free(vector);
    return status;
}
