/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-check-function-pointers.c - whose functions may stand in the kernel's tables, over an
 * invented kernel
 */
#include <glib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "tests/lib/invented-kernel.h"
#include "tests/lib/one-check.h"
#include "tests/unit/pointer-rows.h"

#define FUNCTION(n) (INVENTED_KERNEL + INVENTED_TEXT + 0x100ull * (n))
#define MODULE 0xffffffffc0000000ull
#define HIDDEN 0xffffffffc0200000ull
#define NOBODY 0xffffc90000123000ull
#define PROGRAM 0xffffffffc0300000ull

static InventedKernel invented;
static OneCheck one;
static uint64_t image; /* what lies in the kernel's image, so that its end can be told */
static uint64_t sequence_files, plain_files, inodes, folders, tcp_sequence, proc, tcp, modules;
static uint64_t filesystem, block, inode, format, protocol, handlers, discipline, congestion;
static uint64_t soft, keyboard, notifier, heads, hook, timers, timer, net;
static uint64_t precise, pool, work, worker, interrupt, action, sharer, chip, file, opened, mapping;
static uint64_t sequence;
static bool maple; /* interrupts lie in a maple tree */

static uint64_t text(const char *name)
{
    uint64_t at = invented_allocate(&invented, 32);
    memcpy(invented_at(&invented, at), name, strlen(name));
    return at;
}

/* A table in the image, with a symbol, whose first words at these offsets are functions. */
static uint64_t operations(const char *name, uint32_t first, uint32_t second)
{
    uint64_t at = invented_variable(&invented, name, 0x40);
    invented_u64(&invented, at + first, FUNCTION(1));
    invented_u64(&invented, at + second, FUNCTION(2));
    return at;
}

static uint64_t entry(const char *name, uint16_t mode, uint64_t table)
{
    uint64_t at = invented_allocate(&invented, 0xa0);
    invented_u16(&invented, at, mode);
    invented_u64(&invented, at + 0x8, inodes);
    invented_u64(&invented, at + 0x10, table);
    invented_u64(&invented, at + 0x28, text(name));
    return at;
}

static void add_proc(void)
{
    uint64_t root = invented_variable(&invented, "proc_root", 0xa0), network;

    invented_u16(&invented, root, 0040555);
    invented_u64(&invented, root + 0x8, inodes);
    invented_u64(&invented, root + 0x10, folders);
    modules = entry("modules", 0100444, plain_files);
    proc = entry("zzz", 0100444, plain_files);
    network = entry("net", 0, folders); /* as proc_net_ns_init() leaves it */
    tcp = entry("tcp", 0100444, sequence_files);
    invented_u64(&invented, tcp + 0x18, tcp_sequence);
    invented_u64(&invented, root + ENTRY_SUBDIR, modules + ENTRY_NODE);
    invented_u64(&invented, modules + ENTRY_NODE + 8, proc + ENTRY_NODE);
    invented_u64(&invented, network + ENTRY_SUBDIR, tcp + ENTRY_NODE);
    invented_u64(&invented, net + 0x80, network);
}

static void add_files(void)
{
    uint64_t list = invented_variable(&invented, "super_blocks", 16);
    uint64_t types = invented_variable(&invented, "file_systems", 8);
    uint64_t root = invented_allocate(&invented, 0x40);

    filesystem = invented_variable(&invented, "ext4_fs_type", 0x40);
    invented_u64(&invented, types, filesystem);
    invented_u64(&invented, filesystem, text("ext4"));
    invented_u64(&invented, filesystem + 0x10, FUNCTION(3));
    block = invented_allocate(&invented, 0x80);
    inode = invented_allocate(&invented, 0x80);
    invented_ring(&invented, list);
    invented_ring_add(&invented, list, block);
    invented_u64(&invented, block + 0x10, filesystem);
    invented_u64(&invented, block + 0x18, root);
    invented_u64(&invented, block + 0x20, operations("ext4_sops", 0, 0));
    invented_u64(&invented, root + 0x8, inode);
    invented_u64(&invented, inode + 0x8, inodes);
    invented_u64(&invented, inode + 0x40, folders);
}

static void add_registries(void)
{
    uint64_t list;

    list = invented_variable(&invented, "formats", 16);
    format = invented_allocate(&invented, 0x40);
    invented_ring(&invented, list);
    invented_ring_add(&invented, list, format);
    invented_u64(&invented, format + 0x18, FUNCTION(4));
    list = invented_variable(&invented, "proto_list", 16);
    protocol = invented_variable(&invented, "tcp_prot", 0x80);
    invented_ring(&invented, list);
    invented_ring_add(&invented, list, protocol + 0x60);
    memcpy(invented_at(&invented, protocol + 0x20), "TCP", 3);
    invented_u64(&invented, protocol + 0x8, FUNCTION(5));
    list = invented_variable(&invented, "tcp_cong_list", 16);
    congestion = invented_allocate(&invented, 0x40);
    invented_ring(&invented, list);
    invented_ring_add(&invented, list, congestion + 0x20);
    invented_u64(&invented, congestion, FUNCTION(6));
    handlers = invented_variable(&invented, "inet_protos", 64);
    invented_u64(&invented, handlers + 48, operations("tcp_protocol", 8, 8));
    discipline = invented_allocate(&invented, 0x20);
    invented_u64(&invented, discipline, text("n_tty"));
    list = invented_variable(&invented, "tty_ldiscs", 64); /* an array ends at the next symbol */
    invented_u64(&invented, list, discipline);
    invented_u64(&invented, discipline + 0x10, FUNCTION(7));
    soft = invented_variable(&invented, "softirq_vec", 64);
    invented_u64(&invented, soft + 8, FUNCTION(8));
    invented_variable(&invented, "after_softirq_vec", 8);
    invented_variable(&invented, "nmi_desc", 64);
    invented_variable(&invented, "after_nmi_desc", 8);
}

static void add_hooks(void)
{
    keyboard = invented_variable(&invented, "keyboard_notifier_list", 16);
    notifier = invented_allocate(&invented, 0x18);
    invented_u64(&invented, notifier, FUNCTION(9));
    heads = invented_variable(&invented, "security_hook_heads", 16);
    hook = invented_allocate(&invented, 0x28);
    invented_chain_add(&invented, heads + 8, hook, 0);
    invented_u64(&invented, hook + 0x18, FUNCTION(10));
    timers = invented_variable(&invented, "timer_bases", 0x40);
    invented_variable(&invented, "after_timer_bases", 8);
    timer = invented_allocate(&invented, 0x60) + 0x20;
    invented_chain_add(&invented, timers + 0x28, timer, 0);
    invented_u64(&invented, timer + 0x18, FUNCTION(11));
    invented_u64(&invented, timer - 0x20 + 0x18, FUNCTION(12));
    invented_symbol(&invented, "delayed_work_timer_fn", FUNCTION(11));
    invented_u32(&invented, invented_variable(&invented, "nr_cpu_ids", 8), 1);
    invented_variable(&invented, "__per_cpu_offset", 8);
}

static void add_pending(void)
{
    uint64_t base = invented_variable(&invented, "hrtimer_bases", 0xc0);
    uint64_t pools = invented_variable(&invented, "worker_pool_idr", 0x18);

    precise = invented_allocate(&invented, 0x40);
    invented_u64(&invented, base + 0x40 + 0x40 + 0x20, precise + 0x8); /* of the second clock */
    invented_u64(&invented, precise + 0x30, FUNCTION(13));
    pool = invented_allocate(&invented, 0x80);
    work = invented_allocate(&invented, 0x20);
    worker = invented_allocate(&invented, 0x60);
    invented_u64(&invented, pools + 0x8, pool);
    invented_ring(&invented, pool + 0x20);
    invented_ring(&invented, pool + 0x40);
    invented_ring(&invented, worker + 0x28);
    invented_ring_add(&invented, pool + 0x20, work + 0x8);
    invented_ring_add(&invented, pool + 0x40, worker + 0x40);
    invented_u64(&invented, work + 0x18, FUNCTION(14));
    invented_u64(&invented, worker + 0x18, FUNCTION(15));
}

/* In the tree with gaps that the kernel has: a root whose second child is a leaf. */
static void add_maple(uint64_t tree)
{
    uint64_t root = invented_allocate(&invented, 0x300), leaf;

    root = (root + 0xff) & ~0xffull;
    leaf = root + 0x100;
    invented_u64(&invented, tree + 0x8, root | 3 << 3 | 2);
    *invented_at(&invented, root + 0xf0) = 1;
    invented_u64(&invented, root + 0x58, leaf | 1 << 3 | 4);
    *invented_at(&invented, leaf + 0xf8) = 2;
    invented_u64(&invented, leaf + 0x90, interrupt);
    invented_u64(&invented, leaf + 0x98, 0x1122334455667788); /* behind its end */
}

static void add_interrupts(void)
{
    uint64_t tree = invented_variable(&invented, maple ? "sparse_irqs" : "irq_desc_tree", 0x10);

    interrupt = invented_allocate(&invented, 0x80);
    action = invented_allocate(&invented, 0x60);
    sharer = invented_allocate(&invented, 0x60);
    chip = invented_allocate(&invented, 0x20);
    invented_u32(&invented, interrupt + 0x8 + 0x4, 11);
    invented_u64(&invented, interrupt + 0x8 + 0x18, chip);
    invented_u64(&invented, interrupt + 0x40, FUNCTION(16));
    invented_u64(&invented, interrupt + 0x48, action);
    invented_u64(&invented, chip + 0x8, FUNCTION(17));
    invented_u64(&invented, action, FUNCTION(18));
    invented_u64(&invented, action + 0x18, sharer);
    invented_u64(&invented, sharer, FUNCTION(19));
    invented_u64(&invented, sharer + 0x20, FUNCTION(20));
    invented_u64(&invented, sharer + 0x40, text("net"));
    if (maple) {
        add_maple(tree);
    } else {
        invented_u64(&invented, tree + 0x8, interrupt);
    }
}

static void add_open_files(void)
{
    uint64_t init = invented_variable(&invented, "init_task", 0x200);
    uint64_t task = invented_allocate(&invented, 0x200), array = invented_allocate(&invented, 64);
    uint64_t descriptors = invented_allocate(&invented, 0x20), table;
    uint64_t files = invented_allocate(&invented, 0x40);

    invented_ring(&invented, init + 0x10);
    invented_ring_add(&invented, init + 0x10, task + 0x10);
    invented_u32(&invented, task + 0x20, 77);
    invented_u32(&invented, task + 0x24, 77);
    invented_u64(&invented, task + 0x38, invented_allocate(&invented, 64)); /* an mm */
    invented_u64(&invented, task + 0x40, invented_allocate(&invented, 64));
    invented_u64(&invented, task + 0x80, files);
    invented_u64(&invented, files + 0x20, descriptors);
    invented_u32(&invented, descriptors, 8);
    invented_u64(&invented, descriptors + 0x8, array);
    file = invented_allocate(&invented, 0x80);
    opened = invented_allocate(&invented, 0x80);
    mapping = invented_allocate(&invented, 0x40);
    sequence = invented_allocate(&invented, 0x40);
    table = operations("some_file_operations", 8, 8);
    invented_symbol(&invented, "seq_read_iter", FUNCTION(21));
    invented_u64(&invented, table + 0x18, FUNCTION(21));
    invented_u64(&invented, array + 24, file);
    invented_u64(&invented, file + 0x20, table);
    invented_u64(&invented, file + 0x28, opened);
    invented_u64(&invented, file + 0x40, sequence);
    invented_u64(&invented, sequence + 0x30, operations("some_seq_ops", 0, 0x18));
    invented_u16(&invented, opened, 0100644);
    invented_u64(&invented, opened + 0x8, inodes);
    invented_u64(&invented, opened + 0x10, block);
    invented_u64(&invented, opened + 0x18, mapping);
    invented_u64(&invented, opened + 0x40, folders);
    invented_u64(&invented, mapping + 0x10, operations("some_page_operations", 8, 8));
}

static void set_up(void)
{
    uint64_t namespaces;

    one_check_disown("");
    one_check_own(MODULE, MODULE + 0x1000, OWNER_MODULE, "nfsd", false);
    one_check_own(HIDDEN, HIDDEN + 0x1000, OWNER_MODULE, "evil", true);
    one_check_own(PROGRAM, PROGRAM + 0x1000, OWNER_BPF_TRAMPOLINE, "", false);
    invented_begin(&invented);
    image = INVENTED_KERNEL;
    invented_symbol(&invented, "_text", image);
    invented_symbol(&invented, "_end", image + INVENTED_SIZE);
    invented_symbol(&invented, "_sinittext", image + 0x700000);
    invented_symbol(&invented, "leftover", image + 0x700100);
    invented_symbol(&invented, "_einittext", image + 0x701000);
    namespaces = invented_variable(&invented, "net_namespace_list", 16);
    net = invented_allocate(&invented, 0x200);
    invented_ring(&invented, namespaces);
    invented_ring_add(&invented, namespaces, net + 0x10);
    sequence_files = operations("proc_net_seq_ops", 8, 16);
    plain_files = operations("modules_proc_ops", 8, 16);
    tcp_sequence = operations("tcp4_seq_ops", 0, 0x18);
    inodes = operations("some_inode_operations", 0, 0);
    folders = operations("some_folder_operations", 8, 8);
    add_proc();
    add_files();
    add_registries();
    add_hooks();
    add_pending();
    add_interrupts();
    add_open_files();
    invented_end(&invented, rows, G_N_ELEMENTS(rows));
}

static void run(void)
{
    one_check_run(&one, &check_function_pointers, &invented.kernel);
}

static void assert_clean(void)
{
    run();
    if (one.sightings.count) {
        g_error("%s: %s", one.sightings.items[0].object, one.sightings.items[0].text);
    }
    g_assert_cmpstr(one.result.text, ==, "");
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
}

static void assert_found(CheckSeverity severity, uint64_t address, const char *object)
{
    run();
    if (one.sightings.count != 1) {
        g_error("%s: %u sightings; reason '%s'", object, one.sightings.count, one.result.text);
    }
    g_assert_cmpstr(one.sightings.items[0].object, ==, object);
    g_assert_cmpuint(one.sightings.items[0].severity, ==, severity);
    g_assert_cmphex(one.sightings.items[0].address, ==, address);
}

/* Any other owner than the kernel, and the same when all is back. */
static void assert_core_only(uint64_t slot, const char *object)
{
    uint64_t was = invented_get(&invented, slot);
    const uint64_t targets[] = {NOBODY, HIDDEN + 8, MODULE + 8, PROGRAM};

    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        invented_u64(&invented, slot, targets[i]);
        assert_found(CHECK_COMPROMISED, slot, object);
    }
    invented_u64(&invented, slot, FUNCTION(1) + 4);
    assert_found(CHECK_DEGRADED, slot, object);
    invented_u64(&invented, slot, was);
    assert_clean();
}

static void assert_modules_too(uint64_t slot, const char *object)
{
    uint64_t was = invented_get(&invented, slot);

    invented_u64(&invented, slot, NOBODY);
    assert_found(CHECK_COMPROMISED, slot, object);
    invented_u64(&invented, slot, HIDDEN + 8);
    assert_found(CHECK_COMPROMISED, slot, object);
    invented_u64(&invented, slot, MODULE + 8);
    assert_clean();
    invented_u64(&invented, slot, was);
    assert_clean();
}

static void tear_down(void)
{
    one_check_clear(&one, &check_function_pointers);
    invented_clear(&invented);
}

static void test_clean(void)
{
    TableCell cell;

    set_up();
    assert_clean();
    assert_clean(); /* by what it remembers */
    g_assert_cmpuint(one_check_counter(&one, "proc entries"), ==, 5);
    g_assert_cmpuint(one_check_counter(&one, "registries"), ==, 8);
    g_assert_cmpuint(one_check_counter(&one, "security hooks"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "timers"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "super blocks"), ==, 1);
    g_assert_cmpuint(one.table.rows, ==, 0);
    invented_u64(&invented, format + 0x18, MODULE + 8);
    assert_clean();
    g_assert_true(one_check_cell(&one, "kind", "program format", "owner", &cell));
    g_assert_cmpstr(cell.text, ==, "[nfsd]");
    tear_down();
}

static void test_proc(void)
{
    uint64_t fake;

    set_up();
    assert_core_only(tcp_sequence + 0x18, "proc /proc/net/tcp.show");
    assert_core_only(plain_files + 0x10, "proc /proc/modules.proc_read");
    assert_core_only(folders + 8, "proc /proc.iterate_shared");
    /* Another table, though all in it is honest. */
    fake = invented_allocate(&invented, 0x40);
    invented_u64(&invented, fake + 0x18, FUNCTION(1));
    invented_u64(&invented, tcp + 0x18, fake);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 2); /* no table of the image, and not the very one */
    g_assert_cmpstr(one.sightings.items[0].object, ==, "proc /proc/net/tcp");
    invented_u64(&invented, tcp + 0x18, tcp_sequence);
    assert_clean();
    /* A file that is no known one may have a module's table, never code of nobody. */
    invented_u64(&invented, proc + 0x10, fake);
    assert_modules_too(fake + 8, "proc /proc/zzz.proc_open");
    tear_down();
}

static void test_files(void)
{
    uint64_t fake;

    set_up();
    assert_core_only(filesystem + 0x10, "filesystem ext4.mount");
    fake = invented_allocate(&invented, 0x40);
    invented_u64(&invented, fake + 8, FUNCTION(1));
    invented_u64(&invented, inode + 0x40, fake); /* a copy of the folder's operations */
    assert_found(CHECK_COMPROMISED, inode + 0x40, "mounted ext4");
    invented_u64(&invented, inode + 0x40, folders);
    assert_clean();
    tear_down();
}

static void test_registries(void)
{
    set_up();
    assert_modules_too(format + 0x18, "program format formats[0].load_binary");
    assert_modules_too(discipline + 0x10, "line discipline n_tty.receive_buf");
    assert_core_only(protocol + 0x8, "protocol TCP.connect");
    assert_core_only(soft + 8, "soft interrupt softirq_vec[1].action");
    invented_u64(&invented, congestion, PROGRAM); /* struct_ops */
    assert_clean();
    invented_u64(&invented, congestion, NOBODY);
    assert_found(CHECK_COMPROMISED, congestion, "congestion control tcp_cong_list[0].cong_avoid");
    invented_u64(&invented, congestion, FUNCTION(1));
    /* What was called at boot and never again. */
    invented_u64(&invented, soft + 8, image + 0x700100);
    assert_clean();
    invented_u64(&invented, soft + 8, image + 0x700104);
    assert_found(CHECK_COMPROMISED, soft + 8, "soft interrupt softirq_vec[1].action");
    tear_down();
}

static void test_hooks(void)
{
    set_up();
    invented_u64(&invented, keyboard + 8, notifier);
    assert_modules_too(notifier, "notifier keyboard_notifier_list");
    invented_u64(&invented, net + 0x90, notifier);
    invented_u64(&invented, keyboard + 8, 0);
    assert_modules_too(notifier, "notifier netdev_chain net:[0]");
    assert_core_only(hook + 0x18, "security list 1");
    assert_modules_too(timer - 0x20 + 0x18, "work delayed");
    assert_modules_too(timer + 0x18, "timer of CPU 0");
    tear_down();
}

static void test_pending(void)
{
    set_up();
    assert_modules_too(precise + 0x30, "precise timer of CPU 0");
    assert_modules_too(work + 0x18, "work waiting");
    assert_modules_too(worker + 0x18, "work running");
    g_assert_cmpuint(one_check_counter(&one, "precise timers"), ==, 1);
    g_assert_cmpuint(one_check_counter(&one, "pieces of work"), ==, 2);
    /* It was given to the worker. */
    invented_ring_remove(&invented, work + 0x8);
    invented_ring_add(&invented, worker + 0x28, work + 0x8);
    assert_modules_too(work + 0x18, "work waiting");
    invented_u64(&invented, work + 0x8, 0x1122334455667788);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();
}

static void test_interrupts(void)
{
    for (int i = 0; i < 2; i++) {
        maple = i == 1;
        set_up();
        assert_modules_too(interrupt + 0x40, "interrupt 11.handle_irq");
        assert_modules_too(chip + 0x8, "interrupt chip of 11.irq_mask");
        assert_modules_too(action, "interrupt 11 ?.handler");
        assert_modules_too(sharer + 0x20, "interrupt 11 net.thread_fn");
        g_assert_cmpuint(one_check_counter(&one, "interrupts"), ==, 1);
        invented_u64(&invented, sharer + 0x18, action); /* a ring of handlers */
        run();
        g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_BUDGET);
        tear_down();
    }
    maple = false;
}

static void test_open_files(void)
{
    uint64_t fake, table;

    set_up();
    fake = invented_allocate(&invented, 0x40);
    invented_u64(&invented, fake + 8, FUNCTION(1));
    table = invented_get(&invented, file + 0x20);
    invented_u64(&invented, file + 0x20, fake); /* a copy of its operations */
    assert_found(CHECK_COMPROMISED, file + 0x20, "open ext4");
    /* A device's may lie anywhere, and must belong to somebody. */
    invented_u16(&invented, opened, 0020644);
    assert_modules_too(fake + 8, "open ext4.iterate_shared");
    invented_u16(&invented, opened, 0100644);
    invented_u64(&invented, file + 0x20, table);
    assert_clean();
    invented_u64(&invented, opened + 0x40, fake);
    assert_found(CHECK_COMPROMISED, opened + 0x40, "open ext4");
    invented_u64(&invented, opened + 0x40, folders);
    assert_core_only(invented_get(&invented, mapping + 0x10) + 8, "open ext4.writepage");
    assert_core_only(invented_get(&invented, sequence + 0x30) + 0x18, "open ext4.show");
    g_assert_cmpuint(one_check_counter(&one, "open files"), ==, 1);
    tear_down();
}

/* Code outside of the image is not judged while modules are not known, and that is said. */
static void test_owners_missing(void)
{
    set_up();
    one_check_disown("no list of modules");
    invented_u64(&invented, format + 0x18, NOBODY);
    run();
    g_assert_cmpuint(one.sightings.count, ==, 0);
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_UNSUPPORTED);
    g_assert_nonnull(strstr(one.result.text, "no list of modules"));
    tear_down();
}

/* Trees and lists that go in circles, or into nothing. */
static void test_hostile(void)
{
    set_up();
    invented_u64(&invented, proc + ENTRY_NODE + 8, modules + ENTRY_NODE);
    invented_u64(&invented, tcp + ENTRY_NODE + 16, modules + ENTRY_NODE);
    assert_clean();
    invented_u64(&invented, proc + ENTRY_NODE + 8, 0x1122334455667788ull);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();

    set_up();
    invented_u64(&invented, filesystem + 0x18, filesystem);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_BUDGET);
    tear_down();

    set_up();
    invented_u64(&invented, keyboard + 8, notifier);
    invented_u64(&invented, notifier + 8, notifier);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_BUDGET);
    tear_down();

    set_up();
    invented_u64(&invented, timer, timer);
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_TORN);
    tear_down();

    set_up(); /* members that the guest's types have outside of their struct */
    run();
    g_assert_cmpuint(one.result.reason, ==, MONATT_REASON_NONE);
    g_assert_cmpuint(one_check_counter(&one, "registries"), ==, 8);
    tear_down();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/function-pointers/clean", test_clean);
    g_test_add_func("/function-pointers/proc", test_proc);
    g_test_add_func("/function-pointers/files", test_files);
    g_test_add_func("/function-pointers/registries", test_registries);
    g_test_add_func("/function-pointers/hooks", test_hooks);
    g_test_add_func("/function-pointers/pending", test_pending);
    g_test_add_func("/function-pointers/interrupts", test_interrupts);
    g_test_add_func("/function-pointers/open-files", test_open_files);
    g_test_add_func("/function-pointers/owners-missing", test_owners_missing);
    g_test_add_func("/function-pointers/hostile", test_hostile);
    return g_test_run();
}
