/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-checkpoint.c - segments of a log: what a checkpoint keeps, what is refused, what follows
 * what
 *
 * Forged ones with their signatures are in tests/cli/test-verify.py; here is what needs none.
 */
#include <string.h>
#include "tests/lib/log-maker.h"

static const uint8_t vid[MONATT_UUID_SIZE] = {0x22};
static const uint8_t seed[MONATT_BOOT_SEED_SIZE] = {0x33};

/* A checkpoint with quotes that nobody looks at. */
typedef struct Made {
    MonattCheckpoint c;
    uint8_t *retained, *body, *whole;
    size_t size;
} Made;

static void made_clear(Made *made)
{
    g_free(made->retained);
    g_free(made->body);
    g_free(made->whole);
}

static void encode(Made *made)
{
    static const uint8_t part[] = "quote";
    MonattCheckpointQuote quote = {part, sizeof(part), part, sizeof(part)};
    g_assert_true(monatt_checkpoint_encode_body(
        &made->c, made->body, MONATT_CHECKPOINT_BODY_MAXIMUM, &made->c.body_size, NULL));
    made->c.body = made->body;
    made->c.quote256 = made->c.quote384 = quote;
    g_assert_true(monatt_checkpoint_encode(&made->c, made->whole, MONATT_CHECKPOINT_MAXIMUM,
                                           &made->size, NULL));
}

static void make(const LogMaker *log, Made *made)
{
    made->retained = g_malloc(MONATT_CHECKPOINT_RETAINED_BYTES);
    made->body = g_malloc(MONATT_CHECKPOINT_BODY_MAXIMUM);
    made->whole = g_malloc(MONATT_CHECKPOINT_MAXIMUM);
    log_maker_checkpoint(log, seed, &made->c, made->retained);
    encode(made);
}

static void report(LogMaker *log, unsigned number)
{
    MonattReportPayload payload = {.number = number};
    log_maker_report(log, &payload);
}

static void found(LogMaker *log, uint32_t pid)
{
    MonattFindingPayload payload = {.sub_check = 1, .address = pid * 4096ull, .pid = pid};
    g_strlcpy(payload.command, "evil", sizeof(payload.command));
    log_maker_finding(log, &payload);
}

/* Boot items, two reports, a finding, a plugin record, guests. */
static void fill(LogMaker *log)
{
    static const MonattLocksPayload locks = {.vcpus = 1};
    log_maker_init(log, vid, 7);
    log_maker_boot_item(log, MONATT_BOOT_KERNEL, "vmlinuz", "kernel");
    log_maker_boot_item(log, MONATT_BOOT_INITRD, "initrd", "initrd");
    log_maker_guest(log, 10, "measured");
    report(log, 1);
    log_maker_locks(log, &locks);
    log_maker_locks(log, &locks);
    found(log, 40);
    report(log, 2);
    log_maker_guest(log, 3, "");
}

static void refused(const void *bytes, size_t size, const char *words)
{
    MonattCheckpoint c;
    MonattError err = {0};
    g_assert_false(monatt_checkpoint_parse(bytes, size, &c, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    if (strstr(err.message, words) == NULL) {
        g_test_message("'%s' where '%s' was expected", err.message, words);
        g_test_fail();
    }
}

static void test_round(void)
{
    LogMaker log;
    Made made;
    MonattCheckpoint c;
    fill(&log);
    make(&log, &made);
    g_assert_true(monatt_checkpoint_is_there(made.whole, made.size));
    g_assert_false(monatt_checkpoint_is_there(made.whole, 0));
    g_assert_false(monatt_checkpoint_is_there(log.bytes->data, log.bytes->len));
    g_assert_true(monatt_checkpoint_parse(made.whole, made.size, &c, NULL));
    g_assert_cmpuint(c.size, ==, made.size);
    g_assert_cmpmem(c.body, c.body_size, made.body, made.c.body_size);
    g_assert_cmpuint(c.segment, ==, 1);
    g_assert_cmpuint(c.records, ==, log.records);
    g_assert_cmpuint(c.reset_count, ==, 7);
    g_assert_cmpuint(c.findings, ==, 1);
    g_assert_cmpuint(c.retained_count, ==, 5); /* two items, plugin, finding, report */
    g_assert_cmpmem(c.sha256, sizeof(c.sha256), log.values.sha256, sizeof(log.values.sha256));
    g_assert_cmpmem(c.quote384.attest, c.quote384.attest_size, "quote", 6);
    /* Records behind it are none of its business; half of it is no checkpoint. */
    for (size_t size = 0; size < made.size; size++) {
        MonattError err = {0};
        g_assert_false(monatt_checkpoint_parse(made.whole, size, &c, &err));
    }
    made_clear(&made);
    log_maker_clear(&log);
}

static void test_contradictions(void)
{
    static const struct {
        size_t offset; /* in the body */
        const char *words;
    } changes[] = {
        {0, "not a checkpoint"},
        {5, "not a checkpoint"},
        {77, "counts"},                        /* one record fewer */
        {110 + 9 * 88, "MR9: never extended"}, /* value of a register nobody used */
        {110 + 20 * 88, "boot items"},         /* MR20 */
        {110 + 22 * 88 + 40, "report"},        /* MR22, SHA-384 */
        {2222, "report"},                      /* MR22 before its last record */
        {2302, "findings"},                    /* many more than records of MR19 */
        {2310, "findings"},                    /* so many unreadable ones */
        {2321, "retained"},                    /* another number of them */
    };
    LogMaker log;
    Made made;
    fill(&log);
    make(&log, &made);
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        uint8_t *at = made.whole + 9 + changes[i].offset;
        at[0] ^= 1;
        if (strcmp(changes[i].words, "counts") == 0) {
            refused(made.whole, made.size, "record");
        } else {
            refused(made.whole, made.size, changes[i].words);
        }
        at[0] ^= 1;
    }
    made.c.segment = 0;
    encode(&made);
    refused(made.whole, made.size, "the first has none");
    made_clear(&made);
    log_maker_clear(&log);
}

/* Retained records that are not what they must be. */
static void test_retained(void)
{
    LogMaker log;
    Made made;
    size_t size;
    fill(&log);
    make(&log, &made);
    size = made.c.retained_size;
    made.retained[size - 1] ^= 1; /* content of the report: its digest no longer fits */
    encode(&made);
    refused(made.whole, made.size, "digest is not that of the record");
    made.retained[size - 1] ^= 1;
    made.c.retained_size = size - 1;
    encode(&made);
    refused(made.whole, made.size, "");
    made.c.retained_size = size;
    made.c.retained_count--;
    encode(&made);
    refused(made.whole, made.size, "one too many");
    /* A finding twice, and as many as it then says. */
    GByteArray *twice = g_byte_array_new();
    MonattReader r;
    monatt_reader_init(&r, "retained", made.retained, size, NULL);
    while (monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        size_t start = r.position;
        g_assert_true(monatt_cel_next(&r, &entry));
        for (int i = 0; i < (entry.index == MONATT_MR_INTROSPECTION ? 2 : 1); i++) {
            g_byte_array_append(twice, r.bytes + start, (guint)(r.position - start));
        }
    }
    made.c.retained = twice->data;
    made.c.retained_size = twice->len;
    made.c.retained_count += 2;
    made.c.findings++;
    made.c.others = 0;
    encode(&made);
    refused(made.whole, made.size, "out of order");
    made.c.retained = made.retained;
    made.c.retained_size = size;
    g_byte_array_unref(twice);
    made.c.retained_count = MONATT_CHECKPOINT_RETAINED + 1;
    encode(&made);
    refused(made.whole, made.size, "");
    made_clear(&made);
    log_maker_clear(&log);
}

/* The range of a measurement goes through the retained records too. */
static void test_walk(void)
{
    LogMaker log;
    Made made;
    MonattLogWalk walk;
    MonattCelEntry entry;
    bool failed = false;
    unsigned retained = 0;
    unsigned behind = 0;
    uint8_t before[MONATT_SHA256_SIZE];
    uint8_t after[MONATT_SHA256_SIZE];
    MonattCelReplay replay;
    fill(&log);
    make(&log, &made);
    log_maker_begin_segment(&log, made.whole, made.size);
    log_maker_guest(&log, 4, "later");
    report(&log, 3);
    g_assert_true(monatt_log_walk_begin(&walk, log.bytes->data, log.bytes->len, NULL));
    while (monatt_log_walk_next(&walk, &entry, NULL, NULL, &failed)) {
        retained += walk.is_retained;
        behind += !walk.is_retained;
    }
    g_assert_false(failed);
    g_assert_cmpuint(retained, ==, 5);
    g_assert_cmpuint(behind, ==, 2);
    log_maker_digest(&log, "S256", MONATT_MR_BOOT, 0, 1, before);
    g_assert_true(monatt_cel_range_digest(log.bytes->data, log.bytes->len, MONATT_MR_BOOT, 0, 1,
                                          MONATT_ALG_SHA256, after, NULL));
    g_assert_cmpmem(after, sizeof(after), before, sizeof(before));
    monatt_cel_replay_init(&replay);
    g_assert_true(
        monatt_cel_replay_log(&replay, log.bytes->data, log.bytes->len, UINT64_MAX, NULL));
    g_assert_cmpmem(replay.sha384, sizeof(replay.sha384), log.values.sha384,
                    sizeof(log.values.sha384));
    g_assert_cmpmem(replay.extends, sizeof(replay.extends), log.values.extends,
                    sizeof(log.values.extends));
    g_assert_cmpuint(replay.records, ==, log.records);
    g_assert_cmpuint(replay.bytes, ==, log.bytes->len);
    /* Fewer records than the checkpoint stands behind cannot be had from it. */
    monatt_cel_replay_init(&replay);
    g_assert_false(monatt_cel_replay_log(&replay, log.bytes->data, log.bytes->len, 3, NULL));
    made_clear(&made);
    log_maker_clear(&log);
}

static void is_no_successor(const MonattCheckpoint *next, GByteArray *segment, const char *words)
{
    MonattError err = {0};
    g_assert_false(monatt_checkpoint_follows(next, segment->data, segment->len, &err));
    if (strstr(err.message, words) == NULL) {
        g_test_message("'%s' where '%s' was expected", err.message, words);
        g_test_fail();
    }
}

static GByteArray *copy(const GByteArray *bytes)
{
    GByteArray *copied = g_byte_array_new();
    return g_byte_array_append(copied, bytes->data, bytes->len);
}

/* Three segments; each way of leaving something out between them. */
static void test_follows(void)
{
    LogMaker log;
    Made first;
    Made second;
    MonattCheckpoint c;
    fill(&log);
    make(&log, &first);
    g_autoptr(GByteArray) segment0 = copy(log.bytes);
    log_maker_begin_segment(&log, first.whole, first.size);
    found(&log, 41);
    found(&log, 40); /* again */
    report(&log, 3);
    make(&log, &second);
    g_autoptr(GByteArray) segment1 = copy(log.bytes);
    g_assert_true(monatt_checkpoint_parse(first.whole, first.size, &c, NULL));
    g_assert_true(monatt_checkpoint_follows(&c, segment0->data, segment0->len, NULL));
    is_no_successor(&c, segment1, "left out");
    g_assert_true(monatt_checkpoint_parse(second.whole, second.size, &c, NULL));
    g_assert_cmpuint(c.findings, ==, 3);
    g_assert_cmpuint(c.retained_count, ==, 6); /* process 40 once */
    g_assert_true(monatt_checkpoint_follows(&c, segment1->data, segment1->len, NULL));
    is_no_successor(&c, segment0, "left out");
    c.findings = 2; /* the lie that one evidence alone does not show */
    is_no_successor(&c, segment1, "not kept");
    c.findings = 3;
    c.retained_size--;
    is_no_successor(&c, segment1, "not kept");
    c.retained_size++;
    c.sha256[4][0] ^= 1;
    is_no_successor(&c, segment1, "registers");
    c.sha256[4][0] ^= 1;
    c.previous[0] ^= 1;
    is_no_successor(&c, segment1, "another file");
    c.previous[0] ^= 1;
    c.boot_seed[0] ^= 1;
    is_no_successor(&c, segment1, "two boots");
    made_clear(&first);
    made_clear(&second);
    log_maker_clear(&log);
}

static MonattCheckFindingPayload check_found(unsigned number, MonattSeverity severity)
{
    MonattCheckFindingPayload finding = {.check = MONATT_SUBCHECK_NETFILTER,
                                         .severity = (uint8_t)severity,
                                         .sightings = 3,
                                         .address = 0xffffffffc0000000 + number};
    g_snprintf(finding.object, sizeof(finding.object), "hook %u", number);
    return finding;
}

static void add_found(LogMaker *log, unsigned number, MonattSeverity severity)
{
    MonattCheckFindingPayload finding = check_found(number, severity);
    log_maker_check_finding(log, &finding);
}

/* What checks found is kept once, with its severity; only compromises are counted as such. */
static void test_check_findings(void)
{
    LogMaker log;
    Made made;
    MonattCheckpoint c;
    MonattCheckSummaryPayload summary = {.check = MONATT_SUBCHECK_NETFILTER, .passes = 3};
    log_maker_init(&log, vid, 7);
    log_maker_check(&log, &summary); /* nothing found: not kept */
    summary.findings = summary.degraded = 1;
    log_maker_check(&log, &summary); /* described by its record */
    add_found(&log, 1, MONATT_SEVERITY_DEGRADED);
    add_found(&log, 1, MONATT_SEVERITY_DEGRADED);
    summary.findings = 200; /* more than are described */
    log_maker_check(&log, &summary);
    log_maker_check(&log, &summary);
    add_found(&log, 2, MONATT_SEVERITY_COMPROMISED);
    add_found(&log, 2, MONATT_SEVERITY_COMPROMISED);
    add_found(&log, 3, MONATT_SEVERITY_COMPROMISED);
    make(&log, &made);
    g_assert_true(monatt_checkpoint_parse(made.whole, made.size, &c, NULL));
    g_assert_cmpuint(c.findings, ==, 5);
    g_assert_cmpuint(c.others, ==, 0);
    g_assert_cmpuint(c.retained_count, ==, 4); /* degraded 1, the summary, hooks 2 and 3 */
    made_clear(&made);
    for (unsigned i = 0; i < MONATT_CHECKPOINT_DEGRADED; i++) {
        add_found(&log, 100 + i, MONATT_SEVERITY_DEGRADED);
    }
    make(&log, &made);
    g_assert_true(monatt_checkpoint_parse(made.whole, made.size, &c, NULL));
    g_assert_cmpuint(c.findings, ==, 5);
    g_assert_cmpuint(c.others, ==, 1); /* the last had no room: not silently */
    g_assert_cmpuint(c.retained_count, ==, 3 + MONATT_CHECKPOINT_DEGRADED);
    made_clear(&made);
    log_maker_clear(&log);
}

static void test_limits(void)
{
    LogMaker log;
    Made made;
    MonattCheckpoint c;
    MonattError err = {0};
    log_maker_init(&log, vid, 7);
    for (uint32_t i = 0; i < 3 * MONATT_CHECKPOINT_FINDINGS; i++) {
        found(&log, 100 + i / 2); /* each process twice */
    }
    for (unsigned i = 0; i < MONATT_CHECKPOINT_BOOT_ITEMS; i++) {
        log_maker_boot_item(&log, MONATT_BOOT_OPTION_ROM, "rom", "rom");
    }
    make(&log, &made);
    g_assert_true(monatt_checkpoint_parse(made.whole, made.size, &c, NULL));
    g_assert_cmpuint(c.findings, ==, 3 * MONATT_CHECKPOINT_FINDINGS);
    g_assert_cmpuint(c.retained_count, ==,
                     MONATT_CHECKPOINT_FINDINGS + MONATT_CHECKPOINT_BOOT_ITEMS);
    /* A device that starts again goes on from the checkpoint alone. */
    g_autofree MonattRetained *again = g_new(MonattRetained, 1);
    g_autofree uint8_t *buffer = g_malloc(MONATT_CHECKPOINT_RETAINED_BYTES);
    MonattCheckpoint restored = {0};
    g_assert_true(monatt_retained_restore(again, &c, NULL));
    g_assert_true(
        monatt_retained_put(again, &restored, buffer, MONATT_CHECKPOINT_RETAINED_BYTES, NULL));
    g_assert_cmpuint(restored.findings, ==, c.findings);
    g_assert_cmpmem(restored.retained, restored.retained_size, c.retained, c.retained_size);
    log_maker_boot_item(&log, MONATT_BOOT_OPTION_ROM, "rom", "one too many");
    g_assert_false(monatt_retained_put(log.retained, &c, made.retained,
                                       MONATT_CHECKPOINT_RETAINED_BYTES, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    made_clear(&made);
    log_maker_clear(&log);
}

static void test_qualifying(void)
{
    uint8_t qualifying[MONATT_CHECKPOINT_QUALIFYING_MAXIMUM];
    size_t size;
    g_assert_true(
        monatt_checkpoint_qualifying(MONATT_ALG_SHA384, "body", 4, qualifying, &size, NULL));
    g_assert_cmpuint(size, ==, 52);
    g_assert_true(monatt_checkpoint_is_qualifying(qualifying, size));
    g_assert_true(
        monatt_checkpoint_qualifying(MONATT_ALG_SHA256, "body", 4, qualifying, &size, NULL));
    g_assert_cmpuint(size, ==, 36);
    g_assert_true(monatt_checkpoint_is_qualifying(qualifying, size));
    /* What evidence asks for is a plain hash, whatever its first bytes. */
    g_assert_false(monatt_checkpoint_is_qualifying(qualifying, MONATT_SHA256_SIZE));
    g_assert_false(monatt_checkpoint_is_qualifying(qualifying, MONATT_SHA384_SIZE));
    qualifying[0] ^= 1;
    g_assert_false(monatt_checkpoint_is_qualifying(qualifying, size));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/checkpoint/round", test_round);
    g_test_add_func("/checkpoint/contradictions", test_contradictions);
    g_test_add_func("/checkpoint/retained", test_retained);
    g_test_add_func("/checkpoint/walk", test_walk);
    g_test_add_func("/checkpoint/follows", test_follows);
    g_test_add_func("/checkpoint/limits", test_limits);
    g_test_add_func("/checkpoint/check-findings", test_check_findings);
    g_test_add_func("/checkpoint/qualifying", test_qualifying);
    return g_test_run();
}
