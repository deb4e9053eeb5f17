/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commands.c - the commands about registers and processes, and the device's status
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "guest/command.h"
#include "guest/file-digest.h"
#include "guest/process-list.h"
#include "hw-attest/register-map.h"
#include "libmonatt/base/text.h"

#define FOLLOW_PAUSE_MS 200 /* two trapped reads each; the host waits about a second for a list */

bool command_usage(const char *what, const char *why, MonattError *err)
{
    monatt_error_set(err, MONATT_ERROR_USAGE, "'%s': %s", what, why);
    return monatt_error_hint(err, "see 'monatt-guest --help'");
}

bool command_parse_index(const char *text, uint32_t *ret_index, MonattError *err)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' ||
        value >= MONATT_REGISTER_COUNT) {
        return command_usage(text, "not a register: 0 to 23", err);
    }
    *ret_index = (uint32_t)value;
    return true;
}

void command_print_json_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c < 0x20 || c >= 0x7f) {
            printf("\\u%04x", c < 0x20 ? c : '?');
        } else {
            putchar(c);
        }
    }
    putchar('"');
}

static bool check_index(const Options *options, MonattError *err)
{
    uint32_t index;
    return options->count == 0 || command_parse_index(options->arguments[0], &index, err);
}

static const char *owner(uint32_t index)
{
    return index >= MONATT_EVIDENCE_FIRST && index <= MONATT_EVIDENCE_LAST ? "host" : "guest";
}

static const char *status_word(uint32_t status)
{
    if (status & MONATT_STATUS_FAULT) {
        return "fault";
    }
    return status & MONATT_STATUS_READY ? "ready" : "busy";
}

static void print_register(const Options *options, uint32_t index, const RegistersValue *value,
                           bool first)
{
    char sha256[2 * MONATT_SHA256_SIZE + 1];
    char sha384[2 * MONATT_SHA384_SIZE + 1];
    monatt_text_from_bytes(value->sha256, sizeof(value->sha256), sha256);
    monatt_text_from_bytes(value->sha384, sizeof(value->sha384), sha384);
    if (options->json) {
        printf("%s{\"index\":%u,\"owner\":\"%s\",\"sha256\":\"%s\",\"sha384\":\"%s\","
               "\"extends\":%" PRIu64 ",\"synced\":%" PRIu64 "}",
               first ? "" : ",", index, owner(index), sha256, sha384, value->extends,
               value->synced);
    } else {
        printf("MR%-2u %-5s %6" PRIu64 "  sha256 %s\n%18ssha384 %s\n", index, owner(index),
               value->extends, sha256, "", sha384);
    }
}

static bool run_read(const Options *options, GuestDevice *device, MonattError *err)
{
    static RegistersValue values[MONATT_REGISTER_COUNT];
    GuestDeviceInfo info;
    uint32_t first = 0;
    uint32_t end = MONATT_REGISTER_COUNT;
    if (options->count == 1) {
        if (!command_parse_index(options->arguments[0], &first, err)) {
            return false;
        }
        end = first + 1;
    }
    for (uint32_t i = first; i < end; i++) {
        if (!guest_device_read(device, i, &values[i], err)) {
            return false;
        }
    }
    if (!guest_device_info(device, &info, err)) {
        return false;
    }
    if (options->json) {
        printf("{\"device\":");
        command_print_json_text(device->name);
        printf(",\"status\":\"%s\",\"boot_count\":%u,\"pending\":%u,\"registers\":[",
               status_word(info.status), info.boot_count, info.pending);
    }
    for (uint32_t i = first; i < end; i++) {
        print_register(options, i, &values[i], i == first);
    }
    if (options->json) {
        printf("]}\n");
    }
    return true;
}

/* One digest of each length at most. */
static bool parse_digests(const Options *options, struct monatt_slot *slot, MonattError *err)
{
    for (int i = 1; i < options->count; i++) {
        const char *text = options->arguments[i];
        size_t length = strlen(text);
        bool good;
        if (length == 2 * MONATT_SHA256_SIZE && !(slot->banks & MONATT_SLOT_BANK_SHA256)) {
            slot->banks |= MONATT_SLOT_BANK_SHA256;
            good = monatt_text_to_bytes(text, slot->sha256, MONATT_SHA256_SIZE, NULL);
        } else if (length == 2 * MONATT_SHA384_SIZE && !(slot->banks & MONATT_SLOT_BANK_SHA384)) {
            slot->banks |= MONATT_SLOT_BANK_SHA384;
            good = monatt_text_to_bytes(text, slot->sha384, MONATT_SHA384_SIZE, NULL);
        } else {
            return command_usage(
                text, "not a digest of 64 or 96 digits, or a second one of its bank", err);
        }
        if (!good) {
            return command_usage(text, "not hexadecimal", err);
        }
    }
    return true;
}

static bool check_extend(const Options *options, MonattError *err)
{
    struct monatt_slot slot = {0};
    if (!check_index(options, err)) {
        return false;
    }
    if (options->file && options->count != 1) {
        return command_usage("extend", "takes either digests or --file", err);
    }
    if (!options->file && options->count < 2) {
        return command_usage("extend", "needs a digest or --file", err);
    }
    return options->file || parse_digests(options, &slot, err);
}

static bool run_extend(const Options *options, GuestDevice *device, MonattError *err)
{
    struct monatt_slot slot = {.operation = MONATT_RING_EXTEND};
    uint32_t index;
    uint32_t done;
    const char *content = options->content;
    if (!command_parse_index(options->arguments[0], &index, err)) {
        return false;
    }
    slot.index = (uint16_t)index;
    if (options->file) {
        if (!file_digest(options->file, slot.sha256, slot.sha384, err)) {
            return false;
        }
        slot.banks = MONATT_SLOT_BANK_SHA256 | MONATT_SLOT_BANK_SHA384;
        content = content ? content : options->file;
    } else if (!parse_digests(options, &slot, err)) {
        return false;
    }
    size_t size = content ? strlen(content) : 0;
    if (size > sizeof(slot.content)) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                "extend: content of %zu bytes, the limit is %zu", size,
                                sizeof(slot.content));
    }
    memcpy(slot.content, content ? content : "", size);
    slot.content_size = (uint16_t)size;
    return guest_device_submit(device, &slot, 1, &done, err);
}

static bool run_reset(const Options *options, GuestDevice *device, MonattError *err)
{
    struct monatt_slot slot = {.operation = MONATT_RING_RESET};
    uint32_t index;
    uint32_t done;
    if (!command_parse_index(options->arguments[0], &index, err)) {
        return false;
    }
    if (index != MONATT_REGISTER_DEBUG && index != MONATT_REGISTER_APPLICATION) {
        monatt_error_set(err, MONATT_ERROR_PERMISSION,
                         "reset: MR%u is reset only together with the VM", index);
        return monatt_error_hint(err, "a guest resets MR16 and MR23");
    }
    slot.index = (uint16_t)index;
    return guest_device_submit(device, &slot, 1, &done, err);
}

static bool send_list(const Options *options, GuestDevice *device,
                      const uint8_t nonce[MONATT_NONCE_SIZE], size_t *ret_count, MonattError *err)
{
    static MonattGuestTask tasks[MONATT_GUEST_LIST_ENTRIES];
    static uint8_t bytes[MONATT_GUEST_LIST_MAXIMUM];
    size_t size;
    return process_list_collect(options->proc, tasks, MONATT_ARRAY_SIZE(tasks), ret_count, err) &&
           process_list_encode(nonce, tasks, *ret_count, bytes, sizeof(bytes), &size, err) &&
           guest_device_send_list(device, bytes, size, err);
}

static bool run_processes(const Options *options, GuestDevice *device, MonattError *err)
{
    const struct timespec pause = {.tv_nsec = FOLLOW_PAUSE_MS * 1000000L};
    GuestDeviceInfo info;
    uint8_t last[MONATT_NONCE_SIZE];
    size_t count;
    if (!guest_device_info(device, &info, err) ||
        !send_list(options, device, info.nonce, &count, err)) {
        return false;
    }
    printf("%zu processes\n", count);
    fflush(stdout);
    while (options->follow) {
        memcpy(last, info.nonce, sizeof(last));
        guest_device_unlock(device);
        nanosleep(&pause, NULL);
        if (!guest_device_lock(device, err) || !guest_device_info(device, &info, err)) {
            return false;
        }
        if (memcmp(info.nonce, last, sizeof(last)) != 0 &&
            !send_list(options, device, info.nonce, &count, err)) {
            return false;
        }
    }
    return true;
}

static const struct {
    uint32_t bit;
    const char *name;
} capabilities[] = {
    {MONATT_CAP_SHA256, "sha256"},
    {MONATT_CAP_SHA384, "sha384"},
    {MONATT_CAP_PROCESS_LIST, "process-list"},
    {MONATT_CAP_RING, "ring"},
    {MONATT_CAP_SHADOW, "shadow"},
    {MONATT_CAP_INTERRUPT, "interrupt"},
    {MONATT_CAP_REPORT, "report"},
};

static void print_capabilities(uint32_t bits, const char *before, const char *between,
                               const char *after)
{
    const char *first = "";
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(capabilities); i++) {
        if (bits & capabilities[i].bit) {
            printf("%s%s%s%s", first, before, capabilities[i].name, after);
            first = between;
        }
    }
}

static bool run_status(const Options *options, GuestDevice *device, MonattError *err)
{
    GuestDeviceInfo info;
    if (!guest_device_info(device, &info, err)) {
        return false;
    }
    bool ring = info.features & MONATT_FEATURE_RING;
    bool shadow = info.features & MONATT_FEATURE_SHADOW;
    bool interrupt = info.features & MONATT_FEATURE_INTERRUPT;
    if (options->json) {
        printf("{\"device\":");
        command_print_json_text(device->name);
        printf(",\"way\":\"%s\",\"driver_version\":%u,\"map_version\":%u,\"status\":\"%s\","
               "\"pending\":%u,\"boot_count\":%u,\"ring_slots\":%u,\"ring\":%s,\"shadow\":%s,"
               "\"interrupt\":%s,\"capabilities\":[",
               info.driver_version ? "driver" : "registers", info.driver_version, info.map_version,
               status_word(info.status), info.pending, info.boot_count, info.ring_slots,
               ring ? "true" : "false", shadow ? "true" : "false", interrupt ? "true" : "false");
        print_capabilities(info.capabilities, "\"", ",", "\"");
        printf("]}\n");
        return true;
    }
    printf("device        %s, register map %u\n", device->name, info.map_version);
    if (info.driver_version) {
        printf("through       the driver, version %u\n", info.driver_version);
    } else {
        printf("through       its registers: no driver is loaded\n");
    }
    printf("status        %s, %u extends pending, boot %u\n", status_word(info.status),
           info.pending, info.boot_count);
    printf("capabilities  ");
    print_capabilities(info.capabilities, "", " ", "");
    if (ring) {
        printf("\nring          %u slots%s\n", info.ring_slots, interrupt ? ", interrupt" : "");
    } else {
        printf("\nring          not used\n");
    }
    printf("shadow page   %s\n", shadow ? "used" : "not used");
    return true;
}

const GuestCommand command_read = {"read", 0, 1, 0, check_index, run_read};
const GuestCommand command_extend = {"extend",     1,         3, OPTION_FILE | OPTION_CONTENT,
                                     check_extend, run_extend};
const GuestCommand command_reset = {"reset", 1, 1, 0, check_index, run_reset};
const GuestCommand command_processes = {"processes", 0, 0, OPTION_FOLLOW, NULL, run_processes};
const GuestCommand command_status = {"status", 0, 0, 0, NULL, run_status};
