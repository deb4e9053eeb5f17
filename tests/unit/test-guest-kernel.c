/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-guest-kernel.c - which invented kernels are accepted, and what the others lack
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/guest-kernel.h"
#include "tests/lib/guest-image.h"

static uint8_t image[IMAGE_SIZE];
static GuestMemory memory;
static GuestKernel kernel;

static void set_up(void)
{
    guest_image_fill(image, sizeof(image));
    guest_memory_init_bytes(&memory, 0, image, sizeof(image));
}

static void assert_refused(const char *why)
{
    MonattError err = {0};
    g_assert_false(guest_kernel_find(&kernel, &memory, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    if (!strstr(err.message, why)) {
        g_error("'%s' is not in '%s'", why, err.message);
    }
}

/* Overwrites the note from a key's value on, to the end of the line, with as many characters. */
static void change_note(const char *key, char fill)
{
    char *value = strstr((char *)image + IMAGE_NOTE, key);
    g_assert_nonnull(value);
    for (value += strlen(key) + 1; *value != '\n'; value++) {
        *value = fill;
    }
}

static void test_found(void)
{
    MonattError err = {0};

    set_up();
    g_assert_true(guest_kernel_find(&kernel, &memory, &err));
    g_assert_cmpstr(kernel.release, ==, "6.1.0-invented");
    g_assert_cmphex(kernel.offsets.task_tasks, ==, IMAGE_TASK_LIST);
    g_assert_cmphex(kernel.offsets.task_group_node, ==, 0x90);
    g_assert_cmphex(kernel.offsets.namespace_idr_root, ==, 0x10);
    g_assert_cmphex(kernel.offsets.slab_objects, ==, 0x10);
    g_assert_cmphex(kernel.offsets.slab_objects_shift, ==, 16);
    g_assert_cmphex(kernel.symbols.runqueues, ==, 0x100); /* a per-CPU offset stays one */
    g_assert_cmpuint(guest_kernel_jiffies(&kernel), ==, 1000);
    g_assert_cmpuint(guest_kernel_forks(&kernel), ==, 77);
    g_assert_true(guest_kernel_check(&kernel));
    /* After a reboot there is another one, elsewhere. */
    memset(image + IMAGE_NOTE, 0, GUEST_PAGE_SIZE);
    g_assert_false(guest_kernel_check(&kernel));
    assert_refused("no VMCOREINFO");
}

static void test_refuses_notes(void)
{
    static const char *const keys[] = {"SYMBOL(_stext)", "NUMBER(phys_base)",
                                       "SYMBOL(swapper_pg_dir)"};
    set_up();
    change_note("SYMBOL(swapper_pg_dir)", 'f');
    assert_refused("page tables");
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        set_up();
        change_note(keys[i], 'z'); /* not a number */
        assert_refused("lacks");
    }
    set_up();
    memset(image + IMAGE_ROOT, 0, GUEST_PAGE_SIZE);
    assert_refused("page tables");
    /* phys_base is a number that does not fit its tables. */
    set_up();
    memcpy(strstr((char *)image + IMAGE_NOTE, "phys_base)=0") + 11, "4", 1);
    assert_refused("page tables");
}

static void test_refuses_symbols(void)
{
    set_up();
    change_note("SYMBOL(kallsyms_names)", 'z');
    assert_refused("VMCOREINFO does not say where");
    set_up();
    guest_image_put_u32(image, 0x9808, 0);
    assert_refused("no count");
    guest_image_put_u32(image, 0x9808, 1000001);
    assert_refused("no count");
    guest_image_put_u32(image, 0x9808, 10);     /* the names after that are not looked at */
    assert_refused("its banner does not bear"); /* no BTF, so no init_task: the banner must tell */
    set_up();
    image[0xa000] = 0xff; /* a length of two bytes whose second one goes on */
    image[0xa001] = 0xff;
    assert_refused("is not one");
    set_up();
    image[0xd000 + 2 * 'T'] = 0xff; /* the index does not ascend */
    assert_refused("no token table");
    set_up();
    guest_image_put_u32(image, 0x9004, 0x12345678); /* _stext is elsewhere */
    assert_refused("in no known form");
}

/*
 * The other two ways to encode addresses: relative to the base (6.15), and to the place of each
 * offset, without a base (7.0).  The one per-CPU symbol has an address of the kernel then.
 */
static void test_forms(void)
{
    MonattError err = {0};
    const uint64_t table = 0x9000, count = 16, per_cpu = 4;

    for (int form = 0; form < 2; form++) {
        set_up();
        for (uint64_t i = 0; i < count; i++) {
            uint32_t raw = (uint32_t)guest_image_u64(image, table + 4 * i);
            uint64_t address = i == per_cpu ? IMAGE_KERNEL + 0x100
                                            : IMAGE_KERNEL - 1 - (uint64_t)(int64_t)(int32_t)raw;
            guest_image_put_u32(
                image, table + 4 * i,
                (uint32_t)(address - (form ? IMAGE_KERNEL + table + 4 * i : IMAGE_KERNEL)));
        }
        if (form) {
            memcpy(strstr((char *)image + IMAGE_NOTE, "kallsyms_relative_base"), "gone", 4);
        }
        if (!guest_kernel_find(&kernel, &memory, &err)) {
            g_error("form %d: %s", form, err.message);
        }
        g_assert_cmphex(kernel.symbols.runqueues, ==, IMAGE_KERNEL + 0x100);
        g_assert_cmphex(kernel.symbols.jiffies, ==, IMAGE_KERNEL + IMAGE_JIFFIES);
    }
}

/* Tokens of the greatest length, names of the greatest count: ends, and refuses. */
static void test_bounds_names(void)
{
    set_up();
    memset(image + 0xa000, 0x7f, 0x1000); /* every name takes 127 tokens */
    for (int i = 0; i < 256; i++) {
        image[0xd000 + 2 * i] = image[0xd001 + 2 * i] = 0;
    }
    memset(image + 0xc000, 'A', 0x1000); /* each a text without end */
    assert_refused("name 0 is not one");
}

static void assert_found(void)
{
    MonattError err = {0};
    if (!guest_kernel_find(&kernel, &memory, &err)) {
        g_error("%s", err.message);
    }
}

/* Overwrites a name in the BTF's strings, with what is as long or shorter. */
static void rename_type(const char *from, const char *to)
{
    size_t size = strlen(from) + 1;
    uint8_t *name;
    char key[64] = {0}; /* with the terminators around */

    memcpy(key + 1, from, size);
    name = memmem(image + IMAGE_BTF, 4096, key, size + 1);
    g_assert_nonnull(name);
    for (size_t i = 1; i <= size; i++) {
        name[i] = *to ? (uint8_t)*to++ : 0;
    }
}

/* Without usable BTF a kernel is one all the same, and every view says what it lacks. */
static void test_without_types(void)
{
    static const struct {
        uint32_t place;
        uint32_t value;
        const char *why;
    } changes[] = {{IMAGE_BTF, 0xffffffff, "not BTF"},
                   {IMAGE_BTF + 12, 0x7fffffff, "sections outside"},
                   {IMAGE_BTF + 24 + 4, 31u << 24, "unknown kind"}};
    uint64_t address;
    uint32_t offset;

    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        set_up();
        guest_image_put_u32(image, changes[i].place, changes[i].value);
        assert_found();
        for (int view = MONATT_VIEW_LIST; view <= MONATT_VIEW_SLAB; view++) {
            g_assert_nonnull(strstr(kernel.missing[view], changes[i].why));
        }
        g_assert_true(guest_kernel_symbol(&kernel, "init_task", &address));
        g_assert_false(guest_kernel_member(&kernel, "task_struct", "pid", &offset));
        g_assert_cmpuint(guest_kernel_sizeof(&kernel, "task_struct"), ==, 0);
        g_assert_true(guest_kernel_check(&kernel));
    }
    /* Then the banner must be the note's: nothing else tells it from a note that was made up. */
    image[IMAGE_BANNER + 16] = '9';
    g_assert_false(guest_kernel_check(&kernel));
    assert_refused("banner");
    set_up();
    image[IMAGE_BANNER + 16] = '9';
    assert_refused("banner");
    set_up();
    memcpy(image + guest_image_task(0) + 0x28, "swapper/1", 9);
    assert_refused("no init_task");
}

/* An operator's BTF does what the kernel's own does, when it is this kernel's. */
static void test_given_types(void)
{
    uint8_t types[4096];
    KernelOffsets offsets;
    MonattError err = {0};

    set_up();
    assert_found();
    offsets = kernel.offsets;
    memcpy(types, kernel.types_bytes, kernel.types.size);
    size_t size = kernel.types.size;
    g_assert_true(guest_kernel_use_types(&kernel, "none", 4, &err)); /* has its own */
    set_up();
    guest_image_put_u32(image, IMAGE_BTF, 0xffffffff);
    assert_found();
    char before[GUEST_KERNEL_MISSING_SIZE];
    memcpy(before, kernel.missing[MONATT_VIEW_LIST], sizeof(before));
    g_assert_false(guest_kernel_use_types(&kernel, "none", 4, &err));
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_LIST], ==, before);
    g_assert_false(guest_kernel_use_types(&kernel, types, 0, &err));
    /* Of another kernel: init_task's name lies elsewhere there. */
    image[guest_image_task(0) + 0x28] ^= 1;
    g_assert_false(guest_kernel_use_types(&kernel, types, size, &err));
    g_assert_nonnull(strstr(err.message, "not of the kernel that runs"));
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_LIST], ==, before);
    g_assert_cmpuint(kernel.types.count, ==, 0);
    image[guest_image_task(0) + 0x28] ^= 1;
    g_assert_true(guest_kernel_use_types(&kernel, types, size, &err));
    g_assert_cmpmem(&kernel.offsets, sizeof(offsets), &offsets, sizeof(offsets));
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_LIST], ==, "");
    g_assert_true(guest_kernel_check(&kernel));
}

/* One member is gone: the views that need it say so, the others know nothing of it. */
static void test_degrades_alone(void)
{
    set_up();
    rename_type("cfs_tasks", "cfs_tusks");
    assert_found();
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_RUN_QUEUES], ==, "BTF has no rq.cfs_tasks");
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_LIST], ==, "");
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_PID_IDR], ==, "");
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_SLAB], ==, "");
    set_up();
    rename_type("exit_state", "exit_stats");
    assert_found();
    for (int view = MONATT_VIEW_LIST; view <= MONATT_VIEW_SLAB; view++) {
        g_assert_cmpstr(kernel.missing[view], ==, "BTF has no task_struct.exit_state");
    }
    /* A symbol: the name of task_struct_cachep. */
    set_up();
    memcpy(memmem(image + 0xa000, 4096, "task_struct_cachep", 18), "task_struct_cachet", 18);
    assert_found();
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_SLAB], ==, "no symbol task_struct_cachep");
    g_assert_cmpstr(kernel.missing[MONATT_VIEW_LIST], ==, "");
}

/* Names that members had before: state until 5.13, a slab's in struct page until 5.16. */
static void test_older_names(void)
{
    set_up();
    rename_type("__state", "state");
    rename_type("page", "pag");
    rename_type("slab", "page");
    assert_found();
    for (int view = MONATT_VIEW_LIST; view <= MONATT_VIEW_SLAB; view++) {
        g_assert_cmpstr(kernel.missing[view], ==, "");
    }
    g_assert_cmphex(kernel.offsets.task_state, ==, IMAGE_TASK_STATE);
    g_assert_cmphex(kernel.offsets.slab_cache, ==, 0x8);
    g_assert_cmphex(kernel.offsets.slab_objects, ==, 0x10);
}

static void test_lookups(void)
{
    char name[KALLSYMS_NAME_MAXIMUM];
    uint64_t address, offset;
    uint32_t member, shift, width;

    set_up();
    assert_found();
    g_assert_true(guest_kernel_symbol(&kernel, "jiffies_64", &address));
    g_assert_cmphex(address, ==, IMAGE_KERNEL + IMAGE_JIFFIES);
    g_assert_false(guest_kernel_symbol(&kernel, "jiffies_6", &address));
    g_assert_false(guest_kernel_symbol(&kernel, "", &address));
    g_assert_true(guest_kernel_symbol_at(&kernel, IMAGE_KERNEL + IMAGE_TEXT, name, &offset));
    g_assert_cmpstr(name, ==, "_stext");
    g_assert_cmphex(offset, ==, 0);
    g_assert_true(guest_kernel_symbol_at(&kernel, IMAGE_KERNEL + IMAGE_TEXT + 28, name, &offset));
    g_assert_cmpstr(name, ==, "_stext");
    g_assert_cmphex(offset, ==, 28);
    /* Before the first of the kernel's half; of the user's half; per CPU. */
    g_assert_false(guest_kernel_symbol_at(&kernel, IMAGE_KERNEL + 0xff, name, &offset));
    g_assert_false(guest_kernel_symbol_at(&kernel, 0xff, name, &offset));
    g_assert_true(guest_kernel_symbol_at(&kernel, 0x180, name, &offset));
    g_assert_cmpstr(name, ==, "runqueues");
    for (int i = 0; i < 2; i++) { /* the second time from what is remembered */
        g_assert_true(guest_kernel_member(&kernel, "pid_namespace", "idr", &member));
        g_assert_cmphex(member, ==, 0x8);
        g_assert_false(guest_kernel_member(&kernel, "pid_namespace", "idr.none", &member));
        g_assert_false(guest_kernel_member(&kernel, "none", "idr", &member));
    }
    g_assert_true(guest_kernel_bits(&kernel, "slab", "objects", &member, &shift, &width));
    g_assert_cmpuint(width, ==, 16);
    g_assert_cmpuint(guest_kernel_sizeof(&kernel, "task_struct"), ==, IMAGE_TASK_SIZE);
    g_assert_cmpuint(guest_kernel_cpus(&kernel), ==, 1);
    g_assert_true(guest_kernel_per_cpu(&kernel, kernel.symbols.runqueues, 0, &address));
    g_assert_cmphex(address, ==, IMAGE_KERNEL + IMAGE_QUEUE);
    g_assert_false(guest_kernel_per_cpu(&kernel, 0, UINT32_MAX, &address));
    g_assert_true(guest_kernel_string(&kernel, IMAGE_KERNEL + IMAGE_BANNER, name, 14));
    g_assert_cmpstr(name, ==, "Linux version");
    g_assert_false(guest_kernel_string(&kernel, 0x1234, name, sizeof(name)));
}

/* Another note, of a kernel that does not run any more or never did. */
static void test_two_notes(void)
{
    MonattError err = {0};

    set_up();
    memcpy(image + 0x1f0000, image + IMAGE_NOTE, GUEST_PAGE_SIZE); /* the same text: the ELF note */
    g_assert_true(guest_kernel_find(&kernel, &memory, &err));
    /* Differs, fits as well, neither runs. */
    memcpy(strstr((char *)image + 0x1f0000, "PAGESIZE=4096"), "PAGESIZE=4097", 13);
    g_assert_false(guest_kernel_find(&kernel, &memory, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_nonnull(strstr(err.message, "two fit"));
    /* The kernel itself says that it is another release, or one that only begins so. */
    set_up();
    memcpy(image + 0x1f0000, image + IMAGE_NOTE, GUEST_PAGE_SIZE);
    memcpy(image + 0x1f0000, "OSRELEASE=9", 11);
    g_assert_true(guest_kernel_find(&kernel, &memory, &err));
    g_assert_cmpstr(kernel.release, ==, "6.1.0-invented");
    set_up();
    memcpy(image + IMAGE_NOTE + 10, "6.1.0\nNOT=INVE", 14);
    assert_refused("banner");
    /* One that does not fit is no rival, wherever it stands. */
    set_up();
    memcpy(image + 0x0, image + IMAGE_NOTE, 1024);
    memcpy(strstr((char *)image, "phys_base)=0") + 11, "8", 1);
    g_assert_true(guest_kernel_find(&kernel, &memory, &err));
    g_assert_cmphex(kernel.note_address, ==, IMAGE_NOTE);
}

/* Says what a second attach takes, for docs/introspection.md; how long is nobody's failure. */
static void test_attach_again(void)
{
    const int times = 1000;
    gint64 begin;

    set_up();
    assert_found();
    begin = g_get_monotonic_time();
    for (int i = 0; i < times; i++) {
        g_assert_true(guest_kernel_check(&kernel));
    }
    g_test_message("a second attach takes %.2f us",
                   (double)(g_get_monotonic_time() - begin) / times);
    /* Another note at another place is not the one that was found, and is not looked for. */
    memcpy(image + 0x1f0000, image + IMAGE_NOTE, GUEST_PAGE_SIZE);
    memset(image + IMAGE_NOTE, 0, GUEST_PAGE_SIZE);
    g_assert_false(guest_kernel_check(&kernel));
}

/* A guest may write as many notes as it likes: so many are tried, and one behind them is not. */
static void test_many_notes(void)
{
    const uint64_t first = 0x100000, last = 0x1f0000;

    for (unsigned count = 63; count <= 64; count++) {
        set_up();
        memcpy(image + last, image + IMAGE_NOTE, GUEST_PAGE_SIZE);
        memcpy(strstr((char *)image + IMAGE_NOTE, "phys_base)=0") + 11, "4", 1);
        for (unsigned i = 0; i < count; i++) {
            memcpy(image + first + i * GUEST_PAGE_SIZE, image + IMAGE_NOTE, GUEST_PAGE_SIZE);
        }
        memset(image + IMAGE_NOTE, 0, GUEST_PAGE_SIZE);
        if (count == 63) {
            assert_found();
            g_assert_cmphex(kernel.note_address, ==, last);
        } else {
            assert_refused("page tables");
        }
    }
}

static gpointer tick(gpointer stop)
{
    for (uint64_t ticks = 1; !g_atomic_int_get((gint *)stop); ticks++) {
        g_atomic_int_set((gint *)(image + IMAGE_JIFFIES), (gint)ticks);
        g_usleep(1000);
    }
    return NULL;
}

/* Beside the kernel that runs as many that do not, each of which would be waited for: their names
 * are a copy that has no tick counter. */
static void test_many_dead(void)
{
    const uint64_t names = 0x1e0000, notes = 0x1f0000;
    gint stop = 0;
    GThread *guest;
    MonattError err = {0};

    set_up();
    memcpy(image + names, image + 0xa000, 0x1000);
    memcpy(memmem(image + names, 0x1000, "jiffies_64", 10), "jiffies_65", 10);
    guest = g_thread_new("guest", tick, &stop);
    for (unsigned i = 0; i < 10; i++) {
        char *note = (char *)image + notes + i * GUEST_PAGE_SIZE;
        memcpy(note, image + IMAGE_NOTE, GUEST_PAGE_SIZE);
        memcpy(strstr(note, "kallsyms_names)=") + 16, "ffffffff801e0000", 16);
        memcpy(strstr(note, "PAGESIZE=4096") + 12, &"0123456789"[i], 1);
        if (i == 0) {
            assert_found(); /* one is told from the one that runs */
            g_assert_cmphex(kernel.note_address, ==, IMAGE_NOTE);
        }
    }
    g_assert_false(guest_kernel_find(&kernel, &memory, &err));
    g_atomic_int_set(&stop, 1);
    g_thread_join(guest);
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    g_assert_nonnull(strstr(err.message, "too many"));
}

int main(int argc, char **argv)
{
    int result;

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest-kernel/found", test_found);
    g_test_add_func("/guest-kernel/refuses-notes", test_refuses_notes);
    g_test_add_func("/guest-kernel/refuses-symbols", test_refuses_symbols);
    g_test_add_func("/guest-kernel/forms-of-addresses", test_forms);
    g_test_add_func("/guest-kernel/bounds-names", test_bounds_names);
    g_test_add_func("/guest-kernel/without-types", test_without_types);
    g_test_add_func("/guest-kernel/given-types", test_given_types);
    g_test_add_func("/guest-kernel/degrades-alone", test_degrades_alone);
    g_test_add_func("/guest-kernel/older-names", test_older_names);
    g_test_add_func("/guest-kernel/lookups", test_lookups);
    g_test_add_func("/guest-kernel/two-notes", test_two_notes);
    g_test_add_func("/guest-kernel/attach-again", test_attach_again);
    g_test_add_func("/guest-kernel/many-notes", test_many_notes);
    g_test_add_func("/guest-kernel/many-dead", test_many_dead);
    result = g_test_run();
    guest_kernel_clear(&kernel);
    return result;
}
