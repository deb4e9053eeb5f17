/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-kernel-text-choices.c - text for which the kernel chooses one of several forms at boot:
 * returns, retpolines and alternatives
 *
 * A form that is legal, and not what the feature bits or all other sites say, is degraded: it is
 * code of the kernel's own, with a protection left out.
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-text.h"

#define SITE (TEXT + 0x1000)
#define SECOND (TEXT + 0x1100)
#define FUNCTION (TEXT + 0x3000)
#define THUNKS (TEXT + 0x8000)
#define RETURN_THUNK (TEXT + 0x6000)
#define CHOSEN_THUNK (TEXT + 0x6100)
#define ITS_THUNK (TEXT + 0x6200)
#define DEPTH_THUNK (TEXT + 0x6300)
#define RETURNS 8u
#define NOP3 0x0f, 0x1f, 0x00
#define TEMPLATE_SIZE 16

/* Half of them in each half of a cache line. */
static uint64_t return_site(unsigned i)
{
    return SITE + 0x100 * i + (i % 2 ? 0x20 : 0);
}

static uint64_t chosen;

static void put_returns(void)
{
    uint64_t table;

    text_begin();
    table = text_section(".return_sites", (uint64_t)4 * RETURNS);
    chosen = invented_variable(&invented, "x86_return_thunk", 8);
    invented_u64(&invented, chosen, CHOSEN_THUNK);
    invented_symbol(&invented, "__x86_return_thunk", RETURN_THUNK);
    invented_symbol(&invented, "its_return_thunk", ITS_THUNK);
    invented_symbol(&invented, "call_depth_return_thunk", DEPTH_THUNK);
    for (unsigned i = 0; i < RETURNS; i++) {
        text_place(table + 4 * i, return_site(i));
        text_branch(return_site(i), 0xe9, RETURN_THUNK);
    }
    text_measure(NULL, 0);
    text_judge(FINE, 0, "");
}

/* to: 0 for a plain return. */
static void put_return(unsigned i, uint64_t to)
{
    if (to) {
        text_branch(return_site(i), 0xe9, to);
    } else {
        TEXT_PUT(return_site(i), 0xc3, 0xcc, 0xcc, 0xcc, 0xcc);
    }
}

static void test_returns(void)
{
    static const uint64_t thunks[] = {0, CHOSEN_THUNK, ITS_THUNK, DEPTH_THUNK};

    put_returns();
    for (size_t k = 0; k < G_N_ELEMENTS(thunks); k++) {
        for (unsigned i = 0; i < RETURNS; i++) {
            put_return(i, thunks[k]);
        }
        text_judge(FINE, 0, "");
        for (unsigned i = 0; i < RETURNS; i += 2) { /* ITS: by the half of a line that it is in */
            put_return(i, thunks[k]);
        }
        text_judge(FINE, 0, "");
        put_return(3, thunks[k]); /* one differs from all others */
        text_judge(DEGRADED, return_site(3), "not protected as the others");
    }
    put_return(3, ELSEWHERE);
    text_judge(UNEXPLAINED, return_site(3), "");
    text_branch(return_site(3), 0xe8, CHOSEN_THUNK);
    text_judge(UNEXPLAINED, return_site(3), "");
    TEXT_PUT(return_site(3), 0xc3, 0xcc, 0xcc, 0xcc, 0x90);
    text_judge(UNEXPLAINED, return_site(3), "");
    invented_u64(&invented, chosen, OUTSIDE); /* the variable is the guest's word */
    put_return(3, OUTSIDE);
    text_judge(UNEXPLAINED, return_site(3), "");
    text_clear();
}

static uint64_t thunk(unsigned kind, unsigned reg)
{
    return THUNKS + 0x1000 * kind + 0x40 * reg;
}

static void put_retpolines(void)
{
    static const char *const names[] = {"rax", "rcx", "r11"};
    static const char *const kinds[] = {"", "call_", "jump_"};
    uint64_t table;

    text_begin();
    table = text_section(".retpoline_sites", 16);
    for (unsigned kind = 0; kind < G_N_ELEMENTS(kinds); kind++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
            char name[48];
            g_snprintf(name, sizeof(name), "__x86_indirect_%sthunk_%s", kinds[kind], names[i]);
            invented_symbol(&invented, name, thunk(kind, i));
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        text_place(table + 4 * i, SITE + 0x100 * i);
    }
    text_branch(SITE, 0xe8, thunk(0, 0));
    text_branch(SITE + 0x100, 0xe9, thunk(0, 1));
    text_branch_two(SITE + 0x200, 0x2e, 0xe8, thunk(0, 2));
    text_branch_two(SITE + 0x300, 0x0f, 0x84, thunk(0, 0));
    text_measure(NULL, 0);
    text_judge(FINE, 0, "");
}

static void test_retpolines(void)
{
    static const struct {
        uint16_t site;
        uint8_t size;
        uint8_t bytes[6];
        bool fits;
    } forms[] = {
        {0, 5, {0xff, 0xd0, NOP3}, true},
        {0, 5, {0x0f, 0xae, 0xe8, 0xff, 0xd0}, true},
        {0, 5, {0xff, 0xd1, NOP3}, false},                       /* another register */
        {0, 5, {0xff, 0xe0, NOP3}, false},                       /* a jump */
        {0, 5, {0xff, 0xd0, 0x31, 0xc0, 0x90}, false},           /* and more code */
        {0, 5, {0x0f, 0xae, 0xf0, 0xff, 0xd0}, false},           /* another fence */
        {0x100, 5, {0xff, 0xe1, 0xcc, 0xcc, 0xcc}, true},        /* JMP *%rcx */
        {0x100, 5, {0xff, 0xe1, 0xcc, 0x66, 0x90}, true},        /* one trap, and a NOP */
        {0x100, 5, {0x0f, 0xae, 0xe8, 0xff, 0xe1}, true},        /* with LFENCE */
        {0x100, 5, {0xff, 0xd1, NOP3}, false},                   /* a call */
        {0x200, 6, {0x41, 0xff, 0xd3, NOP3}, true},              /* CALL *%r11 */
        {0x200, 6, {0x2e, 0x41, 0xff, 0xd3, 0x66, 0x90}, true},  /* with CS */
        {0x200, 6, {0x0f, 0xae, 0xe8, 0x41, 0xff, 0xd3}, true},  /* with LFENCE */
        {0x200, 6, {0xff, 0xd3, 0x90, NOP3}, false},             /* CALL *%rbx */
        {0x300, 6, {0x75, 0x04, 0xff, 0xe0, 0xcc, 0xcc}, true},  /* JNE over JMP *%rax */
        {0x300, 6, {0x74, 0x04, 0xff, 0xe0, 0xcc, 0xcc}, false}, /* JE */
        {0x300, 6, {0x75, 0x05, 0xff, 0xe0, 0xcc, 0xcc}, false}, /* into what follows */
        {0x300, 6, {0x75, 0xf4, 0xff, 0xe0, 0xcc, 0xcc}, false}, /* back */
        {0x300, 6, {0x75, 0x04, 0xff, 0xe1, 0xcc, 0xcc}, false}, /* another register */
    };

    put_retpolines();
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_test_message("form %zu", i);
        text_put(SITE + forms[i].site, forms[i].bytes, forms[i].size);
        text_judge(forms[i].fits ? FINE : UNEXPLAINED, SITE + forms[i].site, "");
    }
    text_clear();
}

static void test_thunks(void)
{
    const uint64_t its = OUTSIDE + 0x20;

    put_retpolines();
    text_branch(SITE, 0xe8, thunk(1, 0));
    text_judge(FINE, 0, "");
    text_branch(SITE + 0x100, 0xe9, thunk(2, 1));
    text_judge(FINE, 0, "");
    text_branch(SITE, 0xe8, thunk(1, 1));
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(SITE, 0xe9, thunk(1, 0));
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(SITE, 0xe8, ELSEWHERE);
    text_judge(UNEXPLAINED, SITE, "");
    for (uint64_t at = its - 0x20; at <= its; at += 0x20) { /* ITS: only in the upper half */
        TEXT_PUT(at, 0xff, 0xe0);
        text_branch(SITE, 0xe8, at);
        text_judge(at == its ? FINE : UNEXPLAINED, SITE, "");
    }
    TEXT_PUT(its, 0xff, 0xe1); /* JMP *%rcx */
    text_branch(SITE, 0xe8, its);
    text_judge(UNEXPLAINED, SITE, "");
    text_branch(SITE, 0xe8, INVENTED_KERNEL - 0x1000 + 0x20); /* not mapped */
    text_judge(UNEXPLAINED, SITE, "");
    text_clear();
}

#define FIRST_FEATURE 37u
#define SECOND_FEATURE 300u
#define PLACE_SIZE 8
#define REPLACEMENT_SIZE 6

/* struct alt_instr of 5.10, of 5.17 and of 6.3. */
static const struct Layout {
    InventedRow rows[5];
    uint32_t size;
    uint32_t length; /* where the length stands; that of the replacement is behind it */
    bool flags;
} layouts[] = {
    {{{"alt_instr", NULL, 13, NULL},
      {NULL, "cpuid", 8, "u16"},
      {NULL, "instrlen", 10, "u8"},
      {NULL, "replacementlen", 11, "u8"},
      {NULL, "padlen", 12, "u8"}},
     13,
     10,
     false},
    {{{"alt_instr", NULL, 12, NULL},
      {NULL, "cpuid", 8, "u16"},
      {NULL, "instrlen", 10, "u8"},
      {NULL, "replacementlen", 11, "u8"},
      {NULL, "instr_offset", 0, "u32"}},
     12,
     10,
     false},
    {{{"alt_instr", NULL, 14, NULL},
      {NULL, "cpuid", 8, "u16"},
      {NULL, "flags", 10, "u16"},
      {NULL, "instrlen", 12, "u8"},
      {NULL, "replacementlen", 13, "u8"}},
     14,
     12,
     true},
};

static uint64_t entries, replacements;

static void put_entry(const struct Layout *layout, unsigned i, uint64_t site, uint64_t replacement,
                      unsigned feature, bool inverted)
{
    uint64_t at = entries + (uint64_t)layout->size * i;

    text_place(at, site);
    text_place(at + 4, replacement);
    invented_u16(&invented, at + 8,
                 (uint16_t)(feature | (inverted && !layout->flags ? 0x8000 : 0)));
    if (layout->flags) {
        invented_u16(&invented, at + 10, inverted);
    }
    *invented_at(&invented, at + layout->length) = PLACE_SIZE;
    *invented_at(&invented, at + layout->length + 1) = REPLACEMENT_SIZE;
}

static void begin_alternatives(const struct Layout *layout, unsigned count)
{
    text_begin();
    entries = text_section(".altinstructions", (uint64_t)layout->size * count);
    replacements = text_section(".altinstr_replacement", 256);
    for (unsigned i = 0; i < 3; i++) {
        TEXT_PUT(replacements + 16 * i, (uint8_t)(0x50 + i), 1, 2, 3, 4, 5);
    }
    TEXT_PUT(SITE, 0x60, 1, 2, 0x90, 0x90, 0x90, 0x90, 0x90);
    TEXT_PUT(SECOND, 0x60, 1, 2, 0x90, 0x90, 0x90, 0x90, 0x90);
}

/* Which code stands at the first place: 0 what was built, else the number of a replacement. */
static void put_choice(unsigned choice)
{
    if (choice == 0) {
        TEXT_PUT(SITE + 3, 0x0f, 0x1f, 0x44, 0x00, 0x00); /* its NOPs are written anew */
    } else {
        TEXT_PUT(SITE, (uint8_t)(0x4f + choice), 1, 2, 3, 4, 5, 0x66, 0x90);
    }
}

static void test_choice(void)
{
    for (size_t k = 0; k < G_N_ELEMENTS(layouts); k++) {
        begin_alternatives(&layouts[k], 3);
        put_entry(&layouts[k], 0, SITE, replacements, FIRST_FEATURE, false);
        put_entry(&layouts[k], 1, SECOND, replacements + 32, FIRST_FEATURE, true);
        put_entry(&layouts[k], 2, SITE, replacements + 16, SECOND_FEATURE, false);
        text_feature(FIRST_FEATURE, true); /* so that the inverted one stays as built */
        TEXT_PUT(SITE, 0x60);
        text_measure(layouts[k].rows, G_N_ELEMENTS(layouts[k].rows));
        /* The last one whose feature holds. */
        for (unsigned has = 0; has < 4; has++) {
            unsigned wanted = has & 2 ? 2 : has & 1;
            for (unsigned choice = 0; choice < 3; choice++) {
                text_feature(FIRST_FEATURE, has & 1);
                text_feature(SECOND_FEATURE, has & 2);
                if (!(has & 1)) {
                    TEXT_PUT(SECOND, 0x52, 1, 2, 3, 4, 5, 0x66, 0x90);
                }
                put_choice(choice);
                text_judge(choice == wanted ? FINE : DEGRADED, SITE, "not what the feature bits");
            }
        }
        TEXT_PUT(SECOND, 0x52, 1, 2, 3, 4, 5, 0x66, 0x90); /* it has the feature */
        text_feature(SECOND_FEATURE, true);
        put_choice(2);
        text_judge(DEGRADED, SECOND, "not what the feature bits");
        for (size_t i = 0; i < PLACE_SIZE; i++) {
            text_feature(SECOND_FEATURE, true);
            put_choice(2);
            *invented_at(&invented, SITE + i) ^= 0x20;
            text_judge(UNEXPLAINED, SITE, "");
        }
        text_clear();
    }
}

/* Displacements of a replacement move with it, and to nothing else. */
static void test_moved(void)
{
    static const struct Layout *const layout = &layouts[2];
    uint64_t template;

    begin_alternatives(layout, 2);
    put_entry(layout, 0, SITE, replacements, FIRST_FEATURE, false);
    put_entry(layout, 1, SECOND, replacements + 16, FIRST_FEATURE, false);
    template = invented_variable(&invented, "skl_call_thunk_template", TEMPLATE_SIZE);
    invented_symbol(&invented, "skl_call_thunk_tail", template + TEMPLATE_SIZE);
    text_branch(replacements, 0xe8, FUNCTION);
    TEXT_PUT(replacements + 5, 0x55);
    text_branch(replacements + 16, 0xe9, SECOND + 0x40);
    TEXT_PUT(replacements + 21, 0x55);
    text_measure(layout->rows, G_N_ELEMENTS(layout->rows));
    for (uint64_t to = FUNCTION - TEMPLATE_SIZE; to <= FUNCTION + TEMPLATE_SIZE;
         to += TEMPLATE_SIZE) {
        text_feature(FIRST_FEATURE, true);
        text_branch(SITE, 0xe8, to);
        TEXT_PUT(SITE + 5, 0x55, 0x66, 0x90);
        TEXT_PUT(SECOND, 0xeb, 0x3e, NOP3, 0x55, 0x66, 0x90); /* became short */
        text_judge(to <= FUNCTION ? FINE : UNEXPLAINED, SITE, "");
    }
    for (int distance = 0x3d; distance <= 0x3f; distance++) {
        text_feature(FIRST_FEATURE, true);
        text_branch(SITE, 0xe8, FUNCTION);
        TEXT_PUT(SITE + 5, 0x55, 0x66, 0x90);
        TEXT_PUT(SECOND, 0xeb, (uint8_t)distance, NOP3, 0x55, 0x66, 0x90);
        text_judge(distance == 0x3e ? FINE : UNEXPLAINED, SECOND, "");
    }
    text_clear();
}

/* NOPs at the end of a replacement and those behind it are one run, and are written as one. */
static void test_joined_nops(void)
{
    static const struct Layout *const layout = &layouts[2];
    static const struct {
        bool fits;
        uint8_t bytes[PLACE_SIZE];
    } forms[] = {
        {true, {0x50, 1, 2, 0x0f, 0x1f, 0x44, 0x00, 0x00}},
        {true, {0x50, 1, 2, 0x90, 0x90, 0x90, 0x66, 0x90}},
        {false, {0x50, 1, 2, 0x0f, 0x1f, 0x44, 0x00, 0x01}},
        {false, {0x50, 1, 2, 0x90, 0x0f, 0x1f, 0x44, 0x00}}, /* it goes on behind the place */
        {false, {0x50, 1, 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00}},
    };

    begin_alternatives(layout, 1);
    put_entry(layout, 0, SITE, replacements, FIRST_FEATURE, false);
    TEXT_PUT(replacements + 3, 0x90, 0x90, 0x90);
    text_measure(layout->rows, G_N_ELEMENTS(layout->rows));
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        text_feature(FIRST_FEATURE, true);
        text_put(SITE, forms[i].bytes, PLACE_SIZE);
        text_judge(forms[i].fits ? FINE : UNEXPLAINED, SITE, "");
    }
    text_clear();
}

/* A call by a pointer that became a direct one: 6.3 and later, by a flag. */
static void test_direct_call(void)
{
    static const struct Layout *const layout = &layouts[2];
    uint64_t pointer;

    begin_alternatives(layout, 1);
    pointer = invented_variable(&invented, "pv_ops", 8);
    invented_symbol(&invented, "nop_func", TEXT + 0x3400);
    put_entry(layout, 0, SITE, replacements, FIRST_FEATURE, false);
    invented_u16(&invented, entries + 10, 2);
    text_branch_two(SITE, 0xff, 0x15, pointer);
    text_feature(FIRST_FEATURE, true);
    invented_u64(&invented, pointer, FUNCTION);
    text_branch(SITE, 0xe8, FUNCTION);
    TEXT_PUT(SITE + 5, NOP3);
    text_branch_two(SITE, 0xff, 0x15, pointer);
    TEXT_PUT(SITE + 6, 0x66, 0x90);
    text_measure(layout->rows, G_N_ELEMENTS(layout->rows));
    text_judge(DEGRADED, SITE, "not what the feature bits");
    for (unsigned i = 0; i < 3; i++) {
        static const uint64_t functions[] = {FUNCTION, ELSEWHERE, OUTSIDE};
        text_branch(SITE, 0xe8, functions[i]);
        TEXT_PUT(SITE + 5, NOP3);
        text_judge(i == 0 ? FINE : UNEXPLAINED, SITE, "");
        text_branch(SITE, 0xe8, functions[i]);
        TEXT_PUT(SITE + 5, NOP3);
        invented_u64(&invented, pointer, functions[i]); /* the check of pointers judges that */
        text_judge(i < 2 ? FINE : UNEXPLAINED, SITE, "");
    }
    for (unsigned i = 0; i < 2; i++) {
        TEXT_PUT(SITE, NOP3, 0x0f, 0x1f, 0x44, 0x00, 0x00);
        invented_u64(&invented, pointer, i ? TEXT + 0x3400 : FUNCTION);
        text_judge(i ? FINE : UNEXPLAINED, SITE, "");
    }
    text_clear();
}

/* A return within a replacement has a form of its own at the place it was copied to. */
static void test_return_in_replacement(void)
{
    static const struct Layout *const layout = &layouts[2];
    static const uint64_t thunks[] = {0, CHOSEN_THUNK, ELSEWHERE};
    uint64_t variable;

    begin_alternatives(layout, 1);
    put_entry(layout, 0, SITE, replacements, FIRST_FEATURE, false);
    text_place(text_section(".return_sites", 4), replacements + 1);
    variable = invented_variable(&invented, "x86_return_thunk", 8);
    invented_u64(&invented, variable, CHOSEN_THUNK);
    invented_symbol(&invented, "__x86_return_thunk", RETURN_THUNK);
    text_branch(replacements + 1, 0xe9, RETURN_THUNK);
    text_measure(layout->rows, G_N_ELEMENTS(layout->rows));
    for (size_t i = 0; i < G_N_ELEMENTS(thunks); i++) {
        text_feature(FIRST_FEATURE, true);
        TEXT_PUT(SITE, 0x50, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0x66, 0x90);
        if (thunks[i]) {
            text_branch(SITE + 1, 0xe9, thunks[i]);
        }
        text_judge(i < 2 ? FINE : UNEXPLAINED, SITE, "");
    }
    text_clear();
}

/* Entries that reach out of text or of the image, and types without the struct. */
static void test_hostile(void)
{
    static const struct Layout *const layout = &layouts[2];
    static const uint64_t sites[] = {TEXT_END - 1, TEXT_END - 8, TEXT_END, TEXT - 1, OUTSIDE, SITE};
    const size_t count = G_N_ELEMENTS(sites);

    begin_alternatives(layout, 2 * (unsigned)count);
    for (unsigned i = 0; i < 2 * count; i++) {
        uint64_t outside = INVENTED_KERNEL + INVENTED_SIZE - 1;
        put_entry(layout, i, sites[i / 2], i % 2 ? outside : INVENTED_KERNEL - 0x1000,
                  i % 2 ? FIRST_FEATURE : 0xfff0, false);
        *invented_at(&invented, entries + layout->size * i + layout->length) = i % 2 ? 255 : 8;
        *invented_at(&invented, entries + layout->size * i + layout->length + 1) = 255;
    }
    text_feature(FIRST_FEATURE, true);
    text_measure(layout->rows, G_N_ELEMENTS(layout->rows));
    for (size_t size = 1; size <= 8; size++) {
        memset(invented_at(&invented, TEXT_END - size), 0xe9, size);
        one_check_clear(&one, &check_kernel_text);
        one_check_run(&one, &check_kernel_text, &invented.kernel);
        g_assert_cmpuint(one_check_counter(&one, "unexplained bytes"), ==, size);
    }
    text_clear();
    begin_alternatives(layout, 1);
    put_entry(layout, 0, SITE, replacements, FIRST_FEATURE, false);
    text_measure(NULL, 0);
    one_check_clear(&one, &check_kernel_text);
    one_check_run(&one, &check_kernel_text, &invented.kernel);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "alt_instr"));
    text_clear();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kernel-text/returns", test_returns);
    g_test_add_func("/kernel-text/retpolines", test_retpolines);
    g_test_add_func("/kernel-text/thunks", test_thunks);
    g_test_add_func("/kernel-text/alternatives", test_choice);
    g_test_add_func("/kernel-text/alternatives-that-moved", test_moved);
    g_test_add_func("/kernel-text/alternatives-with-joined-nops", test_joined_nops);
    g_test_add_func("/kernel-text/direct-calls", test_direct_call);
    g_test_add_func("/kernel-text/returns-in-alternatives", test_return_in_replacement);
    g_test_add_func("/kernel-text/hostile-alternatives", test_hostile);
    return g_test_run();
}
