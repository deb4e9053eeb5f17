/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - the command line of monatt-guest
 *
 * Runs inside the guest, on any Linux, with nothing but itself: linked statically.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "guest/file-digest.h"
#include "guest/pci-device.h"
#include "guest/process-list.h"
#include "guest/registers-access.h"
#include "hw-attest/register-map.h"
#include "libmonatt/base/log.h"
#include "libmonatt/base/text.h"
#include "monatt-version.h"

static const char help[] =
    "usage: monatt-guest read [N] [--json]\n"
    "       monatt-guest extend N DIGEST [DIGEST] [--content TEXT]\n"
    "       monatt-guest extend N --file FILE [--content TEXT]\n"
    "       monatt-guest reset N\n"
    "       monatt-guest processes [--follow]\n"
    "       monatt-guest --version | --help\n"
    "\n"
    "The attestation device of this VM, as seen from inside.\n"
    "\n"
    "  read        the registers MR0 to MR23, or register N\n"
    "  extend      MR[N] <- H(MR[N] || digest) for N 0 to 16 and 23; DIGEST is hexadecimal,\n"
    "              64 digits for the SHA-256 bank, 96 for the SHA-384 bank, one of each for both\n"
    "  reset       MR16 or MR23 to zeros\n"
    "  processes   hand this guest's list of processes to the host, bound to the host's nonce\n"
    "\n"
    "  --file FILE     both digests of FILE ('-': standard input); its name is logged\n"
    "  --content TEXT  what the event log shall say was measured\n"
    "  --follow        stay, and hand a list over whenever the host shows a new nonce\n"
    "  --json          one JSON object on stdout, also for errors\n"
    "  --sysfs DIR     where sysfs is mounted (/sys)\n"
    "  --proc DIR      where proc is mounted (/proc)\n"
    "\n"
    "Exit: 0 done, 1 could not do it, 2 usage.\n";

#define FOLLOW_PAUSE_MS 200 /* two trapped reads each; the host waits about a second for a list */

typedef struct Options {
    bool json;
    bool follow;
    const char *file;
    const char *content;
    const char *sysfs;
    const char *proc;
    int count; /* arguments after the command */
    char **arguments;
} Options;

static void print_json_text(const char *text)
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

static int fail(const Options *options, const MonattError *err)
{
    if (options->json) {
        printf("{\"error\":{\"code\":\"%s\",\"message\":", monatt_error_code_name(err->code));
        print_json_text(err->message);
        printf(",\"hint\":");
        print_json_text(err->hint);
        printf("}}\n");
    } else {
        monatt_log_failure(err);
    }
    return err->code == MONATT_ERROR_USAGE ? MONATT_EXIT_USAGE : MONATT_EXIT_FAILED;
}

static bool usage(const char *what, const char *why, MonattError *err)
{
    monatt_error_set(err, MONATT_ERROR_USAGE, "'%s': %s", what, why);
    return monatt_error_hint(err, "see 'monatt-guest --help'");
}

static bool parse_index(const char *text, uint32_t *ret_index, MonattError *err)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || text[0] < '0' || text[0] > '9' || *end != '\0' ||
        value >= MONATT_REGISTER_COUNT) {
        return usage(text, "not a register: 0 to 23", err);
    }
    *ret_index = (uint32_t)value;
    return true;
}

static const char *owner(uint32_t index)
{
    return index >= MONATT_EVIDENCE_FIRST && index <= MONATT_EVIDENCE_LAST ? "host" : "guest";
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

static bool run_read(const Options *options, PciDevice *device, MonattError *err)
{
    static RegistersValue values[MONATT_REGISTER_COUNT];
    uint32_t first = 0;
    uint32_t end = MONATT_REGISTER_COUNT;
    if (options->count == 1) {
        if (!parse_index(options->arguments[0], &first, err)) {
            return false;
        }
        end = first + 1;
    }
    for (uint32_t i = first; i < end; i++) {
        if (!registers_access_read(device, i, &values[i], err)) {
            return false;
        }
    }
    if (options->json) {
        printf("{\"device\":\"%s\",\"status\":\"%s\",\"boot_count\":%u,\"pending\":%u,"
               "\"registers\":[",
               device->name, registers_access_status(device),
               pci_device_read32(device->bar0, MONATT_REG_BOOT_COUNT),
               pci_device_read32(device->bar0, MONATT_REG_PENDING));
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
static bool parse_digests(const Options *options, uint8_t sha256[MONATT_SHA256_SIZE],
                          uint8_t sha384[MONATT_SHA384_SIZE], bool *ret_has_256, bool *ret_has_384,
                          MonattError *err)
{
    *ret_has_256 = *ret_has_384 = false;
    for (int i = 1; i < options->count; i++) {
        const char *text = options->arguments[i];
        size_t length = strlen(text);
        if (length == 2 * MONATT_SHA256_SIZE && !*ret_has_256) {
            *ret_has_256 = true;
            if (!monatt_text_to_bytes(text, sha256, MONATT_SHA256_SIZE, NULL)) {
                return usage(text, "not hexadecimal", err);
            }
        } else if (length == 2 * MONATT_SHA384_SIZE && !*ret_has_384) {
            *ret_has_384 = true;
            if (!monatt_text_to_bytes(text, sha384, MONATT_SHA384_SIZE, NULL)) {
                return usage(text, "not hexadecimal", err);
            }
        } else {
            return usage(text, "not a digest of 64 or 96 digits, or a second one of its bank", err);
        }
    }
    return true;
}

static bool run_extend(const Options *options, PciDevice *device, MonattError *err)
{
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    bool has_256 = true;
    bool has_384 = true;
    uint32_t index;
    const char *content = options->content;
    if (!parse_index(options->arguments[0], &index, err)) {
        return false;
    }
    if (options->file) {
        if (!file_digest(options->file, sha256, sha384, err)) {
            return false;
        }
        content = content ? content : options->file;
    } else if (!parse_digests(options, sha256, sha384, &has_256, &has_384, err)) {
        return false;
    }
    return registers_access_extend(device, index, has_256 ? sha256 : NULL, has_384 ? sha384 : NULL,
                                   content, content ? strlen(content) : 0, err);
}

static bool run_reset(const Options *options, PciDevice *device, MonattError *err)
{
    uint32_t index;
    if (!parse_index(options->arguments[0], &index, err)) {
        return false;
    }
    if (index != MONATT_REGISTER_DEBUG && index != MONATT_REGISTER_APPLICATION) {
        monatt_error_set(err, MONATT_ERROR_PERMISSION,
                         "reset: MR%u is reset only together with the VM", index);
        return monatt_error_hint(err, "a guest resets MR16 and MR23");
    }
    pci_device_write32(device->bar0, MONATT_REG_INDEX, index);
    return registers_access_command(device, MONATT_CMD_RESET_REGISTER, "reset", err);
}

static bool send_list(const Options *options, PciDevice *device,
                      const uint8_t nonce[MONATT_NONCE_SIZE], size_t *ret_count, MonattError *err)
{
    static MonattGuestTask tasks[MONATT_GUEST_LIST_ENTRIES];
    return process_list_collect(options->proc, tasks, MONATT_ARRAY_SIZE(tasks), ret_count, err) &&
           process_list_send(device, nonce, tasks, *ret_count, err);
}

static bool run_processes(const Options *options, PciDevice *device, MonattError *err)
{
    const struct timespec pause = {.tv_nsec = FOLLOW_PAUSE_MS * 1000000L};
    uint8_t nonce[MONATT_NONCE_SIZE];
    uint8_t last[MONATT_NONCE_SIZE] = {0};
    size_t count;
    process_list_nonce(device, nonce);
    if (!send_list(options, device, nonce, &count, err)) {
        return false;
    }
    printf("%zu processes\n", count);
    fflush(stdout);
    while (options->follow) {
        memcpy(last, nonce, sizeof(last));
        pci_device_unlock(device);
        nanosleep(&pause, NULL);
        if (!pci_device_lock(device, err)) {
            return false;
        }
        process_list_nonce(device, nonce);
        if (memcmp(nonce, last, sizeof(last)) != 0 &&
            !send_list(options, device, nonce, &count, err)) {
            return false;
        }
    }
    return true;
}

typedef struct GuestCommand {
    const char *name;
    int minimum, maximum; /* arguments */
    bool (*run)(const Options *options, PciDevice *device, MonattError *err);
} GuestCommand;

static const GuestCommand commands[] = {
    {"read", 0, 1, run_read},
    {"extend", 1, 3, run_extend},
    {"reset", 1, 1, run_reset},
    {"processes", 0, 0, run_processes},
};

/* Everything that can be refused without the device. */
static bool check_usage(const GuestCommand *command, const Options *options, MonattError *err)
{
    uint32_t index;
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    bool has_256;
    bool has_384;
    if (options->count < command->minimum || options->count > command->maximum) {
        return usage(command->name, "wrong number of arguments", err);
    }
    if (options->count > 0 && !parse_index(options->arguments[0], &index, err)) {
        return false;
    }
    if (options->follow && command->run != run_processes) {
        return usage("--follow", "belongs to 'processes'", err);
    }
    if (command->run != run_extend) {
        return options->file || options->content
                   ? usage(command->name, "takes no --file and no --content", err)
                   : true;
    }
    if (options->file && options->count != 1) {
        return usage("extend", "takes either digests or --file", err);
    }
    if (!options->file && options->count < 2) {
        return usage("extend", "needs a digest or --file", err);
    }
    return options->file || parse_digests(options, sha256, sha384, &has_256, &has_384, err);
}

static bool parse_options(int argc, char **argv, Options *options, MonattError *err)
{
    static const struct option table[] = {{"json", no_argument, NULL, 'j'},
                                          {"follow", no_argument, NULL, 'f'},
                                          {"file", required_argument, NULL, 'F'},
                                          {"content", required_argument, NULL, 'c'},
                                          {"sysfs", required_argument, NULL, 's'},
                                          {"proc", required_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {0}};
    int option;
    opterr = 0;
    *options = (Options){.sysfs = "/sys", .proc = "/proc"};
    while ((option = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        switch (option) {
        case 'j':
            options->json = true;
            break;
        case 'f':
            options->follow = true;
            break;
        case 'F':
            options->file = optarg;
            break;
        case 'c':
            options->content = optarg;
            break;
        case 's':
            options->sysfs = optarg;
            break;
        case 'p':
            options->proc = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            exit(MONATT_EXIT_DONE);
        case 'v':
            printf("monatt-guest %s\n", MONATT_VERSION);
            exit(MONATT_EXIT_DONE);
        default:
            return usage(argv[optind - 1], "unknown option, or without its value", err);
        }
    }
    options->count = argc - optind;
    options->arguments = argv + optind;
    return true;
}

int main(int argc, char **argv)
{
    monatt_log_init("monatt-guest");
    MonattError err = {0};
    Options options;
    PciDevice device;
    if (!parse_options(argc, argv, &options, &err)) {
        return fail(&options, &err);
    }
    const char *name = options.count > 0 ? options.arguments[0] : "";
    const GuestCommand *command = NULL;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(commands); i++) {
        command = strcmp(commands[i].name, name) == 0 ? &commands[i] : command;
    }
    if (!command) {
        usage(name, *name ? "unknown command" : "no command given", &err);
        return fail(&options, &err);
    }
    options.arguments++;
    options.count--;
    if (!check_usage(command, &options, &err) || !pci_device_open(&device, options.sysfs, &err)) {
        return fail(&options, &err);
    }
    bool ok = command->run(&options, &device, &err);
    pci_device_close(&device);
    if (ok && (fflush(stdout) != 0 || ferror(stdout))) {
        monatt_error_set_errno(&err, errno, "standard output");
        ok = false;
    }
    return ok ? MONATT_EXIT_DONE : fail(&options, &err);
}
