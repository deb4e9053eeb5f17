/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * base64url.c - RFC 4648 section 5 without padding, one text for each byte string
 *
 * Decoding must never accept two texts for the same bytes: a changed bit of an evidence file
 * must not vanish in unused bits, padding or white space.
 */
#include "libmonatt/evidence/jose.h"

#include "libmonatt/evidence/evidence.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *monatt_base64url_encode(const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    char *text = g_malloc(size / 3 * 4 + 5);
    char *to = text;
    size_t i = 0;
    for (; size - i >= 3; i += 3) {
        uint32_t group = (uint32_t)from[i] << 16 | (uint32_t)from[i + 1] << 8 | from[i + 2];
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = alphabet[group >> 6 & 63];
        *to++ = alphabet[group & 63];
    }
    if (size - i == 1) {
        *to++ = alphabet[from[i] >> 2];
        *to++ = alphabet[(from[i] & 3) << 4];
    } else if (size - i == 2) {
        uint32_t group = (uint32_t)from[i] << 8 | from[i + 1];
        *to++ = alphabet[group >> 10];
        *to++ = alphabet[group >> 4 & 63];
        *to++ = alphabet[(group & 15) << 2];
    }
    *to = '\0';
    return text;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

static GBytes *refuse(GError **error, MonattErrorCode code, const char *why)
{
    g_set_error(error, MONATT_GERROR, code, "base64url: %s", why);
    return NULL;
}

GBytes *monatt_base64url_decode(const char *text, size_t length, size_t maximum, GError **error)
{
    if (length % 4 == 1) {
        return refuse(error, MONATT_ERROR_FORMAT, "length is impossible");
    }
    size_t size = length / 4 * 3 + (length % 4 ? length % 4 - 1 : 0);
    if (size > maximum) {
        return refuse(error, MONATT_ERROR_LIMIT, "more bytes than are allowed here");
    }
    g_autofree uint8_t *bytes = g_malloc(size + 1);
    uint32_t group = 0;
    unsigned bits = 0;
    size_t done = 0;
    for (size_t i = 0; i < length; i++) {
        int value = value_of(text[i]);
        if (value < 0) {
            return refuse(error, MONATT_ERROR_FORMAT, "a character that is not of the alphabet");
        }
        group = group << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[done++] = (uint8_t)(group >> bits);
            group &= (1u << bits) - 1;
        }
    }
    /* RFC 4648, 3.5: the pad bits must be zero, else a second text would mean the same. */
    if (group != 0) {
        return refuse(error, MONATT_ERROR_FORMAT, "not canonical: unused bits are set");
    }
    return g_bytes_new_take(g_steal_pointer(&bytes), size);
}
