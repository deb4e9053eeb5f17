/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-btf.c - members, sizes, arrays and enumerators of hand-made BTF; types that mean harm
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/btf.h"

#define HEADER 24u
#define CAPACITY 65536u

enum { INT = 1, PTR, ARRAY, STRUCT, UNION, ENUM, TYPEDEF = 8, VOLATILE, CONST, ENUM64 = 19 };

static uint8_t bytes[HEADER + 2 * CAPACITY];
static uint8_t types[CAPACITY], strings[CAPACITY];
static uint32_t type_size, string_size, type_count;
static Btf btf;

static void put(uint32_t value)
{
    uint32_t le = GUINT32_TO_LE(value);
    memcpy(types + type_size, &le, 4);
    type_size += 4;
}

static uint32_t name_of(const char *name)
{
    uint32_t at = string_size;
    if (!name) {
        return 0;
    }
    memcpy(strings + at, name, strlen(name) + 1);
    string_size += (uint32_t)strlen(name) + 1;
    return at;
}

/* Returns its number; count members or values follow. */
static uint32_t type(const char *name, uint32_t kind, uint32_t count, uint32_t size_or_type)
{
    put(name_of(name));
    put(kind << 24 | count);
    put(size_or_type);
    return ++type_count;
}

static void member(const char *name, uint32_t of, uint32_t bits)
{
    put(name_of(name));
    put(of);
    put(bits);
}

static uint32_t integer(const char *name, uint32_t size, uint32_t bits)
{
    uint32_t number = type(name, INT, 0, size);
    put(bits);
    return number;
}

static uint32_t array(uint32_t of, uint32_t count)
{
    uint32_t number = type(NULL, ARRAY, 0, 0);
    put(of);
    put(1);
    put(count);
    return number;
}

static void begin(void)
{
    btf_clear(&btf);
    memset(bytes, 0, sizeof(bytes));
    type_size = type_count = 0;
    string_size = 1;
}

static bool finish(void)
{
    const uint32_t header[] = {0x0001eb9f, HEADER, 0, type_size, type_size, string_size};
    for (size_t i = 0; i < G_N_ELEMENTS(header); i++) {
        uint32_t le = GUINT32_TO_LE(header[i]);
        memcpy(bytes + 4 * i, &le, 4);
    }
    memcpy(bytes + HEADER, types, type_size);
    memcpy(bytes + HEADER + type_size, strings, string_size);
    return btf_init(&btf, bytes, HEADER + type_size + string_size, NULL);
}

static uint32_t bit_of(const char *structure, const char *path)
{
    BtfMember found;
    return btf_find_member(&btf, structure, path, &found) ? found.bit_offset : UINT32_MAX;
}

static void test_paths(void)
{
    BtfMember found;
    uint32_t u32, inner, unnamed, alias, many, pointer, elements, size;

    begin();
    u32 = integer("u32", 4, 32);
    inner = type("inner", STRUCT, 2, 16);
    member("a", u32, 0);
    member("b", u32, 64);
    unnamed = type(NULL, UNION, 1, 20);
    member(NULL, inner, 32);
    alias = type(NULL, VOLATILE, 0, inner);
    alias = type(NULL, CONST, 0, alias);
    alias = type("alias", TYPEDEF, 0, alias);
    many = array(array(inner, 3), 2);
    pointer = type(NULL, PTR, 0, inner);
    type("outer", STRUCT, 5, 64);
    member("x", u32, 0);
    member(NULL, unnamed, 64);
    member("in", alias, 256);
    member("many", many, 320);
    member("next", pointer, 400);
    type("outer", STRUCT, 1, 128); /* another of this name */
    member("other", u32, 8);
    g_assert_true(finish());

    g_assert_cmpuint(bit_of("outer", "x"), ==, 0);
    g_assert_cmpuint(bit_of("outer", "b"), ==, 64 + 32 + 64);
    g_assert_cmpuint(bit_of("outer", "in.b"), ==, 256 + 64);
    g_assert_cmpuint(bit_of("alias", "b"), ==, 64);
    g_assert_cmpuint(bit_of("outer", "other"), ==, 8);
    static const char *const none[] = {"",    ".",     "in.",    ".x",     "in..b",
                                       "x.a", "in.b.", "next.a", "many.a", "in.c"};
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
        g_assert_cmpuint(bit_of("outer", none[i]), ==, UINT32_MAX); /* never through a pointer */
    }
    g_assert_cmpuint(bit_of("", "x"), ==, UINT32_MAX);
    g_assert_true(btf_find_member(&btf, "outer", "many", &found));
    g_assert_true(btf_type_array(&btf, found.type, &elements, &size));
    g_assert_cmpuint(elements, ==, 6);
    g_assert_cmpuint(size, ==, 16);
    g_assert_cmpuint(btf_type_size(&btf, found.type), ==, 96);
    g_assert_true(btf_find_member(&btf, "outer", "next", &found));
    g_assert_cmpuint(btf_type_size(&btf, found.type), ==, 8);
    g_assert_false(btf_type_array(&btf, found.type, &elements, &size));
    g_assert_cmpuint(btf_find_size(&btf, "outer"), ==, 64);
    g_assert_cmpuint(btf_find_size(&btf, "alias"), ==, 16);
    g_assert_cmpuint(btf_find_size(&btf, "u32"), ==, 0);
}

static void test_bit_fields(void)
{
    BtfMember found;
    uint32_t u32, short_one;

    begin();
    u32 = integer("u32", 4, 32);
    short_one = integer("old", 4, 3);
    type("s", STRUCT | 0x80, 2, 8); /* kind_flag */
    member("wide", u32, 15u << 24 | 48);
    member("whole", u32, 0);
    type("t", STRUCT, 1, 8);
    member("narrow", short_one, 5);
    g_assert_true(finish());
    g_assert_true(btf_find_member(&btf, "s", "wide", &found));
    g_assert_cmpuint(found.bit_offset, ==, 48);
    g_assert_cmpuint(found.bit_size, ==, 15);
    g_assert_true(btf_find_member(&btf, "s", "whole", &found));
    g_assert_cmpuint(found.bit_size, ==, 0);
    g_assert_true(btf_find_member(&btf, "t", "narrow", &found));
    g_assert_cmpuint(found.bit_offset, ==, 5);
    g_assert_cmpuint(found.bit_size, ==, 3);
}

static void test_enumerators(void)
{
    int64_t value;

    begin();
    type("e", ENUM | 0x80, 2, 4); /* signed */
    put(name_of("MINUS"));
    put((uint32_t)-2);
    put(name_of("SIX"));
    put(6);
    type(NULL, ENUM64, 1, 8);
    put(name_of("LARGE"));
    put(1);
    put(2);
    g_assert_true(finish());
    g_assert_true(btf_find_enumerator(&btf, "MINUS", &value));
    g_assert_cmpint(value, ==, -2);
    g_assert_true(btf_find_enumerator(&btf, "SIX", &value));
    g_assert_cmpint(value, ==, 6);
    g_assert_true(btf_find_enumerator(&btf, "LARGE", &value));
    g_assert_cmpint(value, ==, 0x200000001);
    g_assert_false(btf_find_enumerator(&btf, "SEVEN", &value));
}

/* Types that lead to themselves, far away, or to sizes beyond 32 bits: it ends, without one. */
static void test_hostile(void)
{
    BtfMember found;
    uint32_t elements, size;

    begin();
    type("self", TYPEDEF, 0, 1);
    type("loop", STRUCT, 2, 8);
    member(NULL, 2, 0);
    member(NULL, 2, 0);
    type("far", TYPEDEF, 0, 0xffffff);
    type("huge", STRUCT, 3, 8);
    member("list", 5, 0);
    member("nest", 6, 0);
    member("many", 7, 0);
    array(4, 0x20000001);
    array(6, 2);
    array(5, 0xffffffff);
    g_assert_true(finish());
    g_assert_false(btf_find_member(&btf, "self", "x", &found));
    g_assert_false(btf_find_member(&btf, "loop", "x", &found));
    g_assert_false(btf_find_member(&btf, "far", "x", &found));
    g_assert_cmpuint(btf_find_size(&btf, "self"), ==, 0);
    g_assert_true(btf_find_member(&btf, "huge", "list", &found));
    g_assert_cmpuint(btf_type_size(&btf, found.type), ==, 0);
    g_assert_true(btf_find_member(&btf, "huge", "nest", &found));
    g_assert_false(btf_type_array(&btf, found.type, &elements, &size));
    g_assert_true(btf_find_member(&btf, "huge", "many", &found));
    g_assert_false(btf_type_array(&btf, found.type, &elements, &size));
}

/* Types of one name are looked for one after the other: so many that it takes seconds are refused.
 */
static void test_namesakes(void)
{
    for (unsigned count = 2000; count <= 3000; count += 1000) {
        uint32_t name;

        begin();
        name = name_of("t");
        for (unsigned i = 0; i < count; i++) {
            put(name);
            put(TYPEDEF << 24);
            put(0);
        }
        g_assert_cmpint(finish(), ==, count == 2000);
        g_assert_cmpuint(btf_find_size(&btf, "t"), ==, 0);
    }
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/btf/paths", test_paths);
    g_test_add_func("/btf/bit-fields", test_bit_fields);
    g_test_add_func("/btf/enumerators", test_enumerators);
    g_test_add_func("/btf/hostile", test_hostile);
    g_test_add_func("/btf/namesakes", test_namesakes);
    result = g_test_run();
    btf_clear(&btf);
    return result;
}
