/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-text.c - kernel code that is not the kernel's any more
 */
#include <stdio.h>
#include <string.h>
#include "tests/mutators/mutate.h"

#define CALL 0xe8
#define JUMP 0xe9
#define SHORT_JUMP 0xeb
#define INT3 0xcc
#define RETURN 0xc3
#define CODE_MAXIMUM 65536u
#define SITES_MAXIMUM 4096
#define DRAWS 20000
#define MODULE_SPACE 0xffffffffc0000000ull
static const uint8_t nop5[5] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
static const uint8_t nop5_k8[5] = {0x66, 0x66, 0x66, 0x66, 0x90}; /* 5.10 on AMD */
static const uint8_t nop2[2] = {0x66, 0x90};

static bool is_nop5(const uint8_t *code)
{
    return memcmp(code, nop5, 5) == 0 || memcmp(code, nop5_k8, 5) == 0;
}

static bool code_of(Mutator *mutator, uint64_t address, uint8_t *code, uint64_t *ret_size,
                    MonattError *err)
{
    *ret_size = mutator_symbol_size(mutator, address);
    *ret_size = *ret_size < CODE_MAXIMUM ? *ret_size : CODE_MAXIMUM;
    return mutator_read(mutator, address, code, *ret_size, err);
}

static bool write_branch(Mutator *mutator, uint64_t site, uint8_t opcode, uint64_t target,
                         MonattError *err)
{
    uint8_t bytes[5] = {opcode};
    uint32_t relative = (uint32_t)(target - (site + sizeof(bytes)));
    memcpy(bytes + 1, &relative, sizeof(relative));
    return mutator_write(mutator, site, bytes, sizeof(bytes), err);
}

static uint64_t branch_target(uint64_t site, const uint8_t *code)
{
    int32_t relative;
    memcpy(&relative, code + 1, sizeof(relative));
    return site + 5 + (uint64_t)(int64_t)relative;
}

/* Another function, or where a module of the attacker's would be loaded. */
static bool near_target(Mutator *mutator, uint64_t *ret_target, MonattError *err)
{
    uint64_t size;
    if (mutator_draw(mutator, 2) == 0) {
        *ret_target = MODULE_SPACE + mutator_draw(mutator, 1u << 20) * 16;
        return true;
    }
    return mutator_function(mutator, ret_target, &size, err);
}

static bool say_site(Mutator *mutator, uint64_t site, const char *what)
{
    char name[CHECK_OBJECT_SIZE];
    mutator_name(mutator, site, name);
    mutator_say(mutator, site, name, "%s: %s", name, what);
    return true;
}

/* FlipSwitch: the target of a call in the switch that dispatches system calls. */
static bool syscall_call(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const names[] = {"x64_sys_call", "do_syscall_64", NULL};
    static uint8_t code[CODE_MAXIMUM];
    uint64_t start, size, target, at, sites[SITES_MAXIMUM];
    size_t count = 0;

    if (!mutator_any_symbol(mutator, names, &start, err) ||
        !code_of(mutator, start, code, &size, err)) {
        return false;
    }
    for (uint64_t i = 0; i + 5 <= size && count < SITES_MAXIMUM; i++) {
        char name[KALLSYMS_NAME_MAXIMUM];
        uint64_t offset;
        if ((code[i] == CALL || code[i] == JUMP) &&
            guest_kernel_symbol_at(&mutator->kernel, branch_target(start + i, code + i), name,
                                   &offset) &&
            offset == 0 && (!argument || strcmp(name, argument) == 0)) {
            sites[count++] = i;
        }
    }
    if (count == 0) {
        return mutator_none(err, "call in its system call switch");
    }
    at = sites[mutator_draw(mutator, count)];
    return near_target(mutator, &target, err) &&
           say_site(mutator, start + at, "the call goes elsewhere") &&
           write_branch(mutator, start + at, code[at], target, err);
}

static bool flip(Mutator *mutator, uint64_t address, MonattError *err)
{
    uint8_t byte;
    if (!mutator_read(mutator, address, &byte, 1, err)) {
        return false;
    }
    byte ^= (uint8_t)(1 + mutator_draw(mutator, 255));
    return say_site(mutator, address, "one byte is another") &&
           mutator_write(mutator, address, &byte, 1, err);
}

static bool entry_byte(Mutator *mutator, const char *argument, MonattError *err)
{
    static const char *const names[] = {"entry_SYSCALL_64", "do_syscall_64", "entry_SYSCALL_compat",
                                        "asm_exc_page_fault"};
    uint64_t start;
    const char *name =
        argument ? argument : names[mutator_draw(mutator, sizeof(names) / sizeof(names[0]))];
    return mutator_symbol(mutator, name, &start, err) &&
           flip(mutator, start + mutator_draw(mutator, mutator_symbol_size(mutator, start)), err);
}

static bool text_byte(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t start, end;
    if (argument) {
        return mutator_symbol(mutator, argument, &start, err) &&
               flip(mutator, start + mutator_draw(mutator, mutator_symbol_size(mutator, start)),
                    err);
    }
    return mutator_symbol(mutator, "_stext", &start, err) &&
           mutator_symbol(mutator, "_etext", &end, err) &&
           flip(mutator, start + mutator_draw(mutator, end - start), err);
}

/* An inline hook: the first instruction jumps away. */
static bool text_jump(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t function, size, target;
    if (!(argument ? mutator_symbol(mutator, argument, &function, err)
                   : mutator_function(mutator, &function, &size, err)) ||
        !near_target(mutator, &target, err)) {
        return false;
    }
    return say_site(mutator, function, "begins with a jump") &&
           write_branch(mutator, function, JUMP, target, err);
}

/* A site of a static key that does not follow its key. */
static bool key_site(Mutator *mutator, const char *argument, MonattError *err)
{
    uint64_t start, stop, text, end;
    (void)argument;
    if (!mutator_symbol(mutator, "__start___jump_table", &start, err) ||
        !mutator_symbol(mutator, "__stop___jump_table", &stop, err) ||
        !mutator_symbol(mutator, "_stext", &text, err) ||
        !mutator_symbol(mutator, "_etext", &end, err)) {
        return false;
    }
    for (int i = 0; i < DRAWS; i++) {
        uint64_t entry = start + mutator_draw(mutator, (stop - start) / 16) * 16, site, target;
        int32_t relative[2];
        uint8_t code[5];
        if (!mutator_read(mutator, entry, relative, sizeof(relative), err)) {
            return false;
        }
        site = entry + (uint64_t)(int64_t)relative[0];
        target = entry + 4 + (uint64_t)(int64_t)relative[1];
        if (site < text || site > end - 5 ||
            !mutator_read(mutator, site, code, sizeof(code), err)) {
            continue;
        }
        say_site(mutator, site, "the site does not follow its key");
        if (is_nop5(code)) {
            return write_branch(mutator, site, JUMP, target, err);
        }
        if (code[0] == JUMP) {
            return mutator_write(mutator, site, nop5, 5, err);
        }
        if (memcmp(code, nop2, 2) == 0) {
            const uint8_t jump[2] = {SHORT_JUMP, (uint8_t)(target - site - 2)};
            return mutator_write(mutator, site, jump, 2, err);
        }
        if (code[0] == SHORT_JUMP) {
            return mutator_write(mutator, site, nop2, 2, err);
        }
    }
    return mutator_none(err, "site of a static key");
}

/* The NOP that the function tracer patches, calling what no tracer owns. */
static bool ftrace_site(Mutator *mutator, const char *argument, MonattError *err)
{
    for (int i = 0; i < DRAWS; i++) {
        uint64_t function, size, target;
        uint8_t code[16];
        if (!(argument ? mutator_symbol(mutator, argument, &function, err)
                       : mutator_function(mutator, &function, &size, err)) ||
            !mutator_read(mutator, function, code, sizeof(code), err)) {
            return false;
        }
        for (unsigned at = 0; at <= 4; at += 4) {
            if (is_nop5(code + at)) {
                return near_target(mutator, &target, err) &&
                       say_site(mutator, function + at, "a call that no tracer made") &&
                       write_branch(mutator, function + at, CALL, target, err);
            }
        }
        if (argument) {
            break;
        }
    }
    return mutator_none(err, "function that can be traced");
}

/* A legal form in a place where this boot has another: one return goes back to the thunk. */
static bool return_site(Mutator *mutator, const char *argument, MonattError *err)
{
    static uint8_t code[CODE_MAXIMUM];
    static const uint8_t patched[5] = {RETURN, INT3, INT3, INT3, INT3};
    uint64_t thunk;
    (void)argument;
    if (!mutator_symbol(mutator, "__x86_return_thunk", &thunk, err)) {
        return false;
    }
    for (int i = 0; i < DRAWS; i++) {
        uint64_t function, size;
        if (!mutator_function(mutator, &function, &size, err) ||
            !mutator_read(mutator, function, code, size, err)) {
            return false;
        }
        for (uint64_t at = 0; at + 5 <= size; at++) {
            if (memcmp(code + at, patched, sizeof(patched)) == 0) {
                return say_site(mutator, function + at, "one return is a jump to the thunk") &&
                       write_branch(mutator, function + at, JUMP, thunk, err);
            }
        }
    }
    return mutator_none(err, "return that was patched");
}

/* The trampoline of a static call. */
static bool static_call(Mutator *mutator, const char *argument, MonattError *err)
{
    const Kallsyms *table = &mutator->kernel.table;
    for (int i = 0; i < DRAWS * 20; i++) {
        const KallsymsEntry *entry = &table->entries[mutator_draw(mutator, table->count)];
        const char *name = table->text + entry->text;
        uint64_t target, size;
        uint8_t code[5];
        if (strncmp(name, "__SCT__", 7) != 0 || (argument && strcmp(name, argument) != 0) ||
            !mutator_read(mutator, entry->address, code, sizeof(code), err) || code[0] != JUMP) {
            continue;
        }
        return mutator_function(mutator, &target, &size, err) &&
               say_site(mutator, entry->address, "the static call goes elsewhere") &&
               write_branch(mutator, entry->address, JUMP, target, err);
    }
    return mutator_none(err, "trampoline of a static call");
}

#define TEXT MUTATION_BIT(MONATT_SUBCHECK_KERNEL_TEXT)
const Mutation mutations_of_text[] = {
    {"syscall-call", TEXT, false, "the target of a call in x64_sys_call (FlipSwitch)",
     syscall_call},
    {"entry-byte", TEXT, false, "a byte of the system call entry", entry_byte},
    {"text-byte", TEXT, false, "a byte of kernel text", text_byte},
    {"text-jump", TEXT, false, "a function begins with a jump", text_jump},
    {"key-site", TEXT, false, "a static key's site against its key", key_site},
    {"ftrace-site", TEXT, false, "a tracer's site calls what no tracer owns", ftrace_site},
    {"return-site", TEXT, true, "a return in another legal form", return_site},
    {"static-call", TEXT, false, "the trampoline of a static call", static_call},
    {NULL},
};
