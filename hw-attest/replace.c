/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace.c - unplugs a dead device's vfio-user-pci and plugs a new one; must never reset a VM that
 * did not ask for it, nor leave one paused
 *
 * Seen with QEMU 11.1: a reset, or any change of the memory map, ends in abort() while the server
 * is dead.  Unrealizing the device does not let go of the dead connection, only its finalizing
 * does: so it must be unplugged whole.
 */
#include "hw-attest/replace.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "libmonatt/base/log.h"

#define ANSWER_MS 3000 /* QEMU's main loop may wait for x-msg-timeout twice */
#define PLUG_MS 10000  /* device_add speaks with the new server */
#define GUEST_MS 3000  /* Linux needs a tenth of a second */
#define EJECT_MS 1000  /* done within the command, the event follows */
#define RESTORE_TRIES 3
#define ID_SIZE 32
#define TICK_MS 500

/* QEMU's hw/acpi/pcihp.c, ACPI_PCIHP_ADDR_ICH9: what the guest's own _EJ0 writes. */
#define EJECT_REGISTER 0xcc8
#define SELECT_REGISTER 0xcd0

typedef struct Work {
    const Replace *replace;
    Qmp *qmp;
    Device *device;
    unsigned number;  /* of commands */
    bool deleted;     /* DEVICE_DELETED of ours */
    bool shut_down;   /* SHUTDOWN: the guest's reboot, held up, or its power-off */
    bool reboot;      /* its reason was a reset */
    bool closed;      /* QEMU is gone */
    char answer[256]; /* a command's text, or its error */
} Work;

static unsigned or_else(unsigned value, unsigned usual)
{
    return value ? value : usual;
}

static bool ending(Work *work)
{
    pthread_mutex_lock(&work->device->lock);
    bool is = work->device->ending;
    pthread_mutex_unlock(&work->device->lock);
    return is;
}

static void note_event(Work *work, const char *name, json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "device"));
    const char *reason = json_string_value(json_object_get(data, "reason"));
    if (strcmp(name, "DEVICE_DELETED") == 0 && device && strcmp(device, REPLACE_DEVICE) == 0) {
        work->deleted = true;
    } else if (strcmp(name, "SHUTDOWN") == 0) {
        work->shut_down = true;
        work->reboot = reason && strstr(reason, "reset");
    }
}

typedef enum Heard { HEARD_NOTHING, HEARD_OTHER, HEARD_DONE, HEARD_REFUSED } Heard;

static bool is_answer(json_t *message, const char *id)
{
    const char *got = json_string_value(json_object_get(message, "id"));
    return id && got && strcmp(got, id) == 0;
}

/* One line of QEMU's at most until the deadline; what is not for us goes where it always goes. */
static Heard hear(Work *work, const char *id, int64_t until_ms)
{
    const char *line;
    size_t size;
    int64_t left = until_ms - device_now_ms();
    left = left < 0 ? 0 : left > TICK_MS ? TICK_MS : left; /* the attach service waits for ticks */
    QmpWait wait = qmp_next_line(work->qmp, (int)left, &line, &size);
    atomic_fetch_add(&work->device->kept->heartbeat.ticks, 1);
    if (wait != QMP_LINE) {
        work->closed |= wait == QMP_CLOSED;
        return HEARD_NOTHING;
    }
    json_t *message = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    const char *name = json_string_value(json_object_get(message, "event"));
    Heard heard = HEARD_OTHER;
    if (name) {
        note_event(work, name, json_object_get(message, "data"));
    } else if (is_answer(message, id)) {
        json_t *error = json_object_get(message, "error");
        json_t *value = error ? json_object_get(error, "desc") : json_object_get(message, "return");
        heard = error ? HEARD_REFUSED : HEARD_DONE;
        if (json_is_integer(value)) {
            snprintf(work->answer, sizeof(work->answer), "%lld",
                     (long long)json_integer_value(value));
        } else {
            const char *status = json_string_value(json_object_get(value, "status"));
            const char *text = json_string_value(value);
            snprintf(work->answer, sizeof(work->answer), "%s", status ? status : text ? text : "");
        }
    }
    json_decref(message);
    if (heard == HEARD_OTHER) {
        const char *command = qmp_line(work->device, line, size);
        if (command) {
            qmp_send(work->qmp, command);
        }
    }
    return heard;
}

/* arguments is taken over; NULL: none.  True: QEMU did it; its answer is in work->answer. */
static bool ask(Work *work, const char *command, json_t *arguments, unsigned patience_ms)
{
    char id[ID_SIZE];
    work->answer[0] = '\0';
    /* A dead process's answers may still come on this connection: no id of theirs is one of ours.
     */
    snprintf(id, sizeof(id), "replace-%d-%u", (int)getpid(), work->number++);
    json_t *message = json_pack("{s:s, s:s}", "execute", command, "id", id);
    if (arguments) {
        json_object_set_new(message, "arguments", arguments);
    }
    char *text = json_dumps(message, JSON_COMPACT);
    json_decref(message);
    char *line = NULL;
    if (text && asprintf(&line, "%s\n", text) < 0) {
        line = NULL;
    }
    bool sent = line && qmp_send(work->qmp, line);
    free(line);
    free(text);
    if (!sent) {
        snprintf(work->answer, sizeof(work->answer), "not sent");
        return false;
    }
    int64_t until = device_now_ms() + patience_ms;
    while (!work->closed && !ending(work)) {
        Heard heard = hear(work, id, until);
        if (heard == HEARD_DONE || heard == HEARD_REFUSED) {
            return heard == HEARD_DONE;
        }
        if (device_now_ms() >= until) {
            break;
        }
    }
    snprintf(work->answer, sizeof(work->answer), "%s",
             work->closed ? "QEMU is gone" : "QEMU does not answer");
    return false;
}

static unsigned answer_ms(const Work *work)
{
    return or_else(work->replace->answer_ms, ANSWER_MS);
}

static bool set_actions(Work *work, const char *reboot, const char *shutdown)
{
    return ask(work, "set-action", json_pack("{s:s, s:s}", "reboot", reboot, "shutdown", shutdown),
               answer_ms(work));
}

static bool human(Work *work, const char *line)
{
    /* Such a command's refusal is its text: silence is success. */
    return ask(work, "human-monitor-command", json_pack("{s:s}", "command-line", line),
               answer_ms(work));
}

/* Until the guest let go of the device, or cannot any more. */
static void wait_for_guest(Work *work, unsigned patience_ms)
{
    int64_t until = device_now_ms() + patience_ms;
    while (!work->deleted && !work->shut_down && !work->closed && device_now_ms() < until &&
           !ending(work)) {
        hear(work, NULL, until);
    }
}

/*
 * Does what the guest's firmware does in _EJ0, for a guest that does not.  The VM stands still
 * meanwhile, as the guest may be between writing SELECT and reading another register.
 */
static bool eject(Work *work)
{
    char line[48];
    unsigned before = 0;
    if (!ask(work, "qom-get",
             json_pack("{s:s, s:s}", "path", "/machine/peripheral/" REPLACE_PORT "/" REPLACE_PORT,
                       "property", "acpi-pcihp-bsel"),
             answer_ms(work))) {
        return false; /* hot-plug by the port's own registers: the guest's alone */
    }
    unsigned bus;
    if (sscanf(work->answer, "%5u", &bus) != 1) {
        return false;
    }
    snprintf(line, sizeof(line), "i /w 0x%x", SELECT_REGISTER);
    if (!human(work, line) || sscanf(work->answer, "portl[%*x] = %x", &before) != 1) {
        return false;
    }
    snprintf(line, sizeof(line), "o /w 0x%x %u", SELECT_REGISTER, bus);
    if (!human(work, line)) {
        return false;
    }
    snprintf(line, sizeof(line), "o /w 0x%x 1", EJECT_REGISTER); /* slot 0 */
    bool good = human(work, line);
    int64_t until = device_now_ms() + EJECT_MS;
    while (good && !work->deleted && !work->closed && device_now_ms() < until) {
        hear(work, NULL, until);
    }
    snprintf(line, sizeof(line), "o /w 0x%x %u", SELECT_REGISTER, before);
    human(work, line);
    return work->deleted;
}

static void set_attaching(Work *work, bool attaching)
{
    pthread_mutex_lock(&work->device->lock);
    work->device->reset.attaching = attaching;
    pthread_mutex_unlock(&work->device->lock);
}

static ReplaceResult unplug(Work *work, bool runs, bool *ret_stopped, MonattError *err)
{
    if (!ask(work, "device_del", json_pack("{s:s}", "id", REPLACE_DEVICE), answer_ms(work))) {
        if (strstr(work->answer, "not found")) {
            return REPLACE_DONE; /* an attempt before this one came so far, or the guest */
        }
        if (strstr(work->answer, "does not support hotplugging") || work->closed) {
            monatt_error_set(err, MONATT_ERROR_MISSING, "replacement: %s", work->answer);
            return REPLACE_NEVER;
        }
        if (!strstr(work->answer, "in the process of unplug")) {
            monatt_error_set(err, MONATT_ERROR_PEER, "replacement: device_del: %s", work->answer);
            return REPLACE_LATER;
        }
    }
    if (runs) {
        wait_for_guest(work, or_else(work->replace->guest_ms, GUEST_MS));
    }
    if (work->deleted) {
        return REPLACE_DONE;
    }
    if (runs && !work->shut_down && !*ret_stopped) {
        *ret_stopped = ask(work, "stop", NULL, answer_ms(work));
    }
    if (!eject(work)) {
        monatt_error_set(err, MONATT_ERROR_BUSY,
                         "replacement: the guest does not let the old one go");
        monatt_error_hint(err, "tried again; until then a reboot of the guest ends the VM");
        return work->closed ? REPLACE_NEVER : REPLACE_LATER;
    }
    return REPLACE_DONE;
}

static ReplaceResult swap(Work *work, MonattError *err)
{
    bool stopped = false; /* by us */
    bool runs =
        ask(work, "query-status", NULL, answer_ms(work)) && strcmp(work->answer, "running") == 0;
    /* An attempt before this one, which died, may have left a reboot held up; with -no-shutdown it
     * may as well be a guest that powered off, which stays so. */
    if (!work->shut_down && strcmp(work->answer, "shutdown") == 0) {
        work->shut_down = true;
        work->reboot = !(work->replace->actions & MONATT_ACTION_NO_SHUTDOWN);
    }
    set_attaching(work, true);
    ReplaceResult result = unplug(work, runs, &stopped, err);
    if (result == REPLACE_DONE &&
        !ask(work, "device_add", replace_device_words(REPLACE_PORT, work->replace->path),
             or_else(work->replace->plug_ms, PLUG_MS))) {
        monatt_error_set(err, MONATT_ERROR_PEER, "replacement: device_add: %s", work->answer);
        result = work->closed ? REPLACE_NEVER : REPLACE_LATER;
    }
    set_attaching(work, false);
    if (stopped && !work->shut_down) {
        ask(work, "cont", NULL, answer_ms(work));
    }
    return result;
}

/* What the operator wanted of reboots and ends holds again: else the next reboot pauses for good.
 */
static void restore_actions(Work *work, const char *reboot, const char *shutdown)
{
    for (int i = 0; i < RESTORE_TRIES && !work->closed; i++) {
        if (set_actions(work, reboot, shutdown)) {
            return;
        }
    }
    monatt_log_error("'%s': replacement: set-action: %s: its next reboot pauses it, QMP's "
                     "set-action mends that",
                     work->device->name, work->answer);
}

ReplaceResult replace_run(const Replace *replace, Qmp *qmp, Device *device, MonattError *err)
{
    Work work = {.replace = replace, .qmp = qmp, .device = device};
    const char *reboot = replace->actions & MONATT_ACTION_NO_REBOOT ? "shutdown" : "reset";
    const char *shutdown = replace->actions & MONATT_ACTION_NO_SHUTDOWN ? "pause" : "poweroff";
    /* First: from here on a reboot pauses the VM instead of reaching the dead device. */
    if (!set_actions(&work, "shutdown", "pause")) {
        monatt_error_set(err, MONATT_ERROR_PEER, "replacement: set-action: %s", work.answer);
        return work.closed ? REPLACE_NEVER : REPLACE_LATER;
    }
    ReplaceResult result = swap(&work, err);
    if (work.closed) {
        return REPLACE_NEVER;
    }
    if (result != REPLACE_DONE) {
        /* A reboot would abort QEMU: let it end in order, as a power-off does. */
        restore_actions(&work, "shutdown", shutdown);
        if (work.shut_down) {
            monatt_log_error("'%s': was rebooting when its device could not be replaced: ended",
                             device->name);
            ask(&work, "quit", NULL, answer_ms(&work));
        }
        return result;
    }
    restore_actions(&work, reboot, shutdown);
    if (work.shut_down && work.reboot && !(replace->actions & MONATT_ACTION_NO_REBOOT)) {
        ask(&work, "system_reset", NULL, answer_ms(&work));
        ask(&work, "cont", NULL, answer_ms(&work));
    } else if (work.shut_down && !(replace->actions & MONATT_ACTION_NO_SHUTDOWN)) {
        ask(&work, "quit", NULL, answer_ms(&work)); /* it powered off, or -no-reboot */
    }
    monatt_log_info("'%s': QEMU has the new device", device->name);
    return REPLACE_DONE;
}
