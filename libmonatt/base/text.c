/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text.c - hexadecimal, UUIDs, names; must never pass foreign text on unchecked
 */
#include "libmonatt/base/text.h"

#include <string.h>

void monatt_text_from_bytes(const uint8_t *bytes, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = '\0';
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool monatt_text_to_bytes(const char *text, uint8_t *bytes, size_t size, MonattError *err)
{
    size_t length = strnlen(text, 2 * size + 1);
    if (length != 2 * size) {
        return monatt_error_set(err, MONATT_ERROR_USAGE,
                                "hexadecimal text must have %zu digits, has %s%zu", 2 * size,
                                length > 2 * size ? "at least " : "", length);
    }
    for (size_t i = 0; i < length; i++) {
        if (nibble(text[i]) < 0) {
            return monatt_error_set(err, MONATT_ERROR_USAGE,
                                    "hexadecimal text has another character at position %zu", i);
        }
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
    }
    return true;
}

void monatt_text_from_uuid(const uint8_t uuid[MONATT_UUID_SIZE], char text[MONATT_UUID_TEXT_SIZE])
{
    static const uint8_t group_sizes[] = {4, 2, 2, 2, 6};
    size_t from = 0;
    char *to = text;
    for (size_t g = 0; g < MONATT_ARRAY_SIZE(group_sizes); g++) {
        if (g > 0) {
            *to++ = '-';
        }
        monatt_text_from_bytes(uuid + from, group_sizes[g], to);
        to += 2 * group_sizes[g];
        from += group_sizes[g];
    }
}

bool monatt_text_to_uuid(const char *text, uint8_t uuid[MONATT_UUID_SIZE], MonattError *err)
{
    char digits[2 * MONATT_UUID_SIZE + 1];
    size_t count = 0;
    if (strnlen(text, MONATT_UUID_TEXT_SIZE) != MONATT_UUID_TEXT_SIZE - 1) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "UUID must have 36 characters");
    }
    for (size_t i = 0; i < MONATT_UUID_TEXT_SIZE - 1; i++) {
        bool dash_place = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash_place != (text[i] == '-')) {
            return monatt_error_set(err, MONATT_ERROR_USAGE, "UUID has its dashes elsewhere");
        }
        if (!dash_place) {
            digits[count++] = text[i];
        }
    }
    digits[count] = '\0';
    uint8_t parsed[MONATT_UUID_SIZE];
    if (!monatt_text_to_bytes(digits, parsed, sizeof(parsed), err)) {
        return monatt_error_prefix(err, "UUID");
    }
    memcpy(uuid, parsed, sizeof(parsed));
    return true;
}

bool monatt_text_check_name(const char *name, MonattError *err)
{
    size_t length = strnlen(name, MONATT_NAME_SIZE);
    if (length == 0 || length >= MONATT_NAME_SIZE) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "VM name must have 1 to %d characters",
                                MONATT_NAME_SIZE - 1);
    }
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        bool letter_or_digit =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool mark = strchr("._+-@:", c) != NULL && !(i == 0 && (c == '.' || c == '-'));
        if (!letter_or_digit && !mark) {
            monatt_error_set(err, MONATT_ERROR_USAGE,
                             "VM name has a character that is not allowed at position %zu", i);
            return monatt_error_hint(err, "use letters, digits and ._+-@: (not first: . and -)");
        }
    }
    return true;
}

void monatt_text_printable(const void *bytes, size_t size, char *out, size_t capacity)
{
    const unsigned char *from = bytes;
    size_t n = 0;
    if (capacity == 0) {
        return;
    }
    for (; n < size && n < capacity - 1 && from[n] != '\0'; n++) {
        out[n] = from[n] >= 0x20 && from[n] < 0x7f ? (char)from[n] : '?';
    }
    out[n] = '\0';
}

bool monatt_bytes_equal(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *left = a;
    const volatile uint8_t *right = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < size; i++) {
        difference |= left[i] ^ right[i];
    }
    return difference == 0;
}
