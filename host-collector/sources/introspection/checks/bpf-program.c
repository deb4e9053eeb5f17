/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf-program.c - what a BPF program may do, and its name that no boot changes
 *
 * The digest is SHA-256 over the translated instructions (prog->insnsi, what "bpftool prog dump
 * xlated" shows) without what differs between two loads of one program: addresses of maps, of their
 * values and of the kernel's types and variables are left out, calls count by the called function's
 * name.  The kernel's own tag is over the instructions as they were given, and SHA-1 or SHA-256 by
 * version.  What runs is the machine code, which this does not look at.
 */
#include "host-collector/sources/introspection/checks/bpf-check.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include "libmonatt/base/macros.h"

#define LENGTH_MAXIMUM (1u << 20) /* instructions: the verifier looks at a million */
#define CHUNK 512u
#define INSTRUCTIONS_A_STEP 16u /* that are hashed for one step of the budget */
/* include/uapi/linux/bpf.h */
#define CODE_LOAD_64 0x18u
#define CODE_CALL 0x85u
#define CALL_HELPER 0u
#define CALL_PROGRAM 1u
#define KERNEL_FIRST 0xff00000000000000ull /* with five levels of page tables */
#define KERNEL_LAST 0xffffffffff000000ull  /* what is above is a small negative number */

typedef struct Instruction {
    uint8_t code;
    uint8_t registers; /* dst, src << 4 */
    int16_t offset;
    int32_t value;
} Instruction;

static const struct {
    const char *function;
    uint32_t power;
} helpers[] = {
    {"bpf_probe_write_user", BPF_POWER_USER_MEMORY}, {"bpf_override_return", BPF_POWER_RETURN},
    {"bpf_send_signal", BPF_POWER_SIGNAL},           {"bpf_send_signal_thread", BPF_POWER_SIGNAL},
    {"bpf_send_signal_task", BPF_POWER_SIGNAL},
};

static void hash_call(CheckContext *context, const BpfCheck *check, BpfProgram *program,
                      Instruction *instruction, struct sha256_ctx *hash)
{
    uint64_t target = check->call_base + (uint64_t)(int64_t)instruction->value, offset;
    char name[KALLSYMS_NAME_MAXIMUM] = "";

    if (instruction->registers >> 4 != CALL_PROGRAM && check->call_base != 0 &&
        check_step(context) && /* a program may be nothing but calls */
        guest_kernel_symbol_at(context->kernel, target, name, &offset) && offset == 0) {
        for (size_t i = 0; i < MONATT_ARRAY_SIZE(helpers); i++) {
            if (strcmp(name, helpers[i].function) == 0) {
                program->power |= helpers[i].power;
            }
        }
        sha256_update(hash, strlen(name), (const uint8_t *)name);
    }
    instruction->value = 0;
}

/* pair: in and out, the first half of a 64-bit constant that was the last of its chunk. */
static void hash_chunk(CheckContext *context, const BpfCheck *check, BpfProgram *program,
                       Instruction *instructions, uint32_t count, Instruction *pair, bool *is_pair,
                       struct sha256_ctx *hash)
{
    for (uint32_t i = 0; i < count; i++) {
        Instruction *at = &instructions[i];
        if (*is_pair) {
            uint64_t value = (uint64_t)(uint32_t)at->value << 32 | (uint32_t)pair->value;
            if (value >= KERNEL_FIRST && value < KERNEL_LAST) {
                pair->value = at->value = 0;
            }
            sha256_update(hash, sizeof(*pair), (const uint8_t *)pair);
            *is_pair = false;
        } else if (at->code == CODE_LOAD_64) {
            *pair = *at;
            *is_pair = true;
            continue;
        } else if (at->code == CODE_CALL) {
            hash_call(context, check, program, at, hash);
        }
        sha256_update(hash, sizeof(*at), (const uint8_t *)at);
    }
}

void bpf_look_into(CheckContext *context, BpfCheck *check, BpfProgram *program)
{
    Instruction instructions[CHUNK], pair = {0};
    GuestKernel *kernel = context->kernel;
    uint32_t word_at, shift, width, word;
    struct sha256_ctx hash;
    bool is_pair = false;

    sha256_init(&hash);
    program->power = bpf_power_of_type(program->type, program->attach_type);
    program->has_digest = program->length <= LENGTH_MAXIMUM;
    for (uint32_t done = 0; done < program->length && program->has_digest; done += CHUNK) {
        uint32_t count = program->length - done < CHUNK ? program->length - done : CHUNK;
        if (!walk_budget_take(&context->budget, 1 + count / INSTRUCTIONS_A_STEP) ||
            !address_space_read(&kernel->space,
                                program->address + check->layout.program_instructions + 8ull * done,
                                instructions, 8ull * count)) {
            program->has_digest = false;
            break;
        }
        hash_chunk(context, check, program, instructions, count, &pair, &is_pair, &hash);
    }
    sha256_digest(&hash, sizeof(program->digest), program->digest);
    if (!program->has_digest) {
        check_reason(context, MONATT_REASON_TORN, "the instructions of program %u are not readable",
                     program->id);
    }
    if (guest_kernel_bits(kernel, "bpf_prog", "blinded", &word_at, &shift, &width) &&
        address_space_u32(&kernel->space, program->address + word_at, &word)) {
        program->blinded = word >> shift & 1;
    }
    if (guest_kernel_bits(kernel, "bpf_prog", "kprobe_override", &word_at, &shift, &width) &&
        address_space_u32(&kernel->space, program->address + word_at, &word) &&
        (word >> shift & 1)) {
        program->power |= BPF_POWER_RETURN;
    }
}

void bpf_power_text(uint32_t power, char *text, size_t capacity)
{
    static const char *const names[] = {"user memory", "return", "packets", "signal", "confine"};
    size_t used = 0;

    snprintf(text, capacity, "observe");
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names) && used < capacity; i++) {
        if (power >> i & 1) {
            used +=
                (size_t)snprintf(text + used, capacity - used, "%s%s", used ? "+" : "", names[i]);
        }
    }
}
