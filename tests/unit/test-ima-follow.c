/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-ima-follow.c - nothing twice, nothing lost: a follower that ends at any point and starts
 * again
 *
 * The register is the test's; what ends the follower is an error of its target, which leaves behind
 * exactly what a kill would: so many extends done, and a note or none.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include "guest/ima-follow.h"
#include "guest/ima-source.h"
#include "hw-attest/register-map.h"
#include "libmonatt/formats/ima-records.h"

#define BOOT_ID "0f0e0d0c-0b0a-0908-0706-050403020100"
#define OTHER_BOOT_ID "11111111-2222-3333-4444-555555555555"
#define ENTRIES 826
#define NEVER UINT64_MAX

/* A VM's register, and how the next follower ends. */
typedef struct Fake {
    ImaValue value;
    uint64_t extends;
    uint64_t die_after;  /* extends; then PEER */
    uint64_t busy_after; /* extends; then BUSY once */
    uint64_t full_after; /* extends; then LIMIT */
    unsigned pauses;
    unsigned pauses_left; /* 0: pause() ends the follower */
    const uint8_t *more;  /* what pause() appends to the list */
    size_t more_size;
    uint64_t anew; /* records 0x1002 */
    bool intrude;  /* pause() extends the register as somebody else would */
    bool lie;      /* submit() says done and does nothing */
    bool forget;   /* pause() puts the register back to this value, as after a device's crash */
    ImaValue earlier;
    GArray *sequences;
} Fake;

static char *folder;
static char *list_path;
static char *proc;
static char *run_dir;
static GBytes *known; /* rust-keylime's list */

static bool lock(void *data, MonattError *err)
{
    return true;
}

static void unlock(void *data)
{
}

static bool read_value(void *data, uint32_t index, ImaValue *ret, MonattError *err)
{
    g_assert_cmpuint(index, ==, 10);
    *ret = ((Fake *)data)->value;
    return true;
}

static void note_record(Fake *fake, const struct monatt_slot *slot)
{
    MonattRecord record;
    MonattImaEntryPayload entry;
    MonattImaAnewPayload anew;
    g_assert_true(monatt_record_parse(slot->content, slot->content_size, &record, NULL));
    if (record.type == MONATT_RECORD_IMA_ANEW) {
        g_autofree char *note = g_build_filename(run_dir, "ima-10", NULL);
        g_assert_true(monatt_ima_anew_decode(&record, &anew, NULL));
        g_assert_true(
            g_file_test(note, G_FILE_TEST_EXISTS)); /* or a kill right now loses the base */
        fake->anew++;
        g_array_set_size(fake->sequences, 0);
        return;
    }
    g_assert_true(monatt_ima_entry_decode(&record, &entry, NULL));
    g_assert_cmpuint(entry.pcr, ==, 10);
    g_array_append_val(fake->sequences, record.sequence);
}

static bool submit(void *data, struct monatt_slot *slots, uint32_t count, uint32_t *ret_done,
                   MonattError *err)
{
    Fake *fake = data;
    g_assert_cmpuint(count, <=, IMA_BATCH);
    for (*ret_done = 0; *ret_done < count; ++*ret_done) {
        const struct monatt_slot *slot = &slots[*ret_done];
        if (fake->extends == fake->die_after) {
            return monatt_error_set(err, MONATT_ERROR_PEER, "killed");
        }
        if (fake->extends == fake->busy_after) {
            fake->busy_after = NEVER;
            return monatt_error_set(err, MONATT_ERROR_BUSY, "busy");
        }
        if (fake->extends == fake->full_after) {
            return monatt_error_set(err, MONATT_ERROR_LIMIT, "full");
        }
        g_assert_cmpuint(slot->operation, ==, MONATT_RING_EXTEND);
        g_assert_cmpuint(slot->banks, ==, 3);
        if (fake->lie) {
            continue;
        }
        ima_extend(fake->value.sha256, fake->value.sha384, slot->sha256, slot->sha384);
        note_record(fake, slot);
        fake->extends++;
    }
    return true;
}

static void append(const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(list_path, "ae");
    g_assert_nonnull(file);
    g_assert_cmpuint(fwrite(bytes, 1, size, file), ==, size);
    g_assert_cmpint(fclose(file), ==, 0);
}

static bool pause_fake(void *data, unsigned ms)
{
    Fake *fake = data;
    g_assert_cmpuint(ms, >, 0);
    g_assert_cmpuint(ms, <=, 2000);
    fake->pauses++;
    if (fake->intrude) {
        ima_extend(fake->value.sha256, fake->value.sha384, (const uint8_t[48]){1},
                   (const uint8_t[48]){2});
        fake->intrude = false;
    }
    if (fake->forget) {
        fake->value = fake->earlier;
        fake->forget = false;
    }
    size_t part = MIN(fake->more_size, 700); /* ends within entries, mostly */
    if (part > 0) {
        append(fake->more, part);
    }
    fake->more += part;
    fake->more_size -= part;
    return part > 0 || fake->pauses_left-- > 0;
}

static void fake_init(Fake *fake)
{
    *fake = (Fake){.die_after = NEVER, .busy_after = NEVER, .full_after = NEVER, .pauses_left = 3};
    fake->sequences = g_array_new(FALSE, FALSE, sizeof(uint64_t));
}

static void fake_clear(Fake *fake)
{
    g_array_unref(fake->sequences);
}

static bool follow(Fake *fake, bool once, bool begin_anew, ImaCounts *ret, MonattError *err)
{
    const ImaTarget target = {fake, lock, unlock, read_value, submit, pause_fake};
    const ImaOptions options = {.index = 10,
                                .list = list_path,
                                .run_dir = run_dir,
                                .proc = proc,
                                .once = once,
                                .begin_anew = begin_anew};
    memset(err, 0, sizeof(*err));
    return ima_follow(&target, &options, ret, err);
}

static void put_text(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(proc, "sys", "kernel", name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* A kernel that has just started, with so many bytes of the known list. */
static void boot(const char *boot_id, const char *loader, size_t size)
{
    g_autofree char *note = g_build_filename(run_dir, "ima-10", NULL);
    put_text("random/boot_id", boot_id);
    put_text("bootloader_type", loader);
    g_remove(note);
    g_assert_true(
        g_file_set_contents(list_path, g_bytes_get_data(known, NULL), (gssize)size, NULL));
}

/* Bytes of the known list's first entries. */
static size_t bytes_of(unsigned entries)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(known, &size);
    size_t at = 0;
    for (unsigned i = 0; i < entries; i++) {
        MonattImaEntry entry;
        size_t used;
        g_assert_cmpint(monatt_ima_parse(bytes + at, size - at, i, &entry, &used, NULL), ==,
                        MONATT_IMA_WHOLE);
        at += used;
    }
    return at;
}

static void chain(unsigned entries, ImaValue *value)
{
    ImaSource source;
    ImaItem item;
    bool some;
    g_assert_true(ima_source_open(&source, list_path, NULL));
    for (unsigned i = 0; i < entries; i++) {
        g_assert_true(ima_source_next(&source, &item, &some, NULL) && some);
        ima_extend(value->sha256, value->sha384, item.sha256, item.sha384);
    }
    ima_source_close(&source);
}

static void expect_sequences(const Fake *fake, unsigned entries)
{
    g_assert_cmpuint(fake->sequences->len, ==, entries);
    for (unsigned i = 0; i < entries; i++) {
        g_assert_cmpuint(g_array_index(fake->sequences, uint64_t, i), ==, i);
    }
}

static void test_whole_list(void)
{
    Fake fake;
    ImaCounts counts;
    MonattError err;
    char text[2 * MONATT_SHA256_SIZE + 1];
    fake_init(&fake);
    boot(BOOT_ID, "114\n", g_bytes_get_size(known));
    g_assert_true(follow(&fake, true, false, &counts, &err));
    monatt_text_from_bytes(fake.value.sha256, MONATT_SHA256_SIZE, text);
    g_assert_cmpstr(text, ==, "c4a065637fc6a7c55f2811dd06cb45dd037133be2b3dc5c3e6fbe6bf061db724");
    g_assert_cmpuint(counts.entries, ==, ENTRIES);
    g_assert_cmpuint(counts.extended, ==, ENTRIES);
    g_assert_cmpuint(counts.wrong + counts.violations + counts.others + counts.known, ==, 0);
    expect_sequences(&fake, ENTRIES);
    /* Once more: all is there. */
    g_assert_true(follow(&fake, true, false, &counts, &err));
    g_assert_cmpuint(counts.known, ==, ENTRIES);
    g_assert_cmpuint(fake.extends, ==, ENTRIES);
    fake_clear(&fake);
}

static void test_killed_anywhere(void)
{
    const unsigned entries = 2 * IMA_BATCH + 9;
    ImaValue wanted = {0};
    boot(BOOT_ID, "114\n", bytes_of(entries));
    chain(entries, &wanted);
    for (unsigned k = 0; k < entries; k++) {
        Fake fake;
        ImaCounts counts;
        MonattError err;
        fake_init(&fake);
        fake.die_after = k;
        g_assert_false(follow(&fake, true, false, &counts, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_PEER);
        g_assert_cmpuint(counts.extended, ==, k);
        fake.die_after = k + 5 < entries ? k + 5 : NEVER;
        bool good = follow(&fake, true, false, &counts, &err);
        g_assert_cmpint(good, ==, fake.die_after == NEVER);
        fake.die_after = NEVER;
        g_assert_true(follow(&fake, true, false, &counts, &err));
        g_assert_cmpuint(fake.extends, ==, entries);
        g_assert_cmpmem(&fake.value, sizeof(wanted), &wanted, sizeof(wanted));
        expect_sequences(&fake, entries);
        fake_clear(&fake);
    }
}

static void test_busy_and_full(void)
{
    const unsigned entries = IMA_BATCH + 10;
    Fake fake;
    ImaCounts counts;
    MonattError err;
    boot(BOOT_ID, "114\n", bytes_of(entries));
    for (unsigned k = 0; k < entries; k += 7) {
        fake_init(&fake);
        fake.busy_after = k;
        g_assert_true(follow(&fake, true, false, &counts, &err));
        g_assert_cmpuint(fake.pauses, ==, 1);
        expect_sequences(&fake, entries);
        fake_clear(&fake);
    }
    fake_init(&fake);
    fake.full_after = 70;
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    g_assert_cmpuint(counts.extended, ==, 70);
    g_assert_cmpuint(fake.pauses, ==, 0);
    fake_clear(&fake);
}

static void test_list_that_grows(void)
{
    Fake fake;
    ImaCounts counts;
    MonattError err;
    size_t begin = bytes_of(3);
    fake_init(&fake);
    boot(BOOT_ID, "114\n", begin);
    fake.more = (const uint8_t *)g_bytes_get_data(known, NULL) + begin;
    fake.more_size = g_bytes_get_size(known) - begin;
    g_assert_true(follow(&fake, false, false, &counts, &err));
    g_assert_cmpuint(counts.extended, ==, ENTRIES);
    expect_sequences(&fake, ENTRIES);
    /* An entry that is not whole at the end of a list that does not grow. */
    append(g_bytes_get_data(known, NULL), 30);
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_nonnull(strstr(err.message, "within entry 826"));
    fake_clear(&fake);
}

static void test_moved_while_followed(void)
{
    Fake fake;
    ImaCounts counts;
    MonattError err;
    size_t begin = bytes_of(3);
    fake_init(&fake);
    boot(BOOT_ID, "114\n", begin);
    fake.more = (const uint8_t *)g_bytes_get_data(known, NULL) + begin;
    fake.more_size = bytes_of(9) - begin;
    fake.intrude = true;
    g_assert_false(follow(&fake, false, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
    g_assert_cmpuint(fake.extends, ==, 3);
    fake_clear(&fake);
    /* A device that says done and did nothing. */
    fake_init(&fake);
    boot(BOOT_ID, "114\n", begin);
    fake.lie = true;
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
    fake_clear(&fake);
}

static void test_device_that_forgets(void)
{
    const unsigned entries = 200;
    Fake fake;
    ImaCounts counts;
    MonattError err;
    ImaValue wanted = {0};
    size_t begin = bytes_of(100);
    fake_init(&fake);
    boot(BOOT_ID, "114\n", bytes_of(entries));
    chain(60, &fake.earlier);
    chain(entries, &wanted);
    boot(BOOT_ID, "114\n", begin);
    fake.more = (const uint8_t *)g_bytes_get_data(known, NULL) + begin;
    fake.more_size = bytes_of(entries) - begin;
    fake.forget = true;
    g_assert_true(follow(&fake, false, false, &counts, &err));
    g_assert_cmpmem(&fake.value, sizeof(wanted), &wanted, sizeof(wanted));
    g_assert_cmpuint(fake.extends, ==, entries + 40); /* 60 to 99 once more */
    fake_clear(&fake);
}

static void test_moved_by_others(void)
{
    const unsigned entries = 20;
    Fake fake;
    ImaCounts counts;
    MonattError err;
    fake_init(&fake);
    boot(BOOT_ID, "114\n", bytes_of(entries));
    g_assert_true(follow(&fake, true, false, &counts, &err));
    ima_extend(fake.value.sha256, fake.value.sha384, (const uint8_t[48]){1},
               (const uint8_t[48]){2});
    uint64_t before = fake.extends;
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
    g_assert_nonnull(strstr(err.hint, "--begin-anew"));
    g_assert_cmpuint(fake.extends, ==, before);
    g_assert_true(follow(&fake, true, true, &counts, &err));
    g_assert_true(counts.anew);
    g_assert_cmpuint(fake.extends, ==, before + 1 + entries);
    expect_sequences(&fake, entries);
    /* The note of the new base is followed, with and without the option. */
    g_assert_true(follow(&fake, true, true, &counts, &err));
    g_assert_true(follow(&fake, true, false, &counts, &err));
    g_assert_cmpuint(counts.known, ==, entries);
    g_assert_cmpuint(fake.anew, ==, 1);
    /* Without the note nobody knows. */
    g_autofree char *note = g_build_filename(run_dir, "ima-10", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(note, &text, NULL, NULL));
    static const char *const wrong[] = {"", "monatt ima-base 1 00\n", "monatt ima-base 2 "};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_true(g_file_set_contents(note, wrong[i], -1, NULL));
        g_assert_false(follow(&fake, true, false, &counts, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
    }
    g_assert_true(g_file_set_contents(note, text, -1, NULL));
    g_assert_true(follow(&fake, true, false, &counts, &err));
    fake_clear(&fake);
}

/* The previous kernel brought 20 entries in; the new one has a list of its own. */
static void begin_after_kexec(Fake *fake, unsigned entries)
{
    ImaCounts counts;
    MonattError err;
    size_t skipped = bytes_of(30);
    fake_init(fake);
    boot(OTHER_BOOT_ID, "114\n", bytes_of(20));
    g_assert_true(follow(fake, true, false, &counts, &err));
    boot(BOOT_ID, "208\n", 0);
    append((const uint8_t *)g_bytes_get_data(known, NULL) + skipped,
           bytes_of(30 + entries) - skipped);
}

static void test_kexec(void)
{
    const unsigned entries = IMA_BATCH + 3;
    Fake fake;
    ImaCounts counts;
    MonattError err;
    begin_after_kexec(&fake, entries);
    put_text("bootloader_type", "114\n"); /* not by kexec: nobody may say that it begins anew */
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
    put_text("bootloader_type", "208\n");
    g_assert_true(follow(&fake, true, false, &counts, &err));
    g_assert_true(counts.anew && fake.anew == 1);
    expect_sequences(&fake, entries);
    g_assert_true(follow(&fake, true, false, &counts, &err));
    g_assert_true(!counts.anew && fake.anew == 1);
    g_assert_cmpuint(fake.extends, ==, 20 + 1 + entries);
    /* Moved by something else after that: no second kexec explains it. */
    ima_extend(fake.value.sha256, fake.value.sha384, (const uint8_t[48]){1},
               (const uint8_t[48]){2});
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
    fake_clear(&fake);
    /* A list that kexec carried over goes on, as from a boot. */
    fake_init(&fake);
    boot(OTHER_BOOT_ID, "114\n", bytes_of(20));
    g_assert_true(follow(&fake, true, false, &counts, &err));
    put_text("random/boot_id", BOOT_ID);
    put_text("bootloader_type", "208\n");
    append((const uint8_t *)g_bytes_get_data(known, NULL) + bytes_of(20),
           bytes_of(25) - bytes_of(20));
    g_assert_true(follow(&fake, true, false, &counts, &err));
    g_assert_true(!counts.anew && counts.known == 20);
    expect_sequences(&fake, 25);
    fake_clear(&fake);
}

static void test_killed_around_kexec(void)
{
    const unsigned entries = IMA_BATCH + 3;
    for (unsigned k = 0; k <= entries; k++) {
        Fake fake;
        ImaCounts counts;
        MonattError err;
        begin_after_kexec(&fake, entries);
        fake.die_after = 20 + k; /* 0: the note is there, its record is not */
        g_assert_false(follow(&fake, true, false, &counts, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_PEER);
        fake.die_after = NEVER;
        g_assert_true(follow(&fake, true, false, &counts, &err));
        g_assert_cmpuint(fake.anew, ==, 1);
        g_assert_cmpuint(fake.extends, ==, 20 + 1 + entries);
        expect_sequences(&fake, entries);
        fake_clear(&fake);
    }
}

static void test_other_pcrs(void)
{
    Fake fake;
    ImaCounts counts;
    MonattError err;
    size_t one = bytes_of(1);
    fake_init(&fake);
    boot(BOOT_ID, "114\n", bytes_of(3));
    g_autofree uint8_t *other = g_memdup2(g_bytes_get_data(known, NULL), one);
    other[0] = 11;
    append(other, one);
    append(g_bytes_get_data(known, NULL), one);
    g_assert_true(follow(&fake, true, false, &counts, &err));
    g_assert_cmpuint(counts.others, ==, 1);
    g_assert_cmpuint(counts.extended, ==, 4);
    static const uint64_t wanted[] = {0, 1, 2, 4};
    g_assert_cmpmem(fake.sequences->data, sizeof(wanted), wanted, sizeof(wanted));
    g_assert_true(follow(&fake, true, false, &counts, &err));
    g_assert_cmpuint(fake.extends, ==, 4);
    fake_clear(&fake);
}

static void test_refuses(void)
{
    Fake fake;
    ImaCounts counts;
    MonattError err;
    int held;
    fake_init(&fake);
    boot(BOOT_ID, "114\n", bytes_of(3));
    g_assert_true(ima_base_lock(run_dir, 10, &held, NULL));
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    monatt_close_pointer(&held);
    append((const uint8_t *)"\xff\xff\xff\xff", 4);
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_nonnull(strstr(err.message, "entry 3"));
    g_remove(list_path);
    g_assert_false(follow(&fake, true, false, &counts, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    g_assert_nonnull(strstr(err.hint, "ima_policy"));
    fake_clear(&fake);
}

static void set_up(void)
{
    const char *source = g_getenv("MONATT_SOURCE_DIR");
    g_autofree char *path = g_build_filename(source ? source : ".", "tests", "data", "corpus",
                                             "rust-keylime-826.bin", NULL);
    char *bytes = NULL;
    gsize size;
    GError *error = NULL;
    g_file_get_contents(path, &bytes, &size, &error);
    g_assert_no_error(error);
    known = g_bytes_new_take(bytes, size);
    folder = g_dir_make_tmp("ima-follow-XXXXXX", NULL);
    list_path = g_build_filename(folder, "list", NULL);
    proc = g_build_filename(folder, "proc", NULL);
    run_dir = g_build_filename(folder, "run", NULL);
}

static void tear_down(void)
{
    static const char *const names[] = {"run/ima-10",
                                        "run/ima-10.lock",
                                        "run",
                                        "proc/sys/kernel/random/boot_id",
                                        "proc/sys/kernel/random",
                                        "proc/sys/kernel/bootloader_type",
                                        "proc/sys/kernel",
                                        "proc/sys",
                                        "proc",
                                        "list",
                                        ""};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(folder, names[i], NULL);
        g_remove(path);
    }
    g_free(folder);
    g_free(list_path);
    g_free(proc);
    g_free(run_dir);
    g_bytes_unref(known);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up();
    g_test_add_func("/ima-follow/whole-list", test_whole_list);
    g_test_add_func("/ima-follow/killed-anywhere", test_killed_anywhere);
    g_test_add_func("/ima-follow/busy-and-full", test_busy_and_full);
    g_test_add_func("/ima-follow/list-that-grows", test_list_that_grows);
    g_test_add_func("/ima-follow/moved-while-followed", test_moved_while_followed);
    g_test_add_func("/ima-follow/device-that-forgets", test_device_that_forgets);
    g_test_add_func("/ima-follow/moved-by-others", test_moved_by_others);
    g_test_add_func("/ima-follow/kexec", test_kexec);
    g_test_add_func("/ima-follow/killed-around-kexec", test_killed_around_kexec);
    g_test_add_func("/ima-follow/other-pcrs", test_other_pcrs);
    g_test_add_func("/ima-follow/refuses", test_refuses);
    int result = g_test_run();
    tear_down();
    return result;
}
