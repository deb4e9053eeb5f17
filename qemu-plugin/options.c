/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * options.c - reads the plugin's options; must refuse a word that it does not know
 */
#include "options.h"

#include <limits.h>
#include <string.h>
#include "libmonatt/formats/plugin-ring.h"

#define NS_PER_US 1000

static bool number_of(const char *text, uint64_t maximum, uint64_t *ret_number)
{
    uint64_t number = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > maximum) { /* checked at each digit, so it cannot wrap */
            return false;
        }
    }
    *ret_number = number;
    return true;
}

static bool switch_of(const char *text, uint32_t bit, uint32_t *monitors)
{
    if (strcmp(text, "on") == 0) {
        *monitors |= bit;
        return true;
    }
    *monitors &= ~bit;
    return strcmp(text, "off") == 0;
}

static const char *value_of(const char *word, const char *name)
{
    size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static bool word_parse(const char *word, Options *options)
{
    uint64_t number;
    const char *value;
    if ((value = value_of(word, "fd")) != NULL) {
        bool good = number_of(value, INT_MAX, &number);
        options->ring_fd = good ? (int)number : -1;
        return good;
    }
    if ((value = value_of(word, "locks")) != NULL) {
        return switch_of(value, MONATT_PLUGIN_MONITOR_LOCKS, &options->monitors);
    }
    if ((value = value_of(word, "syscalls")) != NULL) {
        return switch_of(value, MONATT_PLUGIN_MONITOR_SYSCALLS, &options->monitors);
    }
    if ((value = value_of(word, "window_us")) != NULL) {
        if (!number_of(value, MONATT_PLUGIN_RING_WINDOW_MAXIMUM_NS / NS_PER_US, &number) ||
            number < MONATT_PLUGIN_RING_WINDOW_MINIMUM_NS / NS_PER_US) {
            return false;
        }
        options->window_ns = number * NS_PER_US;
        return true;
    }
    return false;
}

bool options_parse(int count, const char *const words[], Options *ret_options, MonattError *err)
{
    Options options = {
        .ring_fd = -1,
        .monitors = MONATT_PLUGIN_MONITORS_KNOWN,
        .window_ns = OPTIONS_WINDOW_DEFAULT_US * NS_PER_US,
    };
    for (int i = 0; i < count; i++) {
        if (!word_parse(words[i], &options)) {
            monatt_error_set(err, MONATT_ERROR_USAGE, "plugin option '%.64s': is not possible",
                             words[i]);
            return monatt_error_hint(
                err, "fd=N, locks=on|off, syscalls=on|off, window_us=10 to 1000000");
        }
    }
    if (options.ring_fd < 0) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "plugin option 'fd': is missing");
        return monatt_error_hint(err, "start the VM with monatt-qemu, which makes the ring");
    }
    *ret_options = options;
    return true;
}
