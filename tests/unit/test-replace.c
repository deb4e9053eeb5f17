/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-replace.c - a dead device is replaced over QMP, whatever guest and monitor do meanwhile
 *
 * A thread plays QEMU 11.1's monitor: it answers as that did and writes down what it was told, in
 * order.  Foreign events, answers to others and half a line are between its answers.
 */
#include <glib.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw-attest/replace.h"

typedef struct Monitor {
    int fd;
    const char *status; /* of query-status */
    const char *del_error;
    const char *add_error;
    bool guest_lets_go; /* by itself */
    bool guest_reboots; /* when it is asked to let go */
    bool guest_powers_off;
    bool no_acpi;
    bool silent; /* answers nothing */
    const char *hangs_up_at;
    GString *told;
    char added[512]; /* device_add's arguments */
} Monitor;

static void say(Monitor *monitor, const char *text)
{
    send(monitor->fd, text, strlen(text), MSG_NOSIGNAL);
}

static void answer(Monitor *monitor, json_t *message, const char *value)
{
    g_autofree char *line =
        g_strdup_printf("{\"return\": {}, \"id\": \"cpus-of-a-dead-one\"}\r\n"
                        "{\"event\": \"RTC_CHANGE\", \"data\": {\"device\": \"monatt0\"}}\r\n"
                        "{%s, \"id\": \"%s\"}\r\n",
                        value, json_string_value(json_object_get(message, "id")));
    say(monitor, line);
}

static void failure(Monitor *monitor, json_t *message, const char *why)
{
    g_autofree char *value =
        g_strdup_printf("\"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}", why);
    answer(monitor, message, value);
}

static void deleted(Monitor *monitor)
{
    /* The first one is of the virtio driver within another device, without an id. */
    say(monitor, "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"/x\"}}\r\n"
                 "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"net0\"}}\r\n"
                 "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"monatt0\", \"path\":"
                 " \"/machine/peripheral/monatt0\"}}\r\n");
}

static void human(Monitor *monitor, json_t *message, const char *line)
{
    g_string_append_printf(monitor->told, "[%s] ", line);
    if (line[0] == 'i') {
        answer(monitor, message, "\"return\": \"portl[0x0cd0] = 0x00000007\\r\\n\"");
        return;
    }
    answer(monitor, message, "\"return\": \"\"");
    if (strstr(line, "0xcc8")) {
        deleted(monitor);
    }
}

static void device_del(Monitor *monitor, json_t *message)
{
    if (monitor->del_error) {
        failure(monitor, message, monitor->del_error);
        return;
    }
    answer(monitor, message, "\"return\": {}");
    if (monitor->guest_lets_go) {
        deleted(monitor);
    }
    if (monitor->guest_reboots || monitor->guest_powers_off) {
        monitor->status = "shutdown";
        say(monitor, monitor->guest_reboots
                         ? "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\":"
                           " \"guest-reset\"}}\r\n{\"event\": \"STOP\"}\r\n"
                         : "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\":"
                           " \"guest-shutdown\"}}\r\n{\"event\": \"STOP\"}\r\n");
    }
}

static void execute(Monitor *monitor, json_t *message)
{
    const char *command = json_string_value(json_object_get(message, "execute"));
    json_t *arguments = json_object_get(message, "arguments");
    g_autofree char *status = g_strdup_printf("\"return\": {\"status\": \"%s\", \"running\": %s}",
                                              monitor->status, "false");
    if (strcmp(command, "human-monitor-command") == 0) {
        human(monitor, message, json_string_value(json_object_get(arguments, "command-line")));
        return;
    }
    g_string_append(monitor->told, command);
    if (strcmp(command, "set-action") == 0) {
        g_string_append_printf(monitor->told, "(%s,%s)",
                               json_string_value(json_object_get(arguments, "reboot")),
                               json_string_value(json_object_get(arguments, "shutdown")));
    }
    g_string_append_c(monitor->told, ' ');
    if (strcmp(command, "query-status") == 0) {
        answer(monitor, message, status);
    } else if (strcmp(command, "device_del") == 0) {
        device_del(monitor, message);
    } else if (strcmp(command, "qom-get") == 0 && monitor->no_acpi) {
        failure(monitor, message, "Property 'PCIE.acpi-pcihp-bsel' not found");
    } else if (strcmp(command, "qom-get") == 0) {
        answer(monitor, message, "\"return\": 3");
    } else if (strcmp(command, "device_add") == 0 && monitor->add_error) {
        failure(monitor, message, monitor->add_error);
    } else if (strcmp(command, "device_add") == 0) {
        g_autofree char *text = json_dumps(arguments, JSON_COMPACT);
        g_strlcpy(monitor->added, text, sizeof(monitor->added));
        answer(monitor, message, "\"return\": {}");
    } else {
        answer(monitor, message, "\"return\": {}");
        if (strcmp(command, "stop") == 0) {
            say(monitor, "{\"event\": \"STOP\"}\r\n");
        } else if (strcmp(command, "cont") == 0) {
            say(monitor, "{\"event\": \"RESUME\"}\r\n");
        }
    }
}

static gpointer play(gpointer argument)
{
    Monitor *monitor = argument;
    FILE *in = fdopen(dup(monitor->fd), "r");
    char line[4096];
    say(monitor, "half of an answer to the dead process\": []}}\r\n");
    while (fgets(line, sizeof(line), in)) {
        json_t *message = json_loads(line, 0, NULL);
        g_assert_nonnull(message);
        if (monitor->hangs_up_at && strstr(line, monitor->hangs_up_at)) {
            json_decref(message);
            break;
        }
        if (monitor->silent) {
            g_string_append(monitor->told, "? ");
        } else if (json_object_get(message, "id")) {
            const char *id = json_string_value(json_object_get(message, "id"));
            if (g_str_has_prefix(id, "replace-")) {
                execute(monitor, message);
            }
        }
        json_decref(message);
    }
    shutdown(monitor->fd, SHUT_RDWR);
    fclose(in);
    return NULL;
}

static ReplaceResult run(Monitor *monitor, uint8_t actions, const char *told, const char *why)
{
    static Qmp qmp;
    int pair[2];
    MonattError err = {0};
    Device *device = device_new(NULL);
    Replace replace = {.path = "/run/w/vfio-user.sock",
                       .actions = actions,
                       .answer_ms = monitor->silent ? 50 : 5000,
                       .guest_ms = 50};
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    monitor->fd = pair[1];
    monitor->told = g_string_new("");
    if (!monitor->status) {
        monitor->status = "running";
    }
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    qmp_init(&qmp, pair[0], wake);
    GThread *thread = g_thread_new("monitor", play, monitor);
    ReplaceResult result = replace_run(&replace, &qmp, device, &err);
    shutdown(pair[0], SHUT_RDWR);
    g_thread_join(thread);
    g_strchomp(monitor->told->str);
    g_assert_cmpstr(monitor->told->str, ==, told);
    g_assert_cmpint(result == REPLACE_DONE, ==, err.code == MONATT_ERROR_NONE);
    if (why) {
        g_assert_nonnull(strstr(err.message, why));
    }
    g_assert_false(device->reset.attaching);
    g_string_free(monitor->told, TRUE);
    close(pair[0]);
    close(pair[1]);
    close(wake);
    device_free(device);
    return result;
}

#define EJECT "qom-get [i /w 0xcd0] [o /w 0xcd0 3] [o /w 0xcc8 1] [o /w 0xcd0 7]"

static void test_guest_lets_go(void)
{
    Monitor monitor = {.guest_lets_go = true};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del device_add "
                        "set-action(reset,poweroff)",
                        NULL),
                    ==, REPLACE_DONE);
    g_assert_cmpstr(monitor.added, ==,
                    "{\"driver\":\"vfio-user-pci\",\"id\":\"monatt0\",\"bus\":\"monatt-port\","
                    "\"socket\":{\"type\":\"unix\",\"path\":\"/run/w/vfio-user.sock\"},"
                    "\"x-msg-timeout\":1000}");
    /* What the operator said of reboot and power-off comes back. */
    monitor = (Monitor){.guest_lets_go = true};
    g_assert_cmpint(run(&monitor, MONATT_ACTION_NO_REBOOT | MONATT_ACTION_NO_SHUTDOWN,
                        "set-action(shutdown,pause) query-status device_del device_add "
                        "set-action(shutdown,pause)",
                        NULL),
                    ==, REPLACE_DONE);
}

static void test_guest_does_not(void)
{
    Monitor monitor = {0};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del stop " EJECT
                        " device_add cont set-action(reset,poweroff)",
                        NULL),
                    ==, REPLACE_DONE);
    /* A VM that its operator paused stays paused. */
    monitor = (Monitor){.status = "paused"};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del " EJECT
                        " device_add set-action(reset,poweroff)",
                        NULL),
                    ==, REPLACE_DONE);
    /* Asked for already, by a process that died. */
    monitor = (Monitor){.del_error = "Device monatt0 is already in the process of unplug"};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del stop " EJECT
                        " device_add cont set-action(reset,poweroff)",
                        NULL),
                    ==, REPLACE_DONE);
    /* Hot-plug by the port's registers cannot be done for the guest: it runs on, without device. */
    monitor = (Monitor){.no_acpi = true};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del stop qom-get cont "
                        "set-action(shutdown,poweroff)",
                        "does not let the old one go"),
                    ==, REPLACE_LATER);
}

static void test_reboot_meanwhile(void)
{
    Monitor monitor = {.guest_reboots = true};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del " EJECT
                        " device_add set-action(reset,poweroff) system_reset cont",
                        NULL),
                    ==, REPLACE_DONE);
    monitor = (Monitor){.guest_reboots = true};
    g_assert_cmpint(run(&monitor, MONATT_ACTION_NO_REBOOT,
                        "set-action(shutdown,pause) query-status device_del " EJECT
                        " device_add set-action(shutdown,poweroff) quit",
                        NULL),
                    ==, REPLACE_DONE);
    monitor = (Monitor){.guest_powers_off = true};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del " EJECT
                        " device_add set-action(reset,poweroff) quit",
                        NULL),
                    ==, REPLACE_DONE);
    monitor = (Monitor){.guest_powers_off = true};
    g_assert_cmpint(run(&monitor, MONATT_ACTION_NO_SHUTDOWN,
                        "set-action(shutdown,pause) query-status device_del " EJECT
                        " device_add set-action(reset,pause)",
                        NULL),
                    ==, REPLACE_DONE);
    /* Held up by an attempt that died. */
    monitor = (Monitor){.status = "shutdown", .del_error = "Device 'monatt0' not found"};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del device_add "
                        "set-action(reset,poweroff) system_reset cont",
                        NULL),
                    ==, REPLACE_DONE);
    /* A guest that powered off under -no-shutdown is not started again. */
    monitor = (Monitor){.status = "shutdown", .del_error = "Device 'monatt0' not found"};
    g_assert_cmpint(run(&monitor, MONATT_ACTION_NO_SHUTDOWN,
                        "set-action(shutdown,pause) query-status device_del device_add "
                        "set-action(reset,pause)",
                        NULL),
                    ==, REPLACE_DONE);
    /* It reboots and cannot be helped: an end in order. */
    monitor = (Monitor){.guest_reboots = true, .no_acpi = true};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del qom-get "
                        "set-action(shutdown,poweroff) quit",
                        "does not let the old one go"),
                    ==, REPLACE_LATER);
}

static void test_qemu_refuses(void)
{
    Monitor monitor = {.del_error = "Bus 'pci.0' does not support hotplugging"};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del "
                        "set-action(shutdown,poweroff)",
                        "does not support hotplugging"),
                    ==, REPLACE_NEVER);
    monitor = (Monitor){.del_error = "something new"};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del "
                        "set-action(shutdown,poweroff)",
                        "something new"),
                    ==, REPLACE_LATER);
    monitor = (Monitor){.guest_lets_go = true, .add_error = "Failed to connect"};
    g_assert_cmpint(run(&monitor, 0,
                        "set-action(shutdown,pause) query-status device_del device_add "
                        "set-action(shutdown,poweroff)",
                        "device_add: Failed to connect"),
                    ==, REPLACE_LATER);
    monitor = (Monitor){.silent = true};
    g_assert_cmpint(run(&monitor, 0, "?", "does not answer"), ==, REPLACE_LATER);
}

static void test_qemu_goes(void)
{
    static const struct {
        const char *command;
        const char *told;
    } moments[] = {
        {"set-action", ""},
        {"device_del", "set-action(shutdown,pause) query-status"},
        {"o /w 0xcc8", "set-action(shutdown,pause) query-status device_del stop qom-get "
                       "[i /w 0xcd0] [o /w 0xcd0 3]"},
        {"device_add", "set-action(shutdown,pause) query-status device_del stop " EJECT},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(moments); i++) {
        Monitor monitor = {.hangs_up_at = moments[i].command};
        g_assert_cmpint(run(&monitor, 0, moments[i].told, NULL), ==, REPLACE_NEVER);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/replace/guest-lets-go", test_guest_lets_go);
    g_test_add_func("/replace/guest-does-not", test_guest_does_not);
    g_test_add_func("/replace/reboot-meanwhile", test_reboot_meanwhile);
    g_test_add_func("/replace/qemu-refuses", test_qemu_refuses);
    g_test_add_func("/replace/qemu-goes", test_qemu_goes);
    return g_test_run();
}
