/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - writes each line with one write(2), so lines of several processes do not mix
 */
#include "libmonatt/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *program_name = "monatt";
static MonattLogLevel threshold = MONATT_LOG_INFO;

void monatt_log_init(const char *program)
{
    program_name = program;
    const char *wanted = getenv("MONATT_LOG");
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (size_t i = 0; wanted && i < MONATT_ARRAY_SIZE(names); i++) {
        if (strcmp(wanted, names[i]) == 0) {
            threshold = (MonattLogLevel)i;
        }
    }
}

/*
 * A name or a peer's text in a message must not end the line, write one of its own or move a
 * terminal's cursor.  UTF-8 stays but for its C1 controls (C2 80 to C2 9F).
 */
static void disarm(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f) {
            text[i] = '?';
        } else if (c == 0xc2 && i + 1 < size && ((unsigned char)text[i + 1] & 0xe0) == 0x80) {
            text[i] = text[i + 1] = '?';
        }
    }
}

static void line(MonattLogLevel level, const char *mark, const char *format, va_list arguments)
{
    char text[512];
    if (level > threshold) {
        return;
    }
    int length = snprintf(text, sizeof(text) - 1, "%s: %s", program_name, mark);
    size_t used = length > 0 ? (size_t)length : 0;
    if (used > sizeof(text) / 2) { /* a program's name that leaves no room is cut */
        used = sizeof(text) / 2;
    }
    length = vsnprintf(text + used, sizeof(text) - 1 - used, format, arguments);
    used += length > 0 ? (size_t)length : 0;
    if (used > sizeof(text) - 2) {
        used = sizeof(text) - 2;
    }
    disarm(text, used);
    text[used++] = '\n';
    ssize_t written = write(STDERR_FILENO, text, used);
    (void)written; /* nowhere left to complain */
}

#define DEFINE_LOG(name, level, mark)                                                              \
    void monatt_log_##name(const char *format, ...)                                                \
    {                                                                                              \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        line(level, mark, format, arguments);                                                      \
        va_end(arguments);                                                                         \
    }

DEFINE_LOG(error, MONATT_LOG_ERROR, "")
DEFINE_LOG(warning, MONATT_LOG_WARNING, "warning: ")
DEFINE_LOG(info, MONATT_LOG_INFO, "")
DEFINE_LOG(debug, MONATT_LOG_DEBUG, "debug: ")

void monatt_log_failure(const MonattError *err)
{
    monatt_log_error("%s", err->message);
    if (err->hint[0] != '\0') {
        char text[MONATT_ERROR_HINT_SIZE + 8];
        size_t length = (size_t)snprintf(text, sizeof(text) - 1, "hint: %s", err->hint);
        disarm(text, length);
        text[length++] = '\n';
        ssize_t written = write(STDERR_FILENO, text, length);
        (void)written;
    }
}

bool monatt_log_allowed(MonattLogLimit *limit, unsigned burst, unsigned long *ret_suppressed)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (limit->second != now.tv_sec) {
        limit->second = now.tv_sec;
        limit->in_second = 0;
    }
    if (limit->in_second >= burst) {
        limit->suppressed++;
        return false;
    }
    limit->in_second++;
    *ret_suppressed = limit->suppressed;
    limit->suppressed = 0;
    return true;
}
