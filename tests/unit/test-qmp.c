/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-qmp.c - what the device understands of QEMU's monitor, and what it asks for
 *
 * Lines are those of QEMU 7.2 and 11.1.
 */
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw-attest/qmp.h"

static const char *say(Device *device, const char *line)
{
    return qmp_line(device, line, strlen(line));
}

static void assert_asks(const char *command, const char *what)
{
    g_autofree char *word = g_strdup_printf("\"execute\":\"%s\"", what);
    g_assert_nonnull(command);
    g_assert_nonnull(strstr(command, word));
    g_assert_cmpint(command[strlen(command) - 1], ==, '\n');
}

static Device *connected(void)
{
    Device *device = device_new(NULL);
    assert_asks(say(device, "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r"),
                "qmp_capabilities");
    const char *command = say(device, "{\"return\": {}, \"id\": \"caps\"}\r");
    assert_asks(command, "migrate-set-capabilities");
    g_assert_nonnull(strstr(command, "{\"capability\":\"events\",\"state\":true}"));
    return device;
}

static uint32_t event_of(const Device *device, uint64_t number)
{
    g_assert_cmpuint(device->events_posted, >, number);
    return device->events[number % G_N_ELEMENTS(device->events)].event;
}

static void test_questions(void)
{
    static const char *const answers[] = {
        "{\"return\": {}, \"id\": \"events\"}",
        "{\"id\": \"events\", \"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        Device *device = connected();
        g_assert_true(device->reset.monitor);
        assert_asks(say(device, answers[i]), "query-kvm");
        assert_asks(say(device, "{\"return\": {\"enabled\": false, \"present\": true},"
                                " \"id\": \"kvm\"}"),
                    "query-cpus-fast");
        g_assert_cmpuint(device->accelerator, ==, 1);
        assert_asks(say(device, "{\"return\": [{\"cpu-index\": 0, \"thread-id\": 4711}],"
                                " \"id\": \"cpus\"}"),
                    "query-status");
        g_assert_cmpuint(device->vcpu_count, ==, 1);
        g_assert_null(say(device, "{\"return\": {\"status\": \"prelaunch\", \"running\": false},"
                                  " \"id\": \"status\"}"));
        g_assert_true(device->stopped);
        device_free(device);
    }
}

static void test_migration(void)
{
    static const char *const cancelled[] = {"active",          "pre-switchover", "device",
                                            "postcopy-active", "wait-unplug",    "a later QEMU's"};
    static const char *const over[] = {"cancelling", "cancelled", "failed", "completed", "none"};
    Device *device = connected();
    assert_asks(say(device, "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\":"
                            " \"MIGRATION\", \"data\": {\"status\": \"setup\"}}"),
                "migrate_cancel");
    g_assert_cmpuint(event_of(device, 0), ==, MONATT_EVENT_FAULT);
    g_assert_cmpuint(device->events[0].detail, ==, MONATT_FAULT_MIGRATION);
    /* The VM goes on as before: its registers are still its own. */
    g_assert_cmpuint(device_fault(device), ==, MONATT_FAULT_NONE);
    for (size_t i = 0; i < G_N_ELEMENTS(cancelled); i++) {
        g_autofree char *line = g_strdup_printf(
            "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"%s\"}}", cancelled[i]);
        assert_asks(say(device, line), "migrate_cancel");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(over); i++) {
        g_autofree char *line =
            g_strdup_printf("{\"event\": \"MIGRATION\", \"data\": {\"status\": \"%s\"}}", over[i]);
        g_assert_null(say(device, line));
    }
    g_assert_null(say(device, "{\"event\": \"MIGRATION\"}"));
    g_assert_null(say(device, "{\"event\": \"MIGRATION\", \"data\": {\"status\": 7}}"));
    g_assert_null(say(device, "{\"event\": \"MIGRATION\", \"data\": []}"));
    g_assert_cmpuint(device->events_posted, ==, 1);
    device_free(device);
}

#define REGISTERS                                                                                  \
    "RIP=ffffffff83a406cf RFL=00000282 [--S----] CPL=0 II=0\\r\\nGDT=     fffffe61fe314000 "       \
    "0000007f\\r\\nIDT=     fffffe0000000000 00000fff\\r\\nCR0=80050033 CR2=0 CR3=0276f000 "       \
    "CR4=00751ef%u\\r\\nEFER=0000000000000d01\\r\\n"

typedef struct Asker {
    Device *device;
    bool good;
    size_t count;
    MonattError err;
} Asker;

static gpointer ask_registers(gpointer argument)
{
    Asker *asker = argument;
    pthread_mutex_lock(&asker->device->lock);
    asker->good = vcpu_job_run(asker->device, &asker->count, &asker->err);
    pthread_mutex_unlock(&asker->device->lock);
    return NULL;
}

/* What QEMU gets on its socket, and the id in it. */
static char *take_command(int fd, const char *index)
{
    char command[256] = {0};
    g_assert_cmpint(recv(fd, command, sizeof(command) - 1, 0), >, 0);
    assert_asks(command, "human-monitor-command");
    g_assert_nonnull(strstr(command, "\"command-line\":\"info registers\""));
    g_assert_nonnull(strstr(command, index));
    char *id = strstr(command, "\"id\":\"");
    g_assert_nonnull(id);
    id += strlen("\"id\":\"");
    return g_strndup(id, (gsize)(strchr(id, '"') - id));
}

static char *answer_with(const char *id, unsigned last)
{
    return g_strdup_printf("{\"return\": \"" REGISTERS "\", \"id\": \"%s\"}", last, id);
}

/* One command a vCPU, by the monitor's own numbers; stale answers are dropped. */
static void test_vcpu_registers(void)
{
    Device *device = connected();
    Asker asker = {.device = device};
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_false(vcpu_job_run(device, &asker.count, &asker.err));
    g_assert_cmpint(asker.err.code, ==, MONATT_ERROR_MISSING); /* no monitor, no vCPU yet */
    asker.err = (MonattError){0};
    device->vcpu_job.fd = pair[0];
    (void)say(device, "{\"return\": [{\"cpu-index\": 0, \"thread-id\": 11},"
                      " {\"cpu-index\": 5, \"thread-id\": 12}], \"id\": \"cpus\"}");

    GThread *thread = g_thread_new("asker", ask_registers, &asker);
    g_autofree char *first = take_command(pair[1], "\"cpu-index\":0}");
    g_assert_null(
        say(device, "{\"return\": \"\", \"id\": \"vcpu-0-0\"}")); /* of an older question */
    g_autofree char *line = answer_with(first, 0);
    const char *next = say(device, line);
    assert_asks(next, "human-monitor-command");
    g_assert_nonnull(strstr(next, "\"cpu-index\":5}"));
    g_assert_null(say(device, line)); /* said twice */
    g_autofree char *second = g_strdup(first);
    second[strlen(second) - 1] = '1';
    g_autofree char *line2 = answer_with(second, 1);
    g_assert_null(say(device, line2));
    g_thread_join(thread);
    g_assert_true(asker.good);
    g_assert_cmpuint(asker.count, ==, 2);
    g_assert_cmphex(device->vcpu_job.registers[0].cr4, ==, 0x751ef0);
    g_assert_cmphex(device->vcpu_job.registers[1].cr4, ==, 0x751ef1);
    g_assert_cmphex(device->vcpu_job.registers[1].idt_base, ==, 0xfffffe0000000000);

    static const char *const refusals[] = {
        "{\"return\": \"RIP=0\", \"id\": \"%s\"}",
        "{\"return\": 7, \"id\": \"%s\"}",
        "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no\"}, \"id\": \"%s\"}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        asker.err = (MonattError){0};
        thread = g_thread_new("asker", ask_registers, &asker);
        g_autofree char *id = take_command(pair[1], "\"cpu-index\":0}");
        g_auto(GStrv) parts = g_strsplit(refusals[i], "%s", 2);
        g_autofree char *refusal = g_strjoin(id, parts[0], parts[1], NULL);
        g_assert_null(say(device, refusal));
        g_thread_join(thread);
        g_assert_false(asker.good);
        g_assert_cmpint(asker.err.code, ==, MONATT_ERROR_PEER);
    }
    close(pair[0]);
    close(pair[1]);
    device_free(device);
}

/* STOP, wire RESET, RESUME: loadvm; the mark comes when QMP's RESET stayed away. */
static void test_restored(void)
{
    Device *device = connected();
    MonattError err = {0};
    device->reset.can_restore = true;
    g_assert_null(say(device, "{\"event\": \"STOP\"}"));
    g_assert_false(reset_wire(&device->reset, device_now_ms()));
    assert_asks(say(device, "{\"event\": \"RESUME\"}"), "query-cpus-fast");
    g_assert_false(device_ready(device, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    device->reset.wire_ms -= RESET_PAIR_MS + 1; /* as if that time were over */
    err = (MonattError){0};
    g_assert_false(device_ready(device, &err));
    err = (MonattError){0};
    g_assert_false(device_ready(device, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
    g_assert_nonnull(strstr(err.message, "saved state"));
    g_assert_cmpuint(device_fault(device), ==, MONATT_FAULT_RESTORED);
    g_assert_true(device_broken(device));
    g_assert_false(reset_wire(&device->reset, device_now_ms()));
    g_assert_null(say(device, "{\"event\": \"RESET\", \"data\": {\"guest\": true}}"));
    g_assert_true(device->resetting);
    g_assert_cmpuint(device_fault(device), ==, MONATT_FAULT_NONE);
    device_free(device);
}

static void test_suspend(void)
{
    Device *device = connected();
    MonattError err = {0};
    reset_guest_used(&device->reset);
    g_assert_null(say(device, "{\"event\": \"SUSPEND\"}"));
    g_assert_false(reset_wire(&device->reset, device_now_ms()));
    g_assert_false(device_ready(device, &err));
    g_assert_null(say(device, "{\"event\": \"WAKEUP\"}"));
    g_assert_true(device_ready(device, &err));
    g_assert_false(device->resetting);
    /* stop and cont of a suspended VM: QEMU says that it does not run, but nobody stopped it. */
    g_assert_null(say(device, "{\"event\": \"STOP\"}"));
    assert_asks(say(device, "{\"event\": \"RESUME\"}"), "query-cpus-fast");
    g_assert_null(say(device, "{\"return\": {\"status\": \"suspended\", \"running\": false},"
                              " \"id\": \"status\"}"));
    g_assert_false(device->stopped);
    g_assert_null(say(device, "{\"return\": {\"status\": \"paused\", \"running\": false},"
                              " \"id\": \"status\"}"));
    g_assert_true(device->stopped);
    device_free(device);
}

static void assert_next(Qmp *qmp, const char *wanted)
{
    const char *line;
    size_t size;
    g_assert_cmpint(qmp_next_line(qmp, 1000, &line, &size), ==, QMP_LINE);
    g_assert_cmpmem(line, size, wanted, strlen(wanted));
}

static void send_text(int fd, const char *text)
{
    g_assert_cmpint(send(fd, text, strlen(text), 0), ==, (ssize_t)strlen(text));
}

static void test_lines(void)
{
    static Qmp qmp;
    static char block[QMP_LINE_MAXIMUM / 2];
    const char *line;
    size_t size;
    int pair[2];
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    qmp_init(&qmp, pair[0], wake);
    g_assert_cmpint(qmp_next_line(&qmp, 0, &line, &size), ==, QMP_TIMEOUT);
    send_text(pair[1], "one\r\ntwo\n\nth");
    assert_next(&qmp, "one\r");
    assert_next(&qmp, "two");
    assert_next(&qmp, "");
    g_assert_cmpint(qmp_next_line(&qmp, 1, &line, &size), ==, QMP_TIMEOUT);
    send_text(pair[1], "ree\nfour\n");
    assert_next(&qmp, "three");
    assert_next(&qmp, "four");
    /* A line longer than the buffer is passed over to its end, however long. */
    memset(block, 'x', sizeof(block));
    for (size_t i = 0; i < 5; i++) {
        g_assert_cmpint(send(pair[1], block, sizeof(block), 0), ==, (ssize_t)sizeof(block));
        g_assert_cmpint(qmp_next_line(&qmp, 0, &line, &size), ==, QMP_TIMEOUT);
    }
    send_text(pair[1], "the rest\nfive\n");
    assert_next(&qmp, "five");
    uint64_t one = 1;
    g_assert_cmpint(write(wake, &one, sizeof(one)), ==, (ssize_t)sizeof(one));
    g_assert_cmpint(qmp_next_line(&qmp, 60000, &line, &size), ==, QMP_TIMEOUT);
    g_assert_true(qmp_send(&qmp, "{}\n"));
    close(pair[1]);
    g_assert_cmpint(qmp_next_line(&qmp, 60000, &line, &size), ==, QMP_CLOSED);
    g_assert_false(qmp_send(&qmp, "{}\n"));
    close(pair[0]);
    close(wake);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qmp/questions", test_questions);
    g_test_add_func("/qmp/migration", test_migration);
    g_test_add_func("/qmp/vcpu-registers", test_vcpu_registers);
    g_test_add_func("/qmp/restored", test_restored);
    g_test_add_func("/qmp/suspend", test_suspend);
    g_test_add_func("/qmp/lines", test_lines);
    return g_test_run();
}
