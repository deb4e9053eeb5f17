/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unpack.c - the ELF file within an x86 kernel image (bzImage)
 *
 * Must never write more than the payload announces, nor read behind it.
 */
#include "host-collector/sources/introspection/kernel-image/unpack.h"

#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/base/reader.h"

/* The setup header, boot.rst "The Real-Mode Kernel Header". */
#define SETUP_SECTORS 0x1f1
#define HEADER_MAGIC 0x202 /* "HdrS" */
#define HEADER_VERSION 0x206
#define PAYLOAD_OFFSET 0x248
#define HEADER_END 0x250
#define SECTOR 512u
#define SECTORS_DEFAULT 4u
#define VERSION_WITH_PAYLOAD 0x208
#define SIZE_WORD 4u
#define LZ4_MAGIC 0x184c2102u /* lz4_Frame_format.md: "legacy frame" */
#define LZ4_CHUNK (8u * 1024 * 1024)
#define XZ_MEMORY (128u * 1024 * 1024) /* the kernel's own dictionaries are 32 MiB at most */
#define GZIP_WINDOW (15 + 16)          /* with a gzip header */

typedef struct Packed {
    const uint8_t *bytes;
    size_t size;
    uint8_t *out;
    size_t out_size;
} Packed;

static uint32_t u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static bool unpack_gzip(const Packed *packed)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed->bytes,
                       .avail_in = (uInt)packed->size,
                       .next_out = packed->out,
                       .avail_out = (uInt)packed->out_size};
    int result;

    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK) {
        return false;
    }
    result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return result == Z_STREAM_END && stream.total_out == packed->out_size;
}

static bool unpack_xz(const Packed *packed)
{
    uint64_t limit = XZ_MEMORY;
    size_t in = 0, out = 0;

    return lzma_stream_buffer_decode(&limit, 0, NULL, packed->bytes, &in, packed->size - SIZE_WORD,
                                     packed->out, &out, packed->out_size) == LZMA_OK &&
           out == packed->out_size;
}

static bool unpack_lz4(const Packed *packed)
{
    size_t at = SIZE_WORD, out = 0, end = packed->size - SIZE_WORD;

    while (at < end && out < packed->out_size) {
        size_t room = packed->out_size - out;
        size_t chunk;
        int got;

        if (end - at < SIZE_WORD) {
            return false;
        }
        chunk = u32(packed->bytes + at);
        at += SIZE_WORD;
        if (chunk == 0 || chunk > end - at) {
            return false;
        }
        room = room < LZ4_CHUNK ? room : LZ4_CHUNK;
        got = LZ4_decompress_safe((const char *)packed->bytes + at, (char *)packed->out + out,
                                  (int)chunk, (int)room);
        if (got <= 0) {
            return false;
        }
        at += chunk;
        out += (size_t)got;
    }
    return out == packed->out_size;
}

static bool unpack_zstd(const Packed *packed)
{
    size_t got =
        ZSTD_decompress(packed->out, packed->out_size, packed->bytes, packed->size - SIZE_WORD);
    return !ZSTD_isError(got) && got == packed->out_size;
}

typedef bool (*UnpackFunction)(const Packed *packed);

static UnpackFunction find_packing(const uint8_t *bytes)
{
    static const struct {
        uint8_t magic[4];
        size_t size;
        UnpackFunction unpack;
    } packings[] = {
        {{0x1f, 0x8b}, 2, unpack_gzip},
        {{0xfd, '7', 'z', 'X'}, 4, unpack_xz},
        {{0x02, 0x21, 0x4c, 0x18}, 4, unpack_lz4},
        {{0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
    };
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(packings); i++) {
        if (memcmp(bytes, packings[i].magic, packings[i].size) == 0) {
            return packings[i].unpack;
        }
    }
    return NULL;
}

/* Where the payload lies, bounded by the image. */
static bool find_payload(const uint8_t *image, size_t size, Packed *packed, MonattError *err)
{
    uint32_t sectors, offset, length;
    size_t begin;

    if (size < HEADER_END || memcmp(image + HEADER_MAGIC, "HdrS", 4) != 0 ||
        (image[HEADER_VERSION] | image[HEADER_VERSION + 1] << 8) < VERSION_WITH_PAYLOAD) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "kernel image: no bzImage");
    }
    sectors = image[SETUP_SECTORS] ? image[SETUP_SECTORS] : SECTORS_DEFAULT;
    offset = u32(image + PAYLOAD_OFFSET);
    length = u32(image + PAYLOAD_OFFSET + 4);
    begin = ((size_t)sectors + 1) * SECTOR + offset;
    if (begin > size || length > size - begin || length < 3 * SIZE_WORD) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "kernel image: its payload (%u bytes at %zu) is not in it", length,
                                begin);
    }
    packed->bytes = image + begin;
    packed->size = length;
    packed->out_size = u32(image + begin + length - SIZE_WORD);
    return true;
}

bool kernel_unpack(const uint8_t *image, size_t size, uint8_t **ret_elf, size_t *ret_size,
                   MonattError *err)
{
    Packed packed = {0};
    UnpackFunction unpack;

    if (!find_payload(image, size, &packed, err)) {
        return false;
    }
    unpack = find_packing(packed.bytes);
    if (!unpack) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "kernel image: packed in another way than gzip, xz, lz4 or zstd");
    }
    if (packed.out_size == 0 || packed.out_size > KERNEL_ELF_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "kernel image: %zu bytes unpacked",
                                packed.out_size);
    }
    packed.out = malloc(packed.out_size);
    if (!packed.out) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kernel image: out of memory");
    }
    if (!unpack(&packed)) {
        free(packed.out);
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "kernel image: its payload is damaged, or not as long as it says");
    }
    *ret_elf = packed.out;
    *ret_size = packed.out_size;
    return true;
}
