/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-report.c - a guest's question for evidence: its limits, its answer, the three ways it ends
 */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hw-attest/report.h"

#define T0 1000000
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

static const uint8_t inblob[MONATT_INBLOB_MAXIMUM] = "a question";

static int evidence(const char *text, int seals)
{
    int fd = memfd_create("evidence", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pwrite(fd, text, strlen(text), 0), ==, (ssize_t)strlen(text));
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    return fd;
}

/* As the control thread hands it over; true: the descriptor was kept. */
static bool answer(Report *report, uint32_t number, uint32_t refusal, int fd, int64_t now_ms,
                   MonattErrorCode *ret_code)
{
    static MonattControlMessage request;
    MonattError err = {0};
    MonattReader r;
    MonattWriter w;
    monatt_writer_init(&w, request.payload, sizeof(request.payload));
    monatt_writer_u32_be(&w, number);
    monatt_writer_u32_be(&w, refusal);
    request.payload_size = w.size;
    request.fd_count = fd >= 0;
    request.fds[0] = fd;
    monatt_reader_init(&r, "answer", request.payload, request.payload_size, &err);
    bool good = report_answer(report, &r, &request, now_ms, &err);
    g_assert_true(good || err.code != MONATT_ERROR_NONE);
    g_assert_true(request.fds[0] == fd || good);
    if (request.fd_count > 0 && request.fds[0] >= 0) {
        close(request.fds[0]);
    }
    *ret_code = err.code;
    return good && refusal == 0;
}

static bool question(Report *report, size_t slot, int64_t now_ms, MonattErrorCode *ret_code)
{
    uint8_t bytes[4 + MONATT_INBLOB_MAXIMUM];
    MonattError err = {0};
    MonattWriter w;
    monatt_writer_init(&w, bytes, sizeof(bytes));
    bool good = report_question(report, slot, now_ms, &w, &err);
    *ret_code = err.code;
    if (good) {
        g_assert_cmpuint(w.size, ==, 4 + report->inblob_size);
        g_assert_cmpmem(bytes + 4, w.size - 4, inblob, report->inblob_size);
    }
    return good;
}

static void clear(Report *report)
{
    report_drop(report);
    int old = report_take_old(report);
    if (old >= 0) {
        close(old);
    }
}

static void test_question_to_bytes(void)
{
    Report report;
    MonattErrorCode code;
    uint32_t number;
    uint8_t buffer[8];
    size_t size;
    report_init(&report, T0);
    g_assert_cmpuint(report_state(&report, T0), ==, MONATT_REPORT_NONE);
    g_assert_cmpuint(report_read(&report, 0, buffer, 8, &size), ==, MONATT_ERR_SEQUENCE);
    g_assert_false(question(&report, 3, T0, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_MISSING);
    g_assert_cmpuint(report_begin(&report, inblob, 10, T0, &number), ==, MONATT_ERR_NONE);
    g_assert_cmpuint(report_state(&report, T0), ==, MONATT_REPORT_WAITING);
    g_assert_cmpuint(report_size(&report, T0), ==, 0);
    g_assert_true(question(&report, 3, T0 + 1, &code));
    g_assert_true(answer(&report, number, 0, evidence("twelve bytes", SEALS), T0 + 2, &code));
    g_assert_cmpuint(report_state(&report, T0 + 3), ==, MONATT_REPORT_READY);
    g_assert_cmpuint(report_size(&report, T0 + 3), ==, 12);
    g_assert_cmpuint(report_read(&report, 0, buffer, 8, &size), ==, MONATT_ERR_NONE);
    g_assert_cmpmem(buffer, size, "twelve b", 8);
    g_assert_cmpuint(report_read(&report, 8, buffer, 8, &size), ==, MONATT_ERR_NONE);
    g_assert_cmpmem(buffer, size, "ytes", 4);
    static const uint32_t behind[] = {12, 13, UINT32_MAX};
    for (size_t i = 0; i < G_N_ELEMENTS(behind); i++) {
        g_assert_cmpuint(report_read(&report, behind[i], buffer, 8, &size), ==, MONATT_ERR_NONE);
        g_assert_cmpuint(size, ==, 0);
    }
    /* Ready for as long as nobody drops it: the deadline was the question's. */
    g_assert_cmpuint(report_state(&report, T0 + 10 * REPORT_WAIT_MS), ==, MONATT_REPORT_READY);
    g_assert_false(answer(&report, number, 0, evidence("another", SEALS), T0 + 4, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_MISSING);
    clear(&report);
    g_assert_cmpuint(report_read(&report, 0, buffer, 8, &size), ==, MONATT_ERR_SEQUENCE);
}

static void test_refuses_answers(void)
{
    Report report;
    MonattErrorCode code;
    uint32_t number;
    report_init(&report, T0);
    g_assert_cmpuint(report_begin(&report, inblob, 64, T0, &number), ==, MONATT_ERR_NONE);
    static const int partly[] = {0, F_SEAL_WRITE, F_SEAL_WRITE | F_SEAL_SHRINK,
                                 F_SEAL_SHRINK | F_SEAL_GROW};
    for (size_t i = 0; i < G_N_ELEMENTS(partly); i++) {
        g_assert_false(answer(&report, number, 0, evidence("e", partly[i]), T0, &code));
        g_assert_cmpint(code, ==, MONATT_ERROR_FORMAT);
    }
    g_assert_false(answer(&report, number, 0, open("/dev/zero", O_RDONLY), T0, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_FORMAT);
    g_assert_false(answer(&report, number, 0, -1, T0, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_FORMAT);
    g_assert_false(answer(&report, number, 5, evidence("e", SEALS), T0, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_FORMAT);
    g_assert_false(answer(&report, number, 0, evidence("", SEALS), T0, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_LIMIT);
    int large = memfd_create("large", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    g_assert_cmpint(ftruncate(large, MONATT_GUEST_REPORT_MAXIMUM + 1), ==, 0);
    g_assert_cmpint(fcntl(large, F_ADD_SEALS, SEALS), ==, 0);
    g_assert_false(answer(&report, number, 0, large, T0, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_LIMIT);
    g_assert_false(answer(&report, number + 1, 0, evidence("e", SEALS), T0, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_MISSING);
    g_assert_cmpuint(report_state(&report, T0), ==, MONATT_REPORT_WAITING);
    g_assert_true(answer(&report, number, 0, evidence("e", SEALS), T0, &code));
    clear(&report);
}

static void test_refusals(void)
{
    Report report;
    MonattErrorCode code;
    uint32_t number;
    uint8_t byte;
    size_t size;
    report_init(&report, T0);
    g_assert_cmpuint(report_begin(&report, inblob, 1, T0, &number), ==, MONATT_ERR_NONE);
    g_assert_false(answer(&report, number, MONATT_REFUSAL_SESSION, -1, T0, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_NONE);
    g_assert_cmpuint(report_state(&report, T0), ==, MONATT_REPORT_REFUSED);
    g_assert_cmpuint(report_size(&report, T0), ==, MONATT_REFUSAL_SESSION);
    g_assert_cmpuint(report_read(&report, 0, &byte, 1, &size), ==, MONATT_ERR_SEQUENCE);

    int64_t now = T0 + REPORT_GAP_MS; /* nobody answers */
    g_assert_cmpuint(report_begin(&report, inblob, 1, now, &number), ==, MONATT_ERR_NONE);
    g_assert_true(question(&report, 3, now, &code));
    g_assert_cmpuint(report_state(&report, now + REPORT_WAIT_MS - 1), ==, MONATT_REPORT_WAITING);
    g_assert_cmpuint(report_size(&report, now + REPORT_WAIT_MS), ==, MONATT_REFUSAL_TIME);
    g_assert_false(
        answer(&report, number, 0, evidence("late", SEALS), now + REPORT_WAIT_MS, &code));
    g_assert_cmpint(code, ==, MONATT_ERROR_MISSING);

    now += REPORT_WAIT_MS; /* the asker's connection ends; another one's does not matter */
    g_assert_cmpuint(report_begin(&report, inblob, 1, now, &number), ==, MONATT_ERR_NONE);
    g_assert_true(question(&report, 3, now, &code));
    report_lost(&report, 2, 1, now);
    report_lost(&report, REPORT_NO_SLOT, 1, now);
    g_assert_cmpuint(report_state(&report, now), ==, MONATT_REPORT_WAITING);
    report_lost(&report, 3, 1, now);
    g_assert_cmpuint(report_size(&report, now), ==, MONATT_REFUSAL_NOBODY);

    now += REPORT_GAP_MS; /* nobody has subscribed */
    g_assert_cmpuint(report_begin(&report, inblob, 1, now, &number), ==, MONATT_ERR_NONE);
    report_lost(&report, REPORT_NO_SLOT, 1, now);
    g_assert_cmpuint(report_state(&report, now), ==, MONATT_REPORT_WAITING);
    report_lost(&report, REPORT_NO_SLOT, 0, now);
    g_assert_cmpuint(report_size(&report, now), ==, MONATT_REFUSAL_NOBODY);
    clear(&report);
}

static void test_limits(void)
{
    Report report;
    uint32_t number;
    MonattErrorCode code;
    int64_t now = T0;
    report_init(&report, now);
    g_assert_cmpuint(report_begin(&report, inblob, 0, now, &number), ==, MONATT_ERR_SIZE);
    g_assert_cmpuint(report_begin(&report, inblob, 65, now, &number), ==, MONATT_ERR_SIZE);
    g_assert_cmpuint(report_begin(&report, inblob, SIZE_MAX, now, &number), ==, MONATT_ERR_SIZE);
    for (unsigned i = 0; i < REPORT_BURST; i++) {
        g_assert_cmpuint(report_begin(&report, inblob, 64, now, &number), ==, MONATT_ERR_NONE);
        g_assert_cmpuint(report_begin(&report, inblob, 64, now + REPORT_GAP_MS, &number), ==,
                         MONATT_ERR_BUSY); /* it still waits */
        g_assert_true(answer(&report, number, 0, evidence("e", SEALS), now, &code));
        g_assert_cmpuint(report_begin(&report, inblob, 64, now + REPORT_GAP_MS - 1, &number), ==,
                         MONATT_ERR_BUSY);
        g_assert_cmpuint(report_state(&report, now), ==, MONATT_REPORT_READY);
        now += REPORT_GAP_MS;
    }
    /* The burst is used up, and a VM reset gives no other one. */
    g_assert_cmpuint(report_begin(&report, inblob, 64, now, &number), ==, MONATT_ERR_BUSY);
    clear(&report);
    g_assert_cmpuint(report_begin(&report, inblob, 64, now, &number), ==, MONATT_ERR_BUSY);
    g_assert_cmpuint(report_begin(&report, inblob, 64, T0 + REPORT_REFILL_MS, &number), ==,
                     MONATT_ERR_NONE);
    g_assert_cmpuint(
        report_begin(&report, inblob, 64, T0 + REPORT_REFILL_MS + REPORT_GAP_MS, &number), ==,
        MONATT_ERR_BUSY);
    clear(&report);
    /* After a year there is one burst, not a year's. */
    now = T0 + 365ll * 24 * 3600 * 1000;
    unsigned taken = 0;
    while (report_begin(&report, inblob, 64, now, &number) == MONATT_ERR_NONE) {
        clear(&report);
        now += REPORT_GAP_MS;
        taken++;
    }
    g_assert_cmpuint(taken, ==, REPORT_BURST);
    clear(&report);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/question-to-bytes", test_question_to_bytes);
    g_test_add_func("/report/refuses-answers", test_refuses_answers);
    g_test_add_func("/report/refusals", test_refusals);
    g_test_add_func("/report/limits", test_limits);
    return g_test_run();
}
