/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-rodata.c - constants and tables that must be as the kernel's image has them
 */
#include <stdio.h>
#include <string.h>
#include "tests/mutators/mutate.h"

#define GATES 256
#define GATE_SIZE 16u
#define SYSCALLS 330
#define DRAWS 20000
#define RODATA MUTATION_BIT(MONATT_SUBCHECK_KERNEL_RODATA)
#define POINTERS MUTATION_BIT(MONATT_SUBCHECK_FUNCTION_POINTERS)

/* What every rootkit did, and has no effect any more where the table is not used. */
static bool syscall_slot(Mutator *mutator, const char *argument, MonattError *err)
{
    char name[CHECK_OBJECT_SIZE];
    uint64_t table, target, size;
    (void)argument;
    if (!mutator_symbol(mutator, "sys_call_table", &table, err) ||
        !(mutator_draw(mutator, 2) ? mutator_function(mutator, &target, &size, err)
                                   : mutator_foreign(mutator, &target, err))) {
        return false;
    }
    table += mutator_draw(mutator, SYSCALLS) * 8;
    mutator_name(mutator, table, name);
    mutator_say(mutator, table, name, "%s points elsewhere", name);
    return mutator_write_u64(mutator, table, target, err);
}

/* Not among what the kernel itself still writes while it boots. */
static bool draw_constant(Mutator *mutator, uint64_t *ret_address, MonattError *err)
{
    uint64_t start, end, init, init_end;
    if (!mutator_symbol(mutator, "__start_rodata", &start, err) ||
        !mutator_symbol(mutator, "__end_rodata", &end, err) ||
        !mutator_symbol(mutator, "__start_ro_after_init", &init, err) ||
        !mutator_symbol(mutator, "__end_ro_after_init", &init_end, err)) {
        return false;
    }
    do {
        *ret_address = start + mutator_draw(mutator, end - start);
    } while (*ret_address >= init && *ret_address < init_end);
    return true;
}

static bool rodata_byte(Mutator *mutator, const char *argument, MonattError *err)
{
    char name[CHECK_OBJECT_SIZE];
    uint64_t address;
    uint8_t byte;
    (void)argument;
    if (!draw_constant(mutator, &address, err) || !mutator_read(mutator, address, &byte, 1, err)) {
        return false;
    }
    byte ^= (uint8_t)(1 + mutator_draw(mutator, 255));
    mutator_name(mutator, address, name);
    mutator_say(mutator, address, name, "%s: one byte is another", name);
    return mutator_write(mutator, address, &byte, 1, err);
}

/* A function pointer in a constant table (file_operations and their like). */
static bool rodata_pointer(Mutator *mutator, const char *argument, MonattError *err)
{
    char name[CHECK_OBJECT_SIZE];
    uint64_t text, text_end;
    (void)argument;
    if (!mutator_symbol(mutator, "_stext", &text, err) ||
        !mutator_symbol(mutator, "_etext", &text_end, err)) {
        return false;
    }
    for (int i = 0; i < DRAWS; i++) {
        uint64_t address, value, target;
        if (!draw_constant(mutator, &address, err)) {
            return false;
        }
        address &= ~7ull;
        if (!mutator_read_u64(mutator, address, &value, err) || value < text || value >= text_end) {
            continue;
        }
        mutator_name(mutator, address, name);
        mutator_say(mutator, address, name, "%s points elsewhere", name);
        return mutator_foreign(mutator, &target, err) &&
               mutator_write_u64(mutator, address, target, err);
    }
    return mutator_none(err, "pointer among its constants");
}

/* struct gate_desc: offset 0..15, selector, type, offset 16..31, offset 32..63. */
static bool idt_gate(Mutator *mutator, const char *argument, MonattError *err)
{
    char name[CHECK_OBJECT_SIZE];
    uint64_t table, target, size, gate;
    uint8_t bytes[GATE_SIZE];
    (void)argument;
    gate = mutator_draw(mutator, GATES);
    if (!mutator_symbol(mutator, "idt_table", &table, err) ||
        !(mutator_draw(mutator, 2) ? mutator_function(mutator, &target, &size, err)
                                   : mutator_foreign(mutator, &target, err)) ||
        !mutator_read(mutator, table + gate * GATE_SIZE, bytes, sizeof(bytes), err)) {
        return false;
    }
    memcpy(bytes, &target, 2);
    memcpy(bytes + 6, (uint8_t *)&target + 2, 6);
    snprintf(name, sizeof(name), "gate %#lx", (unsigned long)gate);
    mutator_say(mutator, table + gate * GATE_SIZE, name, "%s of the IDT leads elsewhere", name);
    return mutator_write(mutator, table + gate * GATE_SIZE, bytes, sizeof(bytes), err);
}

/* A program could then raise it: the descriptor's privilege level becomes 3. */
static bool idt_level(Mutator *mutator, const char *argument, MonattError *err)
{
    char name[CHECK_OBJECT_SIZE];
    uint64_t table, gate, address;
    uint8_t type;
    (void)argument;
    if (!mutator_symbol(mutator, "idt_table", &table, err)) {
        return false;
    }
    do {
        gate = mutator_draw(mutator, GATES);
        address = table + gate * GATE_SIZE + 5;
        if (!mutator_read(mutator, address, &type, 1, err)) {
            return false;
        }
    } while (type & 0x60);
    type |= 0x60;
    snprintf(name, sizeof(name), "gate %#lx", (unsigned long)gate);
    mutator_say(mutator, address, name, "%s of the IDT may be called by programs", name);
    return mutator_write(mutator, address, &type, 1, err);
}

/* The code that every process maps. */
static bool vdso_byte(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const names[] = {"vdso_image_64", "vdso64_image", NULL};
    uint64_t image, data, size;
    uint8_t byte;
    (void)argument;
    if (!mutator_any_symbol(mutator, names, &image, err) ||
        !mutator_read_u64(mutator, image, &data, err) ||
        !mutator_read_u64(mutator, image + 8, &size, err)) {
        return false;
    }
    data += mutator_draw(mutator, size);
    if (!mutator_read(mutator, data, &byte, 1, err)) {
        return false;
    }
    byte ^= (uint8_t)(1 + mutator_draw(mutator, 255));
    mutator_say(mutator, data, "", "the vDSO at %#lx: one byte is another", (unsigned long)data);
    return mutator_write(mutator, data, &byte, 1, err);
}

#define IDT MUTATION_BIT(MONATT_SUBCHECK_INTERRUPT_TABLE)
#define VDSO MUTATION_BIT(MONATT_SUBCHECK_VDSO)
const Mutation mutations_of_rodata[] = {
    {"syscall-slot", RODATA | POINTERS, true, "a slot of sys_call_table", syscall_slot},
    {"rodata-byte", RODATA, false, "a byte of the kernel's constants", rodata_byte},
    {"rodata-pointer", RODATA | POINTERS, false, "a function pointer among the constants",
     rodata_pointer},
    {"idt-gate", IDT, false, "an IDT gate leads elsewhere", idt_gate},
    {"idt-level", IDT, true, "an IDT gate that programs may call", idt_level},
    {"vdso-byte", VDSO, false, "a byte of the vDSO", vdso_byte},
    {NULL},
};
