/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-ima-list.c - IMA lists of other projects replay to the values that are known of them
 *
 * The template digest in each entry is the kernel's own hash of it, so that each entry proves its
 * own parsing; PCR 10 was computed from the same lists by another program.
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/base/text.h"
#include "libmonatt/formats/ima-records.h"

static GBytes *read_list(const char *folder, const char *name)
{
    const char *source = g_getenv("MONATT_SOURCE_DIR");
    g_autofree char *path = g_build_filename(source ? source : ".", folder, name, NULL);
    char *bytes = NULL;
    gsize size;
    GError *error = NULL;
    g_file_get_contents(path, &bytes, &size, &error);
    g_assert_no_error(error);
    return g_bytes_new_take(bytes, size);
}

static void hash(GChecksumType type, const uint8_t *a, size_t a_size, const uint8_t *b,
                 size_t b_size, uint8_t *ret)
{
    gsize size = (gsize)g_checksum_type_get_length(type);
    g_autoptr(GChecksum) sum = g_checksum_new(type);
    g_checksum_update(sum, a, (gssize)a_size);
    g_checksum_update(sum, b, (gssize)b_size);
    g_checksum_get_digest(sum, ret, &size);
}

static const struct {
    const char *folder;
    const char *name;
    unsigned entries;
    unsigned violations;
    unsigned wrong; /* whose template digest is not that of its data */
    size_t left;    /* bytes of an entry that is cut */
    const char *sha1;
    const char *sha256;
} lists[] = {
    {"tests/fuzz/corpus/ima-list", "tpm2-tss-ima-ng-sha1", 6, 0, 0, 1,
     "ef2a20de2a84a4780f92ab11d5c4934c709dff00",
     "700a1bb47bc2bc005f2d8e23d80e2a1e301733c1d29023c52d1d7d149719eb64"},
    {"tests/fuzz/corpus/ima-list", "tpm2-tss-ima-sha1-invalidated", 1, 1, 0, 0,
     "bac37b84f007d0238af95af707cac8d61254870e",
     "bba91ca85dc914b2ec3efb9e16e7267bf9193b14350d20fba8a8b406730ae30a"},
    {"tests/fuzz/corpus/ima-list", "tpm2-tss-ima-sig-sha256", 9, 0, 0, 6,
     "b44019405884709ca410b0c30b48159d3a556622",
     "a7e76625386d3dc6248552e44a3b2b1bebb6f2ff3acc9bd220821ad22f7a9d6a"},
    {"tests/data/corpus", "rust-keylime-826.bin", 826, 0, 0, 0,
     "82231c67a69da98dc5b3aa10f6343d33109225fc",
     "c4a065637fc6a7c55f2811dd06cb45dd037133be2b3dc5c3e6fbe6bf061db724"},
    {"tests/fuzz/corpus/ima-list", "keylime-ima-buf-keyring", 1, 0, 0, 0,
     "e654f343e8f86bd20bc8a0b4c3df3a86801a35ac",
     "e569a5f6957aaa3226ac74f1210d88abfafa563f310f422eb6bf72a39d4a522a"},
    {"tests/fuzz/corpus/ima-list", "keylime-entry-ima", 1, 0, 0, 0,
     "30da50418b17f47f1df09bc5fb41cda5bdf416e7",
     "565b007f37b94d6eb4734c583a37c9f2bccfa726c6bc2252a788d5365f6c1249"},
    {"tests/fuzz/corpus/ima-list", "keylime-runtime-sha1", 2, 1, 0, 0,
     "62e5bdf4783228f7deec959f0a89a4739af79ac5",
     "37c153b0a390c91993992d79eb0b9b05b5cb9085c6179528e1b71694ed19896c"},
    {"tests/fuzz/corpus/ima-list", "keylime-sig-rsa-ec", 2, 0, 0, 0,
     "5bfd7d5ca54868d443d09b9e3c4fca6d7d2c1d15",
     "adf756f0642da2cd21e354072cc2edf800780683d11272bce852fc9b1c7670f8"},
    {"tests/fuzz/corpus/ima-list", "keylime-sig-plain", 3, 0, 0, 0,
     "dff39e2db052e00d11f45770bb127c4053e14f32",
     "a5c115cd8f5541458408147536f632174d2b0a9f329e7c4ddea9a12642b4d74b"},
};

static void expect(const uint8_t *value, size_t size, const char *expected)
{
    char text[2 * MONATT_SHA256_SIZE + 1];
    monatt_text_from_bytes(value, size, text);
    g_assert_cmpstr(text, ==, expected);
}

static void check_list(size_t i)
{
    g_autoptr(GBytes) list = read_list(lists[i].folder, lists[i].name);
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(list, &size);
    static const uint8_t ones[MONATT_SHA256_SIZE] = {[0 ... MONATT_SHA256_SIZE - 1] = 0xff};
    uint8_t sha1[MONATT_IMA_DIGEST_SIZE] = {0};
    uint8_t sha256[MONATT_SHA256_SIZE] = {0};
    uint8_t buffer[MONATT_IMA_OLD_HASHED];
    unsigned entries = 0;
    unsigned violations = 0;
    unsigned wrong = 0;
    MonattImaEntry entry;
    MonattError err = {0};
    size_t used;
    while (size > 0 &&
           monatt_ima_parse(bytes, size, entries, &entry, &used, &err) == MONATT_IMA_WHOLE) {
        uint8_t digest[MONATT_SHA256_SIZE];
        size_t hashed;
        const uint8_t *what = monatt_ima_hashed(&entry, buffer, &hashed);
        g_assert_cmpuint(entry.pcr, ==, 10);
        hash(G_CHECKSUM_SHA1, what, hashed, NULL, 0, digest);
        wrong += !entry.violation && memcmp(digest, entry.digest, sizeof(entry.digest)) != 0;
        hash(G_CHECKSUM_SHA1, sha1, sizeof(sha1), entry.violation ? ones : entry.digest,
             sizeof(sha1), sha1);
        hash(G_CHECKSUM_SHA256, what, hashed, NULL, 0, digest);
        hash(G_CHECKSUM_SHA256, sha256, sizeof(sha256), entry.violation ? ones : digest,
             sizeof(sha256), sha256);
        violations += entry.violation;
        entries++;
        bytes += used;
        size -= used;
    }
    g_assert_cmpint(err.code, ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(entries, ==, lists[i].entries);
    g_assert_cmpuint(violations, ==, lists[i].violations);
    g_assert_cmpuint(wrong, ==, lists[i].wrong);
    g_assert_cmpuint(size, ==, lists[i].left);
    expect(sha1, sizeof(sha1), lists[i].sha1);
    expect(sha256, sizeof(sha256), lists[i].sha256);
}

static void test_known_answers(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_test_message("%s", lists[i].name);
        check_list(i);
    }
}

static void test_refuses(void)
{
    static const struct {
        const char *name;
        const char *words;
    } bad[] = {
        {"pcr-24", "PCR 24"},           {"name-empty", "template name"},
        {"name-256", "template name"},  {"name-huge", "template name"},
        {"name-escape", "byte 27"},     {"data-huge", "template data"},
        {"data-over", "template data"}, {"old-name-256", "file name"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GBytes) list = read_list("tests/fuzz/corpus/ima-list", bad[i].name);
        gsize size;
        const uint8_t *bytes = g_bytes_get_data(list, &size);
        MonattError err = {0};
        MonattImaEntry entry = {.pcr = 77};
        size_t used = 77;
        g_test_message("%s", bad[i].name);
        g_assert_cmpint(monatt_ima_parse(bytes, size, 5, &entry, &used, &err), ==, MONATT_IMA_BAD);
        g_assert_nonnull(strstr(err.message, bad[i].words));
        g_assert_nonnull(strstr(err.message, "entry 5"));
        g_assert_true(entry.pcr == 77 && used == 77);
    }
    g_autoptr(GBytes) list = read_list("tests/fuzz/corpus/ima-list", "old-name-255");
    MonattImaEntry entry;
    size_t used;
    g_assert_cmpint(monatt_ima_parse(g_bytes_get_data(list, NULL), g_bytes_get_size(list), 0,
                                     &entry, &used, NULL),
                    ==, MONATT_IMA_WHOLE);
}

static void encode_entry(MonattWriter *w, const void *payload)
{
    monatt_ima_entry_encode(w, payload);
}

static void encode_anew(MonattWriter *w, const void *payload)
{
    monatt_ima_anew_encode(w, payload);
}

static void test_golden_bytes(void)
{
    /* Counted from docs/formats/records.md by hand. */
    static const char entry_hex[] = "4d54453110010001"                 /* MTE1, type, version */
                                    "0000006f"                         /* 111 bytes */
                                    "00000000000000000000000000000000" /* no VM */
                                    "0000000000000000"                 /* no reset count */
                                    "0000000000000007"                 /* the list's entry 7 */
                                    "00000000000000000000000000000000" /* no times */
                                    "00000000000f424000000100"         /* flags, coverage, source */
                                    "0000000a"                         /* PCR */
                                    "0101010101010101010101010101010101010101"
                                    "0006696d612d6e67" /* ima-ng */
                                    "0100000002abcd";
    static const char anew_hex[] = "4d54453110020001"
                                   "0000005a"
                                   "00000000000000000000000000000000"
                                   "0000000000000000"
                                   "0000000000000000"
                                   "00000000000000000000000000000000"
                                   "00000000000f424000000100"
                                   "0001"
                                   "05050505050505050505050505050505";
    uint8_t bytes[MONATT_IMA_RECORD_MAXIMUM];
    char text[2 * MONATT_IMA_RECORD_MAXIMUM + 1];
    size_t size;
    MonattImaEntryPayload entry = {.pcr = 10, .name = "ima-ng", .data_size = 2};
    entry.data = (const uint8_t *)"\xab\xcd";
    memset(entry.digest, 1, sizeof(entry.digest));
    g_assert_true(
        monatt_ima_record(MONATT_RECORD_IMA_ENTRY, 7, encode_entry, &entry, bytes, &size, NULL));
    monatt_text_from_bytes(bytes, size, text);
    g_assert_cmpstr(text, ==, entry_hex);
    MonattImaAnewPayload anew = {.reason = MONATT_IMA_ANEW_KEXEC};
    memset(anew.boot_id, 5, sizeof(anew.boot_id));
    g_assert_true(
        monatt_ima_record(MONATT_RECORD_IMA_ANEW, 0, encode_anew, &anew, bytes, &size, NULL));
    monatt_text_from_bytes(bytes, size, text);
    g_assert_cmpstr(text, ==, anew_hex);
}

/* The longest data that stand in a record, one byte more, and the other form of each. */
static void test_one_form(void)
{
    static uint8_t data[1024];
    size_t room = MONATT_IMA_RECORD_MAXIMUM - MONATT_RECORD_HEADER_SIZE - 31 - strlen("ima-ng");
    MonattImaEntryPayload entry = {.pcr = 10, .name = "ima-ng", .data = data};
    uint8_t bytes[MONATT_IMA_RECORD_MAXIMUM];
    size_t size;
    for (size_t more = 0; more < 2; more++) {
        MonattRecord record;
        MonattImaEntryPayload back;
        MonattError err = {0};
        entry.data_size = (uint32_t)(room + more);
        g_assert_true(monatt_ima_record(MONATT_RECORD_IMA_ENTRY, 0, encode_entry, &entry, bytes,
                                        &size, NULL));
        g_assert_cmpuint(size, ==,
                         more ? MONATT_IMA_RECORD_MAXIMUM - room + MONATT_SHA256_SIZE
                              : MONATT_IMA_RECORD_MAXIMUM);
        g_assert_true(monatt_record_parse(bytes, size, &record, NULL));
        g_assert_true(monatt_ima_entry_decode(&record, &back, NULL));
        g_assert_cmpuint(back.form, ==, more ? MONATT_IMA_FORM_DIGEST : MONATT_IMA_FORM_DATA);
        bytes[MONATT_RECORD_HEADER_SIZE + 4 + 20 + 2 + 6] ^= 3;
        g_assert_false(monatt_ima_entry_decode(&record, &back, &err));
        g_assert_nonnull(strstr(err.message, "form"));
    }
    /* No form leaves a byte over or lacks one. */
    entry.data_size = 5;
    g_assert_true(
        monatt_ima_record(MONATT_RECORD_IMA_ENTRY, 0, encode_entry, &entry, bytes, &size, NULL));
    MonattRecord record;
    g_assert_true(monatt_record_parse(bytes, size, &record, NULL));
    size_t whole = record.payload_size;
    for (record.payload_size = 0; record.payload_size <= whole + 1; record.payload_size++) {
        MonattImaEntryPayload back;
        g_assert_cmpint(monatt_ima_entry_decode(&record, &back, NULL), ==,
                        record.payload_size == whole);
    }
}

static void test_refuses_anew(void)
{
    uint8_t bytes[MONATT_IMA_RECORD_MAXIMUM];
    size_t size;
    for (uint16_t reason = 0; reason < 4; reason++) {
        MonattImaAnewPayload anew = {.reason = reason};
        MonattImaAnewPayload back;
        MonattRecord record;
        g_assert_true(
            monatt_ima_record(MONATT_RECORD_IMA_ANEW, 0, encode_anew, &anew, bytes, &size, NULL));
        g_assert_true(monatt_record_parse(bytes, size, &record, NULL));
        g_assert_cmpint(monatt_ima_anew_decode(&record, &back, NULL), ==,
                        reason == 1 || reason == 2);
        record.type = MONATT_RECORD_IMA_ENTRY;
        g_assert_false(monatt_ima_anew_decode(&record, &back, NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ima-list/known-answers", test_known_answers);
    g_test_add_func("/ima-list/refuses", test_refuses);
    g_test_add_func("/ima-list/golden-bytes", test_golden_bytes);
    g_test_add_func("/ima-list/one-form", test_one_form);
    g_test_add_func("/ima-list/refuses-anew", test_refuses_anew);
    return g_test_run();
}
