/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-control-calls.c - a device that answers the collector's calls wrongly
 *
 * Every call: the whole answer, each cut of it, a byte too many, descriptors too many and too few.
 * No descriptor may stay open behind a refusal, and no result may have moved.
 */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "libmonatt/control/control.h"

#define ANSWER_MAXIMUM 4096

static struct {
    uint8_t bytes[ANSWER_MAXIMUM];
    size_t size;
    size_t fd_count;
} answer;

static int ours;
static int theirs;

/* The device: answers whatever is asked with what stands in `answer`. */
static gpointer serve(gpointer argument)
{
    static MonattControlMessage request;
    int fds[MONATT_CONTROL_FDS];
    for (size_t i = 0; i < MONATT_CONTROL_FDS; i++) {
        fds[i] = theirs; /* any descriptor does */
    }
    while (monatt_control_receive(theirs, -1, &request, NULL)) {
        uint16_t type = request.type | MONATT_CONTROL_ANSWER;
        uint16_t id = request.id;
        monatt_control_message_clear(&request); /* before the test counts descriptors */
        g_assert_true(monatt_control_send(theirs, type, id, answer.bytes, answer.size, fds,
                                          answer.fd_count, NULL));
    }
    return argument;
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* What the calls fill; compared with zeros after a refusal. */
typedef struct Results {
    uint64_t first;
    uint64_t second;
    size_t count;
    MonattDeviceStatus status;
} Results;

static Results results;
static MonattRegisterValue registers[MONATT_REGISTER_COUNT];
static MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
static MonattBootItemPayload items[MONATT_BOOT_ITEMS_MAXIMUM];
static int got_fds[MONATT_RAM_REGIONS_MAXIMUM];

static bool call_status(MonattError *err)
{
    return monatt_device_status(ours, &results.status, err);
}

static bool call_registers(MonattError *err)
{
    return monatt_device_registers(ours, registers, err);
}

static bool call_extend(MonattError *err)
{
    return monatt_device_extend(ours, 17, "record", 6, &results.first, err);
}

static bool call_hold(MonattError *err)
{
    return monatt_device_hold(ours, 5, &results.first, &results.second, err);
}

static bool call_keys(MonattError *err)
{
    static uint8_t ek[MONATT_PUBLIC_MAXIMUM];
    static uint8_t ak[MONATT_PUBLIC_MAXIMUM];
    size_t ek_size;
    size_t ak_size;
    return monatt_device_keys(ours, MONATT_ALG_SHA256, ek, &ek_size, ak, &ak_size, err);
}

static bool call_log(MonattError *err)
{
    return monatt_device_log(ours, &got_fds[0], &results.first, &results.second, err);
}

static bool call_ram(MonattError *err)
{
    return monatt_device_ram(ours, regions, got_fds, &results.count, err);
}

static bool call_ring(MonattError *err)
{
    return monatt_device_ring(ours, &got_fds[0], &results.first, err);
}

static bool call_kernel(MonattError *err)
{
    return monatt_device_kernel(ours, &got_fds[0], &results.first, err);
}

static bool call_items(MonattError *err)
{
    return monatt_device_boot_items(ours, items, &results.count, err);
}

static bool call_nonce(MonattError *err)
{
    static const uint8_t nonce[MONATT_NONCE_SIZE];
    return monatt_device_set_nonce(ours, nonce, err);
}

static bool call_list(MonattError *err)
{
    return monatt_device_guest_list(ours, &got_fds[0], &results.count, err);
}

static bool call_vcpus(MonattError *err)
{
    static uint32_t threads[MONATT_VCPUS_MAXIMUM];
    uint32_t pid = 0;
    bool done = monatt_device_vcpus(ours, &pid, threads, &results.count, err);
    results.first = pid;
    return done;
}

static bool call_vcpu_registers(MonattError *err)
{
    static MonattVcpuRegisters vcpus[MONATT_VCPUS_MAXIMUM];
    return monatt_device_vcpu_registers(ours, vcpus, &results.count, err);
}

static uint8_t inblob[MONATT_INBLOB_MAXIMUM];

static bool call_question(MonattError *err)
{
    uint32_t number = 0;
    bool done = monatt_device_report_question(ours, &number, inblob, &results.count, err);
    results.first = number;
    return done;
}

static bool call_answer(MonattError *err)
{
    return monatt_device_report_answer(ours, 1, 0, ours, err);
}

static void put(const void *bytes, size_t size)
{
    g_assert_cmpuint(answer.size + size, <=, sizeof(answer.bytes));
    memcpy(answer.bytes + answer.size, bytes, size);
    answer.size += size;
}

static void put_zeros(size_t size)
{
    static const uint8_t zeros[ANSWER_MAXIMUM];
    put(zeros, size);
}

static void fill_status(void)
{
    MonattDeviceStatus status = {.name = "web-3"};
    MonattWriter w;
    monatt_writer_init(&w, answer.bytes, sizeof(answer.bytes));
    monatt_device_status_encode(&w, &status);
    answer.size = w.size;
}

static void fill_registers(void)
{
    put_zeros(MONATT_REGISTER_COUNT * (MONATT_SHA256_SIZE + MONATT_SHA384_SIZE + 16));
}

static void fill_8(void)
{
    put("\0\0\0\0\0\0\0\7", 8);
}

static void fill_16(void)
{
    put("\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\5", 16);
}

static void fill_keys(void)
{
    put("\0\3abc\0\2de", 9);
}

static void fill_regions(void)
{
    put("\0\0\0\2", 4);
    put_zeros(2 * 24);
}

static void fill_items(void)
{
    MonattBootItemPayload two[2] = {{.kind = MONATT_BOOT_KERNEL, .name = "vmlinuz"},
                                    {.kind = MONATT_BOOT_MACHINE}};
    MonattWriter w;
    monatt_writer_init(&w, answer.bytes, sizeof(answer.bytes));
    monatt_writer_u32_be(&w, 2);
    monatt_boot_items_encode(&w, two, 2);
    answer.size = w.size;
}

static void fill_nothing(void)
{
}

static void fill_vcpus(void)
{
    put("\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4", 16);
}

static void fill_vcpu_registers(void)
{
    put("\0\0\0\2", 4);
    put_zeros(2 * 68);
}

static void fill_question(void)
{
    put("\0\0\0\7?", 5);
}

static const struct {
    const char *name;
    bool (*call)(MonattError *err);
    void (*fill)(void);
    size_t fd_count;
    bool any_size; /* the answer has no content that anybody reads */
} cases[] = {
    {"status", call_status, fill_status, 0, false},
    {"registers", call_registers, fill_registers, 0, false},
    {"extend", call_extend, fill_8, 0, false},
    {"hold", call_hold, fill_16, 0, false},
    {"keys", call_keys, fill_keys, 0, false},
    {"log", call_log, fill_16, 1, false},
    {"ram", call_ram, fill_regions, 2, false},
    {"ring", call_ring, fill_8, 1, false},
    {"kernel", call_kernel, fill_8, 1, false},
    {"boot-items", call_items, fill_items, 0, false},
    {"set-nonce", call_nonce, fill_nothing, 0, true},
    {"guest-list", call_list, fill_8, 1, false},
    {"vcpus", call_vcpus, fill_vcpus, 0, false},
    {"vcpu-registers", call_vcpu_registers, fill_vcpu_registers, 0, false},
    {"report-question", call_question, fill_question, 0, true},
    {"report-answer", call_answer, fill_nothing, 0, true},
};

static void prepare(size_t i)
{
    memset(&answer, 0, sizeof(answer));
    memset(&results, 0, sizeof(results));
    cases[i].fill();
    answer.fd_count = cases[i].fd_count;
}

static void expect_refusal(size_t i)
{
    static const Results untouched;
    unsigned before = open_descriptors();
    MonattError err = {0};
    g_assert_false(cases[i].call(&err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_cmpuint(open_descriptors(), ==, before);
    g_assert_cmpmem(&results, sizeof(results), &untouched, sizeof(untouched));
}

static void test_good(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        MonattError err = {0};
        prepare(i);
        g_assert_true(cases[i].call(&err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_NONE);
        for (size_t k = 0; k < cases[i].fd_count; k++) {
            g_assert_cmpint(close(got_fds[k]), ==, 0);
        }
    }
}

static void test_refuses_sizes(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (cases[i].any_size) {
            continue;
        }
        prepare(i);
        size_t whole = answer.size;
        for (size_t cut = 0; cut < whole; cut++) {
            answer.size = cut;
            expect_refusal(i);
        }
        answer.size = whole + 1;
        expect_refusal(i);
    }
}

static void test_refuses_descriptors(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (size_t count = 0; count <= MONATT_CONTROL_FDS; count++) {
            prepare(i);
            answer.fd_count = count;
            if (count != cases[i].fd_count) {
                expect_refusal(i);
            }
        }
    }
}

/* Its inblob has any size up to a limit. */
static void test_question_sizes(void)
{
    size_t at = 0;
    while (cases[at].call != call_question) {
        at++;
    }
    for (size_t size = 0; size <= 4 + MONATT_INBLOB_MAXIMUM + 1; size++) {
        prepare(at);
        put_zeros(MONATT_INBLOB_MAXIMUM);
        answer.size = size;
        if (size < 5 || size > 4 + MONATT_INBLOB_MAXIMUM) {
            expect_refusal(at);
        } else {
            MonattError err = {0};
            g_assert_true(call_question(&err));
            g_assert_cmpuint(results.first, ==, 7);
            g_assert_cmpuint(results.count, ==, size - 4);
            g_assert_cmpuint(inblob[0], ==, '?');
        }
    }
}

static void expect_changed(const char *name, size_t offset, const char *bytes, size_t size,
                           MonattErrorCode code)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (strcmp(cases[i].name, name) == 0) {
            unsigned before = open_descriptors();
            MonattError err = {0};
            prepare(i);
            memcpy(answer.bytes + offset, bytes, size);
            g_assert_false(cases[i].call(&err));
            g_assert_cmpint(err.code, ==, code);
            g_assert_cmpuint(open_descriptors(), ==, before);
        }
    }
}

static void test_refuses_counts(void)
{
    expect_changed("ram", 0, "\0\0\0\11", 4, MONATT_ERROR_FORMAT);
    expect_changed("ram", 0, "\xff\xff\xff\xff", 4, MONATT_ERROR_FORMAT);
    expect_changed("boot-items", 0, "\0\0\0\41", 4, MONATT_ERROR_FORMAT);
    expect_changed("boot-items", 0, "\0\0\0\1", 4, MONATT_ERROR_FORMAT);
    expect_changed("boot-items", 4, "\xff\xff\xff\xff", 4, MONATT_ERROR_FORMAT);
    expect_changed("vcpus", 4, "\0\0\1\1", 4, MONATT_ERROR_FORMAT);
    expect_changed("vcpus", 4, "\xff\xff\xff\xff", 4, MONATT_ERROR_FORMAT);
    expect_changed("keys", 0, "\4\1", 2, MONATT_ERROR_FORMAT);
    expect_changed("keys", 0, "\xff\xff", 2, MONATT_ERROR_FORMAT);
    /* one byte over the limit of 256 KiB; the memfd must not stay open */
    expect_changed("guest-list", 0, "\0\0\0\0\0\4\0\1", 8, MONATT_ERROR_LIMIT);
}

static void test_own_limits(void)
{
    static const uint8_t large[MONATT_CONTENT_MAXIMUM + 1];
    static MonattDeviceQuote quote;
    int fds[MONATT_CONTROL_FDS + 1];
    MonattError err = {0};
    uint64_t number;
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = ours;
    }
    g_assert_false(monatt_device_extend(ours, 17, large, sizeof(large), &number, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    err = (MonattError){0};
    g_assert_false(monatt_device_quote(ours, MONATT_ALG_SHA256, large, 65, &quote, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    err = (MonattError){0};
    g_assert_false(monatt_control_send(ours, 1, 1, NULL, 0, fds, MONATT_CONTROL_FDS + 1, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
}

int main(int argc, char **argv)
{
    int pair[2];
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
    ours = pair[0];
    theirs = pair[1];
    GThread *thread = g_thread_new("device", serve, NULL);
    g_test_add_func("/control-calls/good", test_good);
    g_test_add_func("/control-calls/refuses-sizes", test_refuses_sizes);
    g_test_add_func("/control-calls/question-sizes", test_question_sizes);
    g_test_add_func("/control-calls/refuses-descriptors", test_refuses_descriptors);
    g_test_add_func("/control-calls/refuses-counts", test_refuses_counts);
    g_test_add_func("/control-calls/own-limits", test_own_limits);
    int status = g_test_run();
    close(ours);
    g_thread_join(thread);
    close(theirs);
    return status;
}
