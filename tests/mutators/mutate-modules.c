/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-modules.c - loaded modules taken out of the places that show them
 */
#include <stdio.h>
#include <string.h>
#include "tests/mutators/mutate.h"

#define MODULES_MAXIMUM 512
#define POISON_NEXT 0xdead000000000100ull
#define POISON_PREVIOUS 0xdead000000000122ull
#define NAME_SIZE 56 /* MODULE_NAME_LEN */
#define LATCHES 2

typedef struct Module {
    uint64_t address;
    char name[NAME_SIZE + 1];
    uint64_t text;
    uint64_t text_size;
    uint64_t nodes; /* struct mod_tree_node of its text; 0: has none */
} Module;

static bool read_layout(Mutator *mutator, Module *module, MonattError *err)
{
    uint32_t at, base, size, node, size32;

    if (guest_kernel_member(&mutator->kernel, "module", "mem", &at)) {
        if (!mutator_member(mutator, "module_memory", "base", &base, err) ||
            !mutator_member(mutator, "module_memory", "size", &size, err)) {
            return false;
        }
        node = 0;
        module->nodes = guest_kernel_member(&mutator->kernel, "module_memory", "mtn", &node)
                            ? module->address + at + node
                            : 0;
    } else {
        if (!mutator_member(mutator, "module", "core_layout", &at, err) ||
            !mutator_member(mutator, "module_layout", "base", &base, err) ||
            !mutator_member(mutator, "module_layout", "text_size", &size, err)) {
            return false;
        }
        module->nodes = guest_kernel_member(&mutator->kernel, "module_layout", "mtn", &node)
                            ? module->address + at + node
                            : 0;
    }
    if (!mutator_read_u64(mutator, module->address + at + base, &module->text, err) ||
        !mutator_read(mutator, module->address + at + size, &size32, sizeof(size32), err)) {
        return false;
    }
    module->text_size = size32;
    return true;
}

static bool choose(Mutator *mutator, const char *name, Module *ret_module, MonattError *err)
{
    uint64_t head, node, found[MODULES_MAXIMUM];
    uint32_t list, name_at;
    size_t count = 0;

    if (!mutator_symbol(mutator, "modules", &head, err) ||
        !mutator_member(mutator, "module", "list", &list, err) ||
        !mutator_member(mutator, "module", "name", &name_at, err) ||
        !mutator_read_u64(mutator, head, &node, err)) {
        return false;
    }
    while (node != head && count < MODULES_MAXIMUM) {
        char this_name[NAME_SIZE + 1];
        if (!guest_kernel_string(&mutator->kernel, node - list + name_at, this_name,
                                 sizeof(this_name))) {
            break;
        }
        if (!name || strcmp(name, this_name) == 0) {
            found[count++] = node - list;
        }
        if (!mutator_read_u64(mutator, node, &node, err)) {
            return false;
        }
    }
    if (count == 0) {
        return mutator_none(err, "module");
    }
    *ret_module = (Module){.address = found[mutator_draw(mutator, count)]};
    return guest_kernel_string(&mutator->kernel, ret_module->address + name_at, ret_module->name,
                               sizeof(ret_module->name)) &&
           read_layout(mutator, ret_module, err);
}

/* As list_del() leaves it: Diamorphine and most others. */
static bool leave_list(Mutator *mutator, const Module *module, MonattError *err)
{
    uint32_t list;
    return mutator_member(mutator, "module", "list", &list, err) &&
           mutator_unlink(mutator, module->address + list, err) &&
           mutator_write_u64(mutator, module->address + list, POISON_NEXT, err) &&
           mutator_write_u64(mutator, module->address + list + 8, POISON_PREVIOUS, err);
}

/* As kobject_del() leaves it. */
static bool leave_kset(Mutator *mutator, const Module *module, MonattError *err)
{
    uint32_t entry;
    uint64_t node;
    if (!mutator_member(mutator, "module", "mkobj.kobj.entry", &entry, err)) {
        return false;
    }
    node = module->address + entry;
    return mutator_unlink(mutator, node, err) && mutator_write_u64(mutator, node, node, err) &&
           mutator_write_u64(mutator, node + 8, node, err);
}

/* Unlinks a node that has at most one child; true without a write when it has two. */
static bool leave_tree(Mutator *mutator, uint64_t root, uint64_t node, bool *ret_left,
                       MonattError *err)
{
    uint64_t parent, right, left, child, first, colour;

    if (!mutator_read_u64(mutator, node, &parent, err) ||
        !mutator_read_u64(mutator, node + 8, &right, err) ||
        !mutator_read_u64(mutator, node + 16, &left, err) ||
        !mutator_read_u64(mutator, root, &first, err)) {
        return false;
    }
    *ret_left = !(right && left) && (parent & ~3ull || first == node);
    if (!*ret_left) {
        return true;
    }
    child = right ? right : left;
    parent &= ~3ull;
    if (child && (!mutator_read_u64(mutator, child, &colour, err) ||
                  !mutator_write_u64(mutator, child, parent | (colour & 3), err))) {
        return false;
    }
    if (parent == 0) {
        return mutator_write_u64(mutator, root, child, err);
    }
    return mutator_read_u64(mutator, parent + 8, &right, err) &&
           mutator_write_u64(mutator, parent + (right == node ? 8 : 16), child, err);
}

static bool leave_mod_tree(Mutator *mutator, const Module *module, MonattError *err)
{
    uint32_t tree, node_at, node_size = guest_kernel_sizeof(&mutator->kernel, "rb_node");
    uint64_t root;
    bool left = false;

    if (module->nodes == 0 || node_size != 24) {
        return mutator_none(err, "module in mod_tree");
    }
    if (!mutator_symbol(mutator, "mod_tree", &root, err) ||
        !mutator_member(mutator, "latch_tree_root", "tree", &tree, err) ||
        !mutator_member(mutator, "mod_tree_node", "node", &node_at, err)) {
        return false;
    }
    for (unsigned i = 0; i < LATCHES; i++) {
        if (!leave_tree(mutator, root + tree + 8 * i, module->nodes + node_at + 24 * i, &left,
                        err)) {
            return false;
        }
        if (!left) {
            return mutator_none(err, "module that mod_tree lets go without a rotation");
        }
    }
    return true;
}

static void say(Mutator *mutator, const Module *module, const char *what)
{
    mutator_say(mutator, module->address, module->name, "module '%s': %s", module->name, what);
}

static bool module_list(Mutator *mutator, const char *argument, MonattError *err)
{
    Module module;
    if (!choose(mutator, argument, &module, err)) {
        return false;
    }
    say(mutator, &module, "taken out of the list of modules");
    return leave_list(mutator, &module, err);
}

static bool module_kobject(Mutator *mutator, const char *argument, MonattError *err)
{
    Module module;
    if (!choose(mutator, argument, &module, err)) {
        return false;
    }
    say(mutator, &module, "taken out of /sys/module's set");
    return leave_kset(mutator, &module, err);
}

static bool module_both(Mutator *mutator, const char *argument, MonattError *err)
{
    Module module;
    if (!choose(mutator, argument, &module, err)) {
        return false;
    }
    say(mutator, &module, "taken out of the list and of /sys/module's set");
    return leave_list(mutator, &module, err) && leave_kset(mutator, &module, err);
}

static bool module_tree(Mutator *mutator, const char *argument, MonattError *err)
{
    Module module;
    if (!choose(mutator, argument, &module, err)) {
        return false;
    }
    say(mutator, &module, "taken out of mod_tree");
    return leave_mod_tree(mutator, &module, err);
}

static bool module_all(Mutator *mutator, const char *argument, MonattError *err)
{
    Module module;
    if (!choose(mutator, argument, &module, err)) {
        return false;
    }
    say(mutator, &module, "taken out of list, set and mod_tree");
    return leave_mod_tree(mutator, &module, err) && leave_list(mutator, &module, err) &&
           leave_kset(mutator, &module, err);
}

static bool module_byte(Mutator *mutator, const char *argument, MonattError *err)
{
    Module module;
    uint64_t address;
    uint8_t byte;
    if (!choose(mutator, argument, &module, err)) {
        return false;
    }
    address = module.text + mutator_draw(mutator, module.text_size);
    if (!mutator_read(mutator, address, &byte, 1, err)) {
        return false;
    }
    byte ^= (uint8_t)(1 + mutator_draw(mutator, 255));
    mutator_say(mutator, address, module.name, "module '%s': one byte of its text at %#lx",
                module.name, (unsigned long)address);
    return mutator_write(mutator, address, &byte, 1, err);
}

#define MODULES MUTATION_BIT(MONATT_SUBCHECK_MODULES)
#define TEXT MUTATION_BIT(MONATT_SUBCHECK_MODULE_TEXT)
const Mutation mutations_of_modules[] = {
    {"module-list", MODULES, true, "a module taken out of the list", module_list},
    {"module-kobject", MODULES, true, "a module taken out of /sys/module", module_kobject},
    {"module-both", MODULES, true, "a module taken out of both", module_both},
    {"module-tree", MODULES, true, "a module taken out of mod_tree", module_tree},
    {"module-all", MODULES, true, "a module taken out of all three", module_all},
    {"module-byte", TEXT, false, "a byte of a module's text", module_byte},
    {NULL},
};
