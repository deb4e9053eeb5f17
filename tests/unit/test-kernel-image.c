/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-kernel-image.c - images that are opened, and how the others are refused
 *
 * Each packing is made here by its own library; a kernel whose kallsyms can be read is in the
 * guest tests, so the ELF files of this one end at the last step, which names what they lack.
 */
#include <elf.h>
#include <glib.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "host-collector/sources/introspection/kernel-image/kernel-image.h"
#include "host-collector/sources/introspection/kernel-image/unpack.h"

#define CONTENT_SIZE 30000u
#define SETUP_SIZE 1024u /* a boot sector and one of setup */
#define ROOM (4u * CONTENT_SIZE)
#define TEXT_ADDRESS 0xffffffff81000000ull
#define TEXT_SIZE 4096u

static uint8_t content[CONTENT_SIZE];
static uint8_t image[SETUP_SIZE + ROOM];

static void fill(void)
{
    for (size_t i = 0; i < sizeof(content); i++) {
        content[i] = (uint8_t)(i * i >> 7);
    }
}

static size_t pack_gzip(uint8_t *out)
{
    z_stream stream = {
        .next_in = content, .avail_in = sizeof(content), .next_out = out, .avail_out = ROOM};
    g_assert_cmpint(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
    g_assert_cmpint(deflate(&stream, Z_FINISH), ==, Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

static size_t pack_xz(uint8_t *out)
{
    size_t size = 0;
    g_assert_cmpint(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, content, sizeof(content),
                                            out, &size, ROOM),
                    ==, LZMA_OK);
    return size;
}

/* The old frame: a magic, then chunks with their sizes; here two of them. */
static size_t pack_lz4(uint8_t *out)
{
    static const uint8_t magic[] = {0x02, 0x21, 0x4c, 0x18};
    size_t at = sizeof(magic);

    memcpy(out, magic, sizeof(magic));
    for (size_t half = 0; half < 2; half++) {
        int size = LZ4_compress_default((const char *)content + half * CONTENT_SIZE / 2,
                                        (char *)out + at + 4, CONTENT_SIZE / 2, CONTENT_SIZE);
        uint32_t word = GUINT32_TO_LE((uint32_t)size);
        g_assert_cmpint(size, >, 0);
        memcpy(out + at, &word, sizeof(word));
        at += 4 + (size_t)size;
    }
    return at;
}

static size_t pack_zstd(uint8_t *out)
{
    size_t size = ZSTD_compress(out, ROOM, content, sizeof(content), 3);
    g_assert_false(ZSTD_isError(size));
    return size;
}

static size_t (*const packings[])(uint8_t *out) = {pack_gzip, pack_xz, pack_lz4, pack_zstd};

static void put_u32(size_t at, uint32_t value)
{
    value = GUINT32_TO_LE(value);
    memcpy(image + at, &value, sizeof(value));
}

/* A bzImage around the payload at SETUP_SIZE; announced: its size unpacked.  The image's size. */
static size_t wrap(size_t payload, uint32_t announced)
{
    memset(image, 0, SETUP_SIZE);
    image[0x1f1] = 1;
    memcpy(image + 0x202, "HdrS", 4);
    image[0x206] = 0x0f;
    image[0x207] = 0x02;
    put_u32(0x24c, (uint32_t)payload + 4);
    put_u32(SETUP_SIZE + payload, announced);
    return SETUP_SIZE + payload + 4;
}

static void assert_unpacked(size_t size)
{
    MonattError err = {0};
    uint8_t *elf;
    size_t elf_size;

    g_assert_true(kernel_unpack(image, size, &elf, &elf_size, &err));
    g_assert_cmpmem(elf, elf_size, content, sizeof(content));
    free(elf);
}

static void assert_refused(size_t size, MonattErrorCode code, const char *why)
{
    MonattError err = {0};
    uint8_t *elf = NULL;
    size_t elf_size = 0;

    g_assert_false(kernel_unpack(image, size, &elf, &elf_size, &err));
    g_assert_cmpint(err.code, ==, code);
    if (!strstr(err.message, why)) {
        g_error("'%s' is not in '%s'", why, err.message);
    }
    g_assert_null(elf);
}

static void test_packings(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packings); i++) {
        size_t payload = packings[i](image + SETUP_SIZE);
        assert_unpacked(wrap(payload, CONTENT_SIZE));
    }
}

static void test_wrong_sizes(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packings); i++) {
        size_t payload = packings[i](image + SETUP_SIZE);
        assert_refused(wrap(payload, CONTENT_SIZE + 1), MONATT_ERROR_FORMAT, "damaged");
        assert_refused(wrap(payload, CONTENT_SIZE - 1), MONATT_ERROR_FORMAT, "damaged");
        assert_refused(wrap(payload, 0), MONATT_ERROR_LIMIT, "unpacked");
        assert_refused(wrap(payload, KERNEL_ELF_MAXIMUM + 1), MONATT_ERROR_LIMIT, "unpacked");
        assert_unpacked(wrap(payload, CONTENT_SIZE));
    }
}

/* What a damaged byte unpacks to is not ours to see, but it never overruns nor crashes. */
static void test_damaged(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packings); i++) {
        size_t payload = packings[i](image + SETUP_SIZE);
        size_t whole = wrap(payload, CONTENT_SIZE);
        uint8_t *elf;
        size_t elf_size;
        MonattError err = {0};

        image[SETUP_SIZE + 5] ^= 0xff;
        if (kernel_unpack(image, whole, &elf, &elf_size, &err)) {
            free(elf);
        } else {
            g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
        }
        payload = packings[i](image + SETUP_SIZE);
        assert_refused(wrap(payload / 2, CONTENT_SIZE), MONATT_ERROR_FORMAT, "damaged");
    }
}

static void test_no_image(void)
{
    size_t whole = wrap(pack_zstd(image + SETUP_SIZE), CONTENT_SIZE);

    assert_refused(0x24f, MONATT_ERROR_FORMAT, "no bzImage");
    assert_refused(whole - 1, MONATT_ERROR_FORMAT, "not in it");
    put_u32(0x248, 0xfffffff0);
    assert_refused(whole, MONATT_ERROR_FORMAT, "not in it");
    put_u32(0x248, 0);
    image[SETUP_SIZE] ^= 1;
    assert_refused(whole, MONATT_ERROR_FORMAT, "packed in another way");
    image[SETUP_SIZE] ^= 1;
    image[0x206] = 0x07;
    assert_refused(whole, MONATT_ERROR_FORMAT, "no bzImage");
    image[0x206] = 0x0f;
    assert_unpacked(whole);
}

typedef struct TestElf {
    Elf64_Ehdr header;
    uint8_t text[TEXT_SIZE];
    char names[32];
    Elf64_Shdr sections[3];
    uint32_t relocations[5]; /* read backwards: 32-bit places, 0, 64-bit places */
} TestElf;

static TestElf make_elf(void)
{
    TestElf elf = {
        .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1},
                   .e_machine = EM_X86_64,
                   .e_shoff = offsetof(TestElf, sections),
                   .e_shentsize = sizeof(Elf64_Shdr),
                   .e_shnum = 3,
                   .e_shstrndx = 2},
        .names = "\0.text\0.names",
        .sections = {{0},
                     {.sh_name = 1,
                      .sh_type = SHT_PROGBITS,
                      .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                      .sh_addr = TEXT_ADDRESS,
                      .sh_offset = offsetof(TestElf, text),
                      .sh_size = TEXT_SIZE},
                     {.sh_name = 7,
                      .sh_type = SHT_STRTAB,
                      .sh_offset = offsetof(TestElf, names),
                      .sh_size = sizeof(elf.names)}},
        .relocations = {0, (uint32_t)TEXT_ADDRESS + 8, 0, (uint32_t)TEXT_ADDRESS + 16,
                        (uint32_t)TEXT_ADDRESS + TEXT_SIZE - 3},
    };
    return elf;
}

static void assert_not_laid_out(const TestElf *elf, size_t size, const char *stext,
                                MonattErrorCode code, const char *why)
{
    static KernelImage kernel;
    Vmcoreinfo info = {0};
    MonattError err = {0};

    info.size = (size_t)g_snprintf(info.text, sizeof(info.text),
                                   "OSRELEASE=6.1\nSYMBOL(_stext)=%s\n", stext);
    g_assert_false(kernel_image_lay_out(&kernel, (const uint8_t *)elf, size, &info, &err));
    g_assert_cmpint(err.code, ==, code);
    if (!strstr(err.message, why)) {
        g_error("'%s' is not in '%s'", why, err.message);
    }
    g_assert_null(kernel.room);
}

static void test_layout(void)
{
    static const char slid[] = "ffffffff81200000";
    TestElf elf = make_elf();

    /* All is well but that it has no kallsyms: it is not the kernel that runs. */
    assert_not_laid_out(&elf, sizeof(elf), slid, MONATT_ERROR_MISSING, "not the kernel that runs");
    assert_not_laid_out(&elf, sizeof(elf), "ffffffff80000000", MONATT_ERROR_FORMAT, "cannot lie");
    assert_not_laid_out(&elf, sizeof(elf), "ffffffffc0000000", MONATT_ERROR_FORMAT, "cannot lie");
    assert_not_laid_out(&elf, sizeof(elf.header) - 1, slid, MONATT_ERROR_FORMAT, "no ELF");
    assert_not_laid_out(&elf, offsetof(TestElf, relocations), slid, MONATT_ERROR_FORMAT,
                        "no relocations");
    assert_not_laid_out(&elf, offsetof(TestElf, relocations) - 1, slid, MONATT_ERROR_FORMAT,
                        "no x86-64 ELF");
}

static void test_sections(void)
{
    static const char slid[] = "ffffffff81200000";
    TestElf elf = make_elf();

    elf.sections[1].sh_offset = UINT64_MAX - 8;
    assert_not_laid_out(&elf, sizeof(elf), slid, MONATT_ERROR_FORMAT, "not in its ELF");
    elf = make_elf();
    elf.sections[1].sh_size = sizeof(elf);
    assert_not_laid_out(&elf, sizeof(elf), slid, MONATT_ERROR_FORMAT, "not in its ELF");
    elf = make_elf();
    elf.sections[1].sh_flags = 0;
    assert_not_laid_out(&elf, sizeof(elf), slid, MONATT_ERROR_FORMAT, "none or too far");
    elf = make_elf();
    elf.header.e_shstrndx = 3;
    assert_not_laid_out(&elf, sizeof(elf), slid, MONATT_ERROR_FORMAT, "no x86-64 ELF");
    elf = make_elf();
    elf.header.e_shnum = KERNEL_SECTIONS_MAXIMUM + 1;
    assert_not_laid_out(&elf, sizeof(elf), slid, MONATT_ERROR_FORMAT, "no x86-64 ELF");
    elf = make_elf();
    elf.header.e_machine = EM_386;
    assert_not_laid_out(&elf, sizeof(elf), slid, MONATT_ERROR_FORMAT, "no x86-64 ELF");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    fill();
    g_test_add_func("/kernel-image/packings", test_packings);
    g_test_add_func("/kernel-image/refuses-wrong-sizes", test_wrong_sizes);
    g_test_add_func("/kernel-image/refuses-damaged", test_damaged);
    g_test_add_func("/kernel-image/refuses-no-image", test_no_image);
    g_test_add_func("/kernel-image/another-kernel", test_layout);
    g_test_add_func("/kernel-image/refuses-sections", test_sections);
    return g_test_run();
}
