/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-kallsyms.c - the table found by its shape, as Linux before 6.0 needs it, in two forms
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/kallsyms.h"
#include "tests/lib/guest-image.h"

#define TABLE 0x180000u /* behind everything else of the image */
#define SYMBOLS 700u    /* three markers */
#define STEXT 300u      /* its number */
#define SPACING 0x40u   /* bytes between two symbols */
#define FIRST (IMAGE_KERNEL + IMAGE_TEXT - STEXT * SPACING)

typedef struct Layout { /* guest-physical */
    uint64_t numbers, base, count, names, markers, tokens, index;
} Layout;

static uint8_t image[IMAGE_SIZE];
static GuestMemory memory;
static AddressSpace space;
static Vmcoreinfo info;

static uint64_t align8(uint64_t at)
{
    return (at + 7) & ~7ull;
}

/* As scripts/kallsyms.c of 5.10 writes it. */
static Layout put_table(bool absolute)
{
    Layout at = {.numbers = TABLE};
    uint64_t end = at.numbers + (absolute ? 8 : 4) * SYMBOLS;

    at.base = align8(end);
    at.count = absolute ? at.base : at.base + 8;
    at.names = end = at.count + 8;
    guest_image_put_u32(image, at.count, SYMBOLS);
    if (!absolute) {
        guest_image_put_u64(image, at.base, FIRST - 0x4000000);
    }
    uint64_t places[3];
    for (uint32_t i = 0; i < SYMBOLS; i++) {
        uint64_t address = FIRST + i * SPACING;
        char name[32];
        g_snprintf(name, sizeof(name), i == STEXT ? "T_stext" : "tsymbol_%u", i);
        if (absolute) {
            guest_image_put_u64(image, at.numbers + 8 * i, address);
        } else {
            guest_image_put_u32(image, at.numbers + 4 * i,
                                (uint32_t)(FIRST - 0x4000000 - 1 - address));
        }
        if (i % 256 == 0) {
            places[i / 256] = end - at.names;
        }
        image[end++] = (uint8_t)strlen(name);
        memcpy(image + end, name, strlen(name));
        end += strlen(name);
    }
    at.markers = align8(end);
    for (int i = 0; i < 3; i++) {
        guest_image_put_u32(image, at.markers + 4ull * (unsigned)i, (uint32_t)places[i]);
    }
    at.tokens = end = align8(at.markers + 12);
    at.index = align8(at.tokens + 3 + 255 * 2);
    for (uint32_t i = 0; i < 256; i++) { /* each its own, but for the first: none is empty */
        image[at.index + 2 * i] = (uint8_t)(end - at.tokens);
        image[at.index + 2 * i + 1] = (uint8_t)((end - at.tokens) >> 8);
        image[end++] = i ? (uint8_t)i : 'a';
        if (i == 0) {
            image[end++] = 'b';
        }
        image[end++] = 0;
    }
    return at;
}

static Layout set_up(bool absolute)
{
    guest_image_fill(image, sizeof(image));
    guest_memory_init_bytes(&memory, 0, image, sizeof(image));
    address_space_init(&space, &memory, IMAGE_ROOT, 4);
    memset(&info, 0, sizeof(info));
    g_snprintf(info.text, sizeof(info.text), "SYMBOL(swapper_pg_dir)=0\nSYMBOL(_stext)=%llx\n",
               IMAGE_KERNEL + IMAGE_TEXT);
    return put_table(absolute);
}

static void test_found(void)
{
    for (int absolute = 0; absolute < 2; absolute++) {
        Layout at = set_up(absolute);
        KallsymsPlaces places;
        Kallsyms symbols;
        MonattError err = {0};
        uint64_t address;

        g_assert_true(kallsyms_locate(&space, IMAGE_KERNEL + IMAGE_TEXT, &places));
        g_assert_cmphex(places.tokens, ==, IMAGE_KERNEL + at.tokens);
        g_assert_cmphex(places.index, ==, IMAGE_KERNEL + at.index);
        g_assert_cmphex(places.names, ==, IMAGE_KERNEL + at.names);
        g_assert_cmphex(places.number, ==, IMAGE_KERNEL + at.count);
        g_assert_cmphex(absolute ? places.addresses : places.offsets, ==,
                        IMAGE_KERNEL + at.numbers);
        g_assert_cmphex(places.base, ==, absolute ? 0 : IMAGE_KERNEL + at.base);
        if (!kallsyms_load(&symbols, &space, &info, &err)) {
            g_error("%s", err.message);
        }
        g_assert_cmpuint(symbols.count, ==, SYMBOLS);
        for (uint32_t i = 0; i < SYMBOLS; i++) {
            char name[32];
            g_snprintf(name, sizeof(name), i == STEXT ? "_stext" : "symbol_%u", i);
            g_assert_true(kallsyms_find(&symbols, name, &address));
            g_assert_cmphex(address, ==, FIRST + i * SPACING);
            g_assert_cmpstr(symbols.text + kallsyms_at(&symbols, address + SPACING - 1)->text, ==,
                            name);
        }
        g_assert_false(kallsyms_find(&symbols, "symbol_700", &address));
        kallsyms_clear(&symbols);
    }
}

static void assert_refused(const char *why)
{
    Kallsyms symbols;
    MonattError err = {0};

    g_assert_false(kallsyms_load(&symbols, &space, &info, &err));
    if (!strstr(err.message, why)) {
        g_error("'%s' is not in '%s'", why, err.message);
    }
    g_assert_null(symbols.entries);
}

/* One thing is not as it must be. */
static void test_refused(void)
{
    Layout at = set_up(false);

    image[at.tokens + 3 + 2 * 48] = 'x'; /* in place of a digit */
    assert_refused("nothing behind _stext");
    at = set_up(false);
    image[at.index + 2 * 200]++;
    assert_refused("nothing behind _stext");
    at = set_up(false);
    guest_image_put_u32(image, at.markers + 4, 0x7fffffff);
    assert_refused("nothing behind _stext");
    at = set_up(false);
    guest_image_put_u32(image, at.count, 512); /* not what the markers say */
    assert_refused("nothing behind _stext");
    at = set_up(false);
    guest_image_put_u64(image, at.base, 0x1000);
    assert_refused("nothing behind _stext");
    at = set_up(false);
    guest_image_put_u32(image, at.numbers + 4 * STEXT, 7);
    assert_refused("in no known form");
    /* Ten digits everywhere. */
    set_up(false);
    for (size_t i = TABLE; i + 20 < IMAGE_SIZE; i += 20) {
        memcpy(image + i, "0\0001\0002\0003\0004\0005\0006\0007\0008\0009", 20);
    }
    assert_refused("nothing behind _stext");
}

/* Names of one hash cannot be made here; but of many equal ones the first is taken. */
static void test_namesakes(void)
{
    Layout at = set_up(false);
    Kallsyms symbols;
    uint64_t address, where = at.names;

    for (uint32_t i = 0; i < SYMBOLS; i++) {
        uint8_t length = image[where];
        if (length == 11 && i != STEXT) { /* "tsymbol_123" */
            memcpy(image + where + 9, "100", 3);
        }
        where += 1u + length;
    }
    g_assert_true(kallsyms_load(&symbols, &space, &info, NULL));
    g_assert_true(kallsyms_find(&symbols, "symbol_100", &address));
    g_assert_cmphex(address, ==, FIRST + 100 * SPACING);
    g_assert_false(kallsyms_find(&symbols, "symbol_101", &address));
    /* Addresses that do not ascend are put in order. */
    kallsyms_clear(&symbols);
    set_up(false);
    guest_image_put_u32(image, at.numbers + 4 * 650, (uint32_t)(0x4000000 * -1u - 1 - 8));
    g_assert_true(kallsyms_load(&symbols, &space, &info, NULL));
    g_assert_cmpstr(symbols.text + kallsyms_at(&symbols, FIRST + 9)->text, ==, "symbol_650");
    kallsyms_clear(&symbols);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kallsyms/found-by-shape", test_found);
    g_test_add_func("/kallsyms/refused", test_refused);
    g_test_add_func("/kallsyms/namesakes", test_namesakes);
    return g_test_run();
}
