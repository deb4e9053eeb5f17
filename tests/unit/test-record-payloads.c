/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-record-payloads.c - every payload kind: round trip, each cut, each field out of range
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/formats/check-records.h"

#define NO_TYPE 0x7777

typedef void (*Encode)(MonattWriter *w, const void *payload);
typedef bool (*Decode)(const MonattRecord *record, void *ret, MonattError *err);

#define DEFINE_KIND(noun, type)                                                                    \
    static void encode_##noun(MonattWriter *w, const void *payload)                                \
    {                                                                                              \
        monatt_##noun##_encode(w, payload);                                                        \
    }                                                                                              \
    static bool decode_##noun(const MonattRecord *record, void *ret, MonattError *err)             \
    {                                                                                              \
        return monatt_##noun##_decode(record, (type *)ret, err);                                   \
    }

DEFINE_KIND(locks, MonattLocksPayload)
DEFINE_KIND(syscalls, MonattSyscallsPayload)
DEFINE_KIND(tasks_summary, MonattTasksSummaryPayload)
DEFINE_KIND(finding, MonattFindingPayload)
DEFINE_KIND(check_summary, MonattCheckSummaryPayload)
DEFINE_KIND(check_finding, MonattCheckFindingPayload)
DEFINE_KIND(boot_item, MonattBootItemPayload)
DEFINE_KIND(report, MonattReportPayload)

typedef struct Kind {
    const char *name;
    uint16_t type;
    Encode encode;
    Decode decode;
    const void *sample;
    size_t struct_size;
    size_t encoded_size; /* counted from docs/formats/records.md, not from the code */
} Kind;

static MonattLocksPayload locks = {.vcpus = 2,
                                   .windows = 1000,
                                   .window_ns = 1000000,
                                   .lock_total = 70000,
                                   .split_total = 70000,
                                   .drops = 3,
                                   .density = {[0] = 1, [127] = 65535},
                                   .state = {[0] = 0x80, [124] = 1}};
static MonattSyscallsPayload syscalls = {.vcpus = 1,
                                         .windows = 5,
                                         .window_ns = 10000,
                                         .total = 30,
                                         .drops = 0,
                                         .top_count = 3,
                                         .top = {{0, 20}, {65535, 5}, {59, 5}}};
static MonattTasksSummaryPayload summary = {.sub_check = MONATT_SUBCHECK_HIDDEN_TASK,
                                            .views_wanted = 0xfe,
                                            .views_read = 0x1e,
                                            .scans = 3,
                                            .retries = 1,
                                            .findings = 1,
                                            .unsettled = 2,
                                            .reason = MONATT_REASON_TORN,
                                            .total_forks = 0x1234567890,
                                            .view_count = 2,
                                            .views = {{1, 80, {0xaa}}, {7, 79, {[31] = 0xbb}}},
                                            .text = "lists torn"};
static MonattFindingPayload finding = {.sub_check = MONATT_SUBCHECK_HIDDEN_TASK,
                                       .address = 0xffff888003a4c000,
                                       .pid = 513,
                                       .tgid = 513,
                                       .uid = 0,
                                       .start_ns = 99,
                                       .views_present = 0x1c,
                                       .views_absent = 0x02,
                                       .scans = 3,
                                       .command = "kworker/0:1",
                                       .text = "not in the task list"};
static MonattCheckSummaryPayload check = {.check = MONATT_SUBCHECK_NETFILTER,
                                          .reason = MONATT_REASON_BUDGET,
                                          .passes = 3,
                                          .findings = 2,
                                          .degraded = 1,
                                          .unsettled = 4,
                                          .counter_count = 2,
                                          .counters = {{"hooks", 12}, {"netns", 1}},
                                          .has_digest = true,
                                          .digest = {[31] = 5},
                                          .text = "out of steps"};
static MonattCheckFindingPayload hook = {.check = MONATT_SUBCHECK_NETFILTER,
                                         .severity = MONATT_SEVERITY_DEGRADED,
                                         .sightings = 3,
                                         .address = 0xffffffffc0123000,
                                         .pid = 7,
                                         .start_ns = 12345,
                                         .object = "ipv4 PRE_ROUTING",
                                         .expected = "in the kernel",
                                         .observed = "0xffffffffc0123000",
                                         .owner = "",
                                         .text = "a hook that nobody owns"};
static MonattBootItemPayload kernel = {.kind = MONATT_BOOT_KERNEL,
                                       .size = 8204416,
                                       .sha256 = {1},
                                       .sha384 = {[47] = 2},
                                       .name = "vmlinuz"};
static MonattBootItemPayload machine = {.kind = MONATT_BOOT_MACHINE, .name = ""};
static MonattReportPayload report = {.previous = {1},
                                     .nonce = {[31] = 9},
                                     .number = 4,
                                     .measurements = MONATT_MEASURE_BOOT | MONATT_MEASURE_TASKS,
                                     .range_count = 3,
                                     .ranges = {{17, 0, 0}, {19, 3, UINT64_MAX}, {20, 1, 2}}};

static const Kind kinds[] = {
    {"locks", MONATT_RECORD_LOCKS, encode_locks, decode_locks, &locks, sizeof(locks),
     4 + 5 * 8 + 128 * 2 + 125},
    {"syscalls", MONATT_RECORD_SYSCALLS, encode_syscalls, decode_syscalls, &syscalls,
     sizeof(syscalls), 4 + 4 * 8 + 2 + 3 * 10},
    {"tasks-summary", MONATT_RECORD_TASKS_SUMMARY, encode_tasks_summary, decode_tasks_summary,
     &summary, sizeof(summary), 2 + 7 * 4 + 8 + 1 + 2 * 37 + 2 + 10},
    {"finding", MONATT_RECORD_FINDING, encode_finding, decode_finding, &finding, sizeof(finding),
     2 + 8 + 3 * 4 + 8 + 3 * 4 + 2 + 11 + 2 + 20},
    {"boot-item", MONATT_RECORD_BOOT_ITEM, encode_boot_item, decode_boot_item, &kernel,
     sizeof(kernel), 2 + 8 + 32 + 48 + 2 + 7},
    {"machine", MONATT_RECORD_MACHINE, encode_boot_item, decode_boot_item, &machine,
     sizeof(machine), 2 + 8 + 32 + 48 + 2},
    {"report", MONATT_RECORD_REPORT, encode_report, decode_report, &report, sizeof(report),
     32 + 32 + 4 + 4 + 2 + 3 * 17},
    {"check-summary", MONATT_RECORD_CHECK_SUMMARY, encode_check_summary, decode_check_summary,
     &check, sizeof(check), 2 + 5 * 4 + 1 + (2 + 5 + 8) + (2 + 5 + 8) + 1 + 32 + 2 + 12},
    {"check-finding", MONATT_RECORD_CHECK_FINDING, encode_check_finding, decode_check_finding,
     &hook, sizeof(hook),
     2 + 1 + 4 + 8 + 4 + 8 + (2 + 16) + (2 + 13) + (2 + 18) + (2 + 0) + (2 + 23)},
};

static size_t encode(const Kind *kind, uint8_t buffer[MONATT_CONTENT_MAXIMUM])
{
    MonattWriter w;
    size_t size = 0;
    monatt_writer_init(&w, buffer, MONATT_CONTENT_MAXIMUM);
    kind->encode(&w, kind->sample);
    g_assert_true(monatt_writer_finish(&w, kind->name, &size, NULL));
    return size;
}

static MonattErrorCode decode(const Kind *kind, uint16_t type, const void *bytes, size_t size,
                              void *ret)
{
    g_autofree uint8_t *exact = g_malloc(size + (size == 0));
    MonattRecord record = {.type = type, .payload = exact, .payload_size = size};
    MonattError err = {0};
    memcpy(exact, bytes, size);
    bool done = kind->decode(&record, ret, &err);
    g_assert_cmpint(done, ==, err.code == MONATT_ERROR_NONE);
    return err.code;
}

static void test_round_trip(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        const Kind *kind = &kinds[i];
        uint8_t buffer[MONATT_CONTENT_MAXIMUM];
        uint8_t again[MONATT_CONTENT_MAXIMUM];
        g_autofree void *got = g_malloc0(kind->struct_size);
        size_t size = encode(kind, buffer);
        g_assert_cmpuint(size, ==, kind->encoded_size);
        g_assert_cmpint(decode(kind, kind->type, buffer, size, got), ==, MONATT_ERROR_NONE);
        /* Padding in the structs may differ; what they encode to may not. */
        Kind copy = *kind;
        copy.sample = got;
        g_assert_cmpmem(again, encode(&copy, again), buffer, size);
    }
}

static void test_refuses_cut(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        const Kind *kind = &kinds[i];
        uint8_t buffer[MONATT_CONTENT_MAXIMUM] = {0};
        g_autofree uint8_t *got = g_malloc0(kind->struct_size);
        g_autofree uint8_t *before = g_malloc0(kind->struct_size);
        size_t size = encode(kind, buffer);
        for (size_t cut = 0; cut < size; cut++) {
            g_assert_cmpint(decode(kind, kind->type, buffer, cut, got), ==, MONATT_ERROR_FORMAT);
        }
        g_assert_cmpint(decode(kind, kind->type, buffer, size + 1, got), ==, MONATT_ERROR_FORMAT);
        /* Nothing of a refused payload reaches the caller. */
        g_assert_cmpmem(got, kind->struct_size, before, kind->struct_size);
    }
}

static void test_refuses_other_types(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        uint8_t buffer[MONATT_CONTENT_MAXIMUM];
        g_autofree uint8_t *got = g_malloc0(kinds[i].struct_size);
        size_t size = encode(&kinds[i], buffer);
        g_assert_cmpint(decode(&kinds[i], NO_TYPE, buffer, size, got), ==, MONATT_ERROR_FORMAT);
        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
            MonattErrorCode code = decode(&kinds[i], kinds[k].type, buffer, size, got);
            g_assert_cmpint(code, ==, i == k ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
        }
    }
}

/* Decodes kind's sample with size bytes at offset replaced. */
static MonattErrorCode with(size_t kind, size_t offset, const char *bytes, size_t size)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    g_autofree void *got = g_malloc0(kinds[kind].struct_size);
    size_t whole = encode(&kinds[kind], buffer);
    g_assert_cmpuint(offset + size, <=, whole);
    memcpy(buffer + offset, bytes, size);
    return decode(&kinds[kind], kinds[kind].type, buffer, whole, got);
}

#define WITH(kind, offset, text) with(kind, offset, text, sizeof(text) - 1)

enum { LOCKS, SYSCALLS, SUMMARY, FINDING, KERNEL, MACHINE, REPORT, CHECK, HOOK };

static void test_refuses_fields(void)
{
    /* locks: lock total at 20, split total at 28 */
    g_assert_cmpint(WITH(LOCKS, 20, "\0\0\0\0\0\1\x11\x71"), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(WITH(LOCKS, 20, "\0\0\0\0\0\1\x11\x6f"), ==, MONATT_ERROR_FORMAT);
    /* syscalls: count at 36, pairs of 10 bytes from 38 */
    g_assert_cmpint(WITH(SYSCALLS, 36, "\0\x21"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(SYSCALLS, 36, "\xff\xff"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(SYSCALLS, 36, "\0\2"), ==, MONATT_ERROR_FORMAT); /* one too many left */
    g_assert_cmpint(WITH(SYSCALLS, 57, "\x15"), ==, MONATT_ERROR_FORMAT); /* rises: 20, 21 */
    g_assert_cmpint(WITH(SYSCALLS, 48, "\0\0"), ==, MONATT_ERROR_FORMAT); /* number 0 twice */
    g_assert_cmpint(WITH(SYSCALLS, 58, "\xff\xff"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(SYSCALLS, 58, "\0\1"), ==, MONATT_ERROR_NONE);
    /* summary: views at 38: count, then 37 bytes each; text behind them */
    g_assert_cmpint(WITH(SUMMARY, 38, "\x09"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(SUMMARY, 38, "\xff"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(SUMMARY, 39, "\0"), ==, MONATT_ERROR_FORMAT);    /* no view 0 */
    g_assert_cmpint(WITH(SUMMARY, 76, "\x08"), ==, MONATT_ERROR_FORMAT);  /* none past 7 */
    g_assert_cmpint(WITH(SUMMARY, 76, "\1"), ==, MONATT_ERROR_FORMAT);    /* twice */
    g_assert_cmpint(WITH(SUMMARY, 39, "\7"), ==, MONATT_ERROR_FORMAT);    /* falls */
    g_assert_cmpint(WITH(SUMMARY, 113, "\1\1"), ==, MONATT_ERROR_FORMAT); /* text of 257 */
    g_assert_cmpint(WITH(SUMMARY, 115, "\n"), ==, MONATT_ERROR_FORMAT);
    /* finding: command at 42, its bytes at 44 */
    g_assert_cmpint(WITH(FINDING, 44, "\0"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(FINDING, 44, "\x1b"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(FINDING, 44, "\x7f"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(FINDING, 44, "\xc3"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(FINDING, 44, "~"), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(WITH(FINDING, 42, "\xff\xff"), ==, MONATT_ERROR_FORMAT);
    /* boot item: the machine's kind in the other record type, and the other way round */
    g_assert_cmpint(WITH(KERNEL, 0, "\0\x08"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(MACHINE, 0, "\0\2"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(KERNEL, 0, "\0\3"), ==, MONATT_ERROR_NONE);
    /* report: count at 72, ranges of 17 bytes from 74 */
    g_assert_cmpint(WITH(REPORT, 72, "\0\x09"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(REPORT, 72, "\xff\xff"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(REPORT, 108, "\x18"), ==, MONATT_ERROR_FORMAT); /* MR24 */
    g_assert_cmpint(WITH(REPORT, 108, "\xff"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(REPORT, 108, "\x17"), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(WITH(REPORT, 108, "\x13"), ==, MONATT_ERROR_FORMAT); /* MR19 twice */
    g_assert_cmpint(WITH(REPORT, 74, "\x14"), ==, MONATT_ERROR_FORMAT);  /* falls */
    g_assert_cmpint(WITH(REPORT, 109, "\0\0\0\0\0\0\0\2"), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(WITH(REPORT, 109, "\0\0\0\0\0\0\0\3"), ==, MONATT_ERROR_FORMAT);
}

static void test_refuses_check_fields(void)
{
    /* summary: degraded at 14, counters at 22, the first name at 25, the second at 40, digest
     * mark at 53, its reason at 86 */
    g_assert_cmpint(WITH(CHECK, 14, "\0\0\0\2"), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(WITH(CHECK, 14, "\0\0\0\3"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(CHECK, 22, "\x11"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(CHECK, 23, "\0\x19"), ==, MONATT_ERROR_FORMAT); /* name of 25 */
    g_assert_cmpint(WITH(CHECK, 40, "hooks"), ==, MONATT_ERROR_FORMAT);  /* twice */
    g_assert_cmpint(WITH(CHECK, 40, "hookz"), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(WITH(CHECK, 53, "\2"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(CHECK, 53, "\0"), ==, MONATT_ERROR_FORMAT); /* the digest is left over */
    g_assert_cmpint(WITH(CHECK, 88, "\n"), ==, MONATT_ERROR_FORMAT);
    /* finding: severity at 2, object at 27 */
    g_assert_cmpint(WITH(HOOK, 2, "\1"), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(WITH(HOOK, 2, "\0"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(HOOK, 2, "\3"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(HOOK, 27, "\0\x41"), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(WITH(HOOK, 29, "\x1b"), ==, MONATT_ERROR_FORMAT);
}

/* The largest of both must fit; what could not be read again is not written. */
static void test_check_limits(void)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattCheckSummaryPayload large = check;
    MonattCheckFindingPayload found = hook;
    Kind kind = kinds[CHECK];
    MonattWriter w;
    size_t size;
    large.counter_count = MONATT_CHECK_COUNTERS;
    for (size_t i = 0; i < MONATT_CHECK_COUNTERS; i++) {
        memset(large.counters[i].name, 'a' + (int)i, MONATT_CHECK_COUNTER_TEXT);
    }
    memset(large.text, 'x', MONATT_TEXT_MAXIMUM);
    kind.sample = &large;
    size = encode(&kind, buffer);
    g_assert_cmpuint(size, <=, MONATT_CONTENT_MAXIMUM - MONATT_RECORD_HEADER_SIZE);
    g_assert_cmpint(decode(&kind, kind.type, buffer, size, &large), ==, MONATT_ERROR_NONE);
    large.counters[3] = large.counters[2];
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_check_summary_encode(&w, &large);
    g_assert_false(monatt_writer_finish(&w, "summary", &size, NULL));
    large = check;
    large.degraded = large.findings + 1;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_check_summary_encode(&w, &large);
    g_assert_false(monatt_writer_finish(&w, "summary", &size, NULL));

    memset(found.object, 'o', sizeof(found.object)); /* not terminated, as the others */
    memset(found.expected, 'e', sizeof(found.expected));
    memset(found.observed, 'v', sizeof(found.observed));
    memset(found.owner, 'w', sizeof(found.owner));
    memset(found.text, 't', sizeof(found.text));
    kind = kinds[HOOK];
    kind.sample = &found;
    size = encode(&kind, buffer);
    g_assert_cmpuint(size, <=, MONATT_CONTENT_MAXIMUM - MONATT_RECORD_HEADER_SIZE);
    g_assert_cmpint(decode(&kind, kind.type, buffer, size, &found), ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(strlen(found.object), ==, MONATT_CHECK_OBJECT_TEXT);
    found.severity = 0;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_check_finding_encode(&w, &found);
    g_assert_false(monatt_writer_finish(&w, "finding", &size, NULL));
}

static void test_check_identity(void)
{
    MonattCheckFindingPayload other = hook;
    g_assert_true(monatt_check_finding_is_same(&hook, &other));
    other.observed[0] = 'x';
    other.severity = MONATT_SEVERITY_COMPROMISED;
    g_assert_true(monatt_check_finding_is_same(&hook, &other));
    other.object[0] = 'x';
    g_assert_false(monatt_check_finding_is_same(&hook, &other));
    other = hook;
    other.pid++;
    g_assert_false(monatt_check_finding_is_same(&hook, &other));
    g_assert_cmpuint(monatt_check_by_name("netfilter"), ==, MONATT_SUBCHECK_NETFILTER);
    g_assert_cmpuint(monatt_check_by_name("no-such"), ==, 0);
    g_assert_cmpstr(monatt_check_name(0xffff), ==, "unknown-check");
}

/* The largest of each kind must fit into a record, and one more must not be written. */
static void test_limits(void)
{
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    MonattSyscallsPayload calls = syscalls;
    MonattTasksSummaryPayload tasks = summary;
    MonattFindingPayload found = finding;
    MonattReportPayload large = report;
    Kind kind = kinds[SYSCALLS];
    MonattError err = {0};
    MonattWriter w;
    size_t size;
    calls.top_count = MONATT_SYSCALL_TOP;
    for (uint16_t i = 0; i < MONATT_SYSCALL_TOP; i++) {
        calls.top[i].number = i;
        calls.top[i].count = 100 - i;
    }
    kind.sample = &calls;
    g_assert_cmpuint(encode(&kind, buffer), <=, MONATT_CONTENT_MAXIMUM - MONATT_RECORD_HEADER_SIZE);
    calls.top_count++;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_syscalls_encode(&w, &calls);
    g_assert_false(monatt_writer_finish(&w, "syscalls", &size, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);

    memset(tasks.text, 'x', MONATT_TEXT_MAXIMUM);
    tasks.view_count = MONATT_VIEW_COUNT - 1;
    for (uint8_t i = 0; i < tasks.view_count; i++) {
        tasks.views[i].view = i + 1;
    }
    kind = kinds[SUMMARY];
    kind.sample = &tasks;
    size = encode(&kind, buffer);
    g_assert_cmpuint(size, <=, MONATT_CONTENT_MAXIMUM - MONATT_RECORD_HEADER_SIZE);
    g_assert_cmpint(decode(&kind, kind.type, buffer, size, &tasks), ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(strlen(tasks.text), ==, MONATT_TEXT_MAXIMUM);
    tasks.view_count = MONATT_VIEW_COUNT + 1;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_tasks_summary_encode(&w, &tasks);
    g_assert_false(monatt_writer_finish(&w, "summary", &size, &err));

    memset(found.text, 'x', MONATT_TEXT_MAXIMUM);
    memset(found.command, 'y', MONATT_TEXT_MAXIMUM);
    kind = kinds[FINDING];
    kind.sample = &found;
    g_assert_cmpuint(encode(&kind, buffer), <=, MONATT_CONTENT_MAXIMUM - MONATT_RECORD_HEADER_SIZE);

    large.range_count = MONATT_REPORT_RANGES + 1;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_report_encode(&w, &large);
    g_assert_false(monatt_writer_finish(&w, "report", &size, &err));
    g_assert_cmpuint(kinds[LOCKS].encoded_size, <=,
                     MONATT_CONTENT_MAXIMUM - MONATT_RECORD_HEADER_SIZE);
}

/* A guest chooses its commands' names: what is written can always be read, and shows nothing. */
static void test_foreign_text(void)
{
    MonattFindingPayload dirty = finding;
    MonattFindingPayload got;
    uint8_t buffer[MONATT_CONTENT_MAXIMUM];
    Kind kind = kinds[FINDING];
    kind.sample = &dirty;
    g_strlcpy(dirty.command, "a\x1b[2J\n\xff\x7f", sizeof(dirty.command));
    size_t size = encode(&kind, buffer);
    g_assert_cmpint(decode(&kind, kind.type, buffer, size, &got), ==, MONATT_ERROR_NONE);
    g_assert_cmpstr(got.command, ==, "a?[2J???");
    memset(dirty.command, 'z', sizeof(dirty.command)); /* not terminated */
    size = encode(&kind, buffer);
    g_assert_cmpint(decode(&kind, kind.type, buffer, size, &got), ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(strlen(got.command), ==, MONATT_TEXT_MAXIMUM);
}

static void test_names(void)
{
    for (uint16_t kind = MONATT_BOOT_FIRMWARE; kind <= MONATT_BOOT_MACHINE; kind++) {
        g_assert_cmpstr(monatt_boot_item_kind_name(kind), !=, "unknown");
    }
    for (uint8_t view = 1; view < MONATT_VIEW_COUNT; view++) {
        g_assert_cmpstr(monatt_task_view_name(view), !=, "unknown view");
    }
    for (uint32_t reason = 0; reason <= MONATT_REASON_PAUSED; reason++) {
        g_assert_cmpstr(monatt_reason_name(reason), !=, "unknown reason");
    }
    g_assert_cmpstr(monatt_boot_item_kind_name(0), ==, "unknown");
    g_assert_cmpstr(monatt_boot_item_kind_name(9), ==, "unknown");
    g_assert_cmpstr(monatt_task_view_name(0), ==, "unknown view");
    g_assert_cmpstr(monatt_task_view_name(MONATT_VIEW_COUNT), ==, "unknown view");
    g_assert_cmpstr(monatt_reason_name(UINT32_MAX), ==, "unknown reason");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/record-payloads/round-trip", test_round_trip);
    g_test_add_func("/record-payloads/refuses-cut", test_refuses_cut);
    g_test_add_func("/record-payloads/refuses-other-types", test_refuses_other_types);
    g_test_add_func("/record-payloads/refuses-fields", test_refuses_fields);
    g_test_add_func("/record-payloads/refuses-check-fields", test_refuses_check_fields);
    g_test_add_func("/record-payloads/check-limits", test_check_limits);
    g_test_add_func("/record-payloads/check-identity", test_check_identity);
    g_test_add_func("/record-payloads/limits", test_limits);
    g_test_add_func("/record-payloads/foreign-text", test_foreign_text);
    g_test_add_func("/record-payloads/names", test_names);
    return g_test_run();
}
