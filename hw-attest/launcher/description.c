/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * description.c - writes the machine's canonical text; must never depend on the options' order
 */
#include "hw-attest/launcher/description.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hw-attest/launcher/keyval.h"

/* Whole options that describe hardware or its tables, one line for each use. */
static const char *const whole_options[] = {"cpu",  "global", "no-acpi", "no-hpet", "rtc",
                                            "boot", "usb",    "vga",     "icount",  "set"};
/* Options of which only one setting is hardware. */
static const struct {
    const char *option;
    const char *implied;
    const char *key;
} partial_options[] = {
    {"device", "driver", "driver"},
    {"tpmdev", "type", "type"},
    {"numa", "type", "type"},
};
/* -machine's settings that say where its memory is, not what it is. */
static const char *const machine_ignored[] = {
    "type", "accel", "memory-backend", "dump-guest-core", "mem-merge", "pflash0", "pflash1"};

static bool description_ignored(const char *key)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(machine_ignored); i++) {
        if (strcmp(key, machine_ignored[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool description_machine(const Argument *argument, Words *lines, MonattError *err)
{
    Keyval keyval;
    if (!keyval_parse(argument->value, "type", &keyval, err)) {
        return monatt_error_prefix(err, "option '-machine'");
    }
    for (size_t i = 0; i < keyval.count; i++) {
        const KeyvalPair *pair = &keyval.pairs[i];
        if (!description_ignored(pair->key)) {
            words_add_format(lines, "machine.%s=%s", pair->key, pair->value ? pair->value : "on");
        }
    }
    keyval_clear(&keyval);
    return true;
}

static bool description_partial(const Argument *argument, size_t which, Words *lines,
                                MonattError *err)
{
    Keyval keyval;
    if (!keyval_parse(argument->value, partial_options[which].implied, &keyval, err)) {
        return monatt_error_prefix(err, "option '-%s'", argument->option);
    }
    const char *value = keyval_get(&keyval, partial_options[which].key);
    words_add_format(lines, "%s=%s", argument->option, value ? value : "");
    keyval_clear(&keyval);
    return true;
}

/* fw_cfg and smbios given as text; those that name a file are in the facts. */
static bool description_table(const Argument *argument, Words *lines, MonattError *err)
{
    Keyval keyval;
    if (!keyval_parse(argument->value, strcmp(argument->option, "fw_cfg") == 0 ? "name" : NULL,
                      &keyval, err)) {
        return monatt_error_prefix(err, "option '-%s'", argument->option);
    }
    if (!keyval_get(&keyval, "file") && !keyval_get(&keyval, "data")) {
        words_add_format(lines, "%s=%s", argument->option, argument->value);
    }
    keyval_clear(&keyval);
    return true;
}

static bool description_argument(const Argument *argument, Words *lines, MonattError *err)
{
    const char *option = argument->option;
    if (strcmp(option, "machine") == 0 || strcmp(option, "M") == 0) {
        return description_machine(argument, lines, err);
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(whole_options); i++) {
        if (strcmp(option, whole_options[i]) == 0) {
            words_add_format(lines, "%s=%s", option, argument->value ? argument->value : "on");
            return true;
        }
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(partial_options); i++) {
        if (strcmp(option, partial_options[i].option) == 0) {
            return description_partial(argument, i, lines, err);
        }
    }
    if (strcmp(option, "fw_cfg") == 0 || strcmp(option, "smbios") == 0 ||
        strcmp(option, "acpitable") == 0) {
        return description_table(argument, lines, err);
    }
    return true;
}

static int description_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A value must not be able to write a line of its own. */
static void description_disarm(char *line)
{
    for (; *line; line++) {
        if (*line == '\n') {
            *line = '?';
        }
    }
}

bool description_write(const Arguments *arguments, const Machine *machine, const Words *facts,
                       char **ret_text, char *summary, size_t capacity, MonattError *err)
{
    Words lines = {0};
    char *text = NULL;
    size_t size = 0;
    const char *accelerator = machine->accelerator == MACHINE_KVM ? "kvm" : "tcg";
    words_add_format(&lines, "accelerator=%s", accelerator);
    words_add_format(&lines, "machine=%s", machine->type);
    words_add_format(&lines, "memory=%llu", (unsigned long long)machine->memory_bytes);
    words_add_format(&lines, "vcpus=%u", machine->vcpus);
    bool good = true;
    for (size_t i = 0; good && i < arguments->count; i++) {
        good = description_argument(&arguments->items[i], &lines, err);
    }
    for (size_t i = 0; i < facts->count; i++) {
        words_add(&lines, facts->items[i]);
    }
    good = good && words_finish(&lines, err);
    FILE *out = good ? open_memstream(&text, &size) : NULL;
    if (out) {
        for (size_t i = 0; i < lines.count; i++) {
            description_disarm(lines.items[i]);
        }
        qsort(lines.items, lines.count, sizeof(*lines.items), description_compare);
        for (size_t i = 0; i < lines.count; i++) {
            fprintf(out, "%s\n", lines.items[i]);
        }
        good = fclose(out) == 0;
    }
    words_clear(&lines);
    if (good && !text) {
        good = monatt_error_set_errno(err, ENOMEM, "machine description");
    }
    if (!good) {
        free(text);
        return false;
    }
    const char *cpu = arguments_value(arguments, "cpu");
    snprintf(summary, capacity, "%s, %s, cpu %s, %u vCPUs, %llu MiB", machine->type, accelerator,
             cpu ? cpu : "default", machine->vcpus,
             (unsigned long long)(machine->memory_bytes >> 20));
    *ret_text = text;
    return true;
}
