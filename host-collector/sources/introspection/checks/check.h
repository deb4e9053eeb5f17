/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check.h - one look at one kind of thing that runtime-integrity is about, and what it may say
 *
 * A check reads guest memory and says three things: what it counted, why it could not see the
 * whole (a reason: the verdict is then unknown), and what it found.  It judges nothing else: it
 * keeps no history of sightings, waits for nothing and never calls the guest healthy.  What may be
 * a race (a module in the middle of its load, text that is being poked) is reported like anything
 * else: check-runner.c makes a finding of what it sees again and again while the guest goes on.
 *
 * The guest is hostile: every loop takes steps from the context's budget, nothing is allocated by
 * a size that the guest gives, and what a check shows of the guest is bounded and printable.
 */
#ifndef MONATT_INTROSPECTION_CHECK_H
#define MONATT_INTROSPECTION_CHECK_H

#include "host-collector/sources/introspection/checks/check-report.h"
#include "host-collector/sources/introspection/checks/owner.h"
#include "host-collector/sources/introspection/checks/table.h"
#include "host-collector/sources/introspection/guest-kernel.h"
#include "host-collector/sources/introspection/kernel-image/kernel-image.h"
#include "host-collector/sources/introspection/walk-budget.h"
#include "libmonatt/formats/vcpu-registers.h"

/* Steps of a check's budget in one pass: its reads of guest structures. */
#define CHECK_STEPS 4000000u

/* One vCPU's registers, as the host's monitor shows them (never as the guest does). */
typedef MonattVcpuRegisters CheckVcpu;

/* What comes from the host and not from guest memory; each part may be missing. */
typedef struct CheckInputs {
    const uint8_t *image; /* the kernel file that startup-integrity measured, or NULL */
    size_t image_size;
    const uint8_t *btf; /* a reference BTF given by the operator, or NULL */
    size_t btf_size;
    const CheckVcpu *vcpus; /* count 0: QEMU could not be asked */
    uint32_t vcpu_count;
    uint32_t reading; /* which reading of the registers these are; 0: not told */
} CheckInputs;

/* What several checks need of the measured kernel; made when the first one asks, once a boot. */
typedef struct CheckReference {
    bool tried;
    bool good;
    bool other;                /* the guest runs another kernel than the measured one */
    char why[CHECK_TEXT_SIZE]; /* it could not be laid out */
    KernelImage image;
    bool has_first; /* no kernel was measured, and this is what was found first */
    char first_why[CHECK_TEXT_SIZE];
    KernelImage first;
    bool compared; /* the guest's symbols and types, as they were read, with the image's */
    bool other_symbols, other_types;
} CheckReference;

typedef struct Check Check;
typedef struct CheckTasks CheckTasks;

typedef struct CheckContext {
    const Check *check;
    GuestKernel *kernel; /* kernel->space, kernel->space.memory */
    const CheckInputs *inputs;
    CheckReference *reference; /* of this boot: check_image() */
    const Owners *owners;      /* of this pass; NULL only while owners are read */
    CheckTasks *tasks;         /* of this pass (check-tasks.h) */
    WalkBudget budget;
    void **state;  /* the check's own between passes over one boot; *state is NULL at first */
    Table *table;  /* where rows for people go; NULL: nobody wants them */
    Table *tables; /* one for each of table_forms, or NULL: see check_table_named() */
    CheckResult *result;
    CheckSightings *sightings;
} CheckContext;

struct Check {
    uint16_t id;       /* MONATT_SUBCHECK_: part of the record format, never used twice */
    const char *name;  /* "kernel-text": as the policy and the command line call it */
    const char *table; /* name of the table that its rows belong to, or NULL (table.h) */
    void (*run)(CheckContext *context);
    void (*clear)(void *state); /* frees what run() left in *state; NULL: there is none */
    const char *also;           /* a second table that it fills by check_table_named(), or NULL */
};

/* All of them; ends with NULL (check-table.c: one line a check). */
extern const Check *const check_table[];
/* NULL: no check has that number or name. */
const Check *check_by_id(uint16_t id);
const Check *check_by_name(const char *name);

/* What a check says.  Text is printf's; what of it came from the guest is made printable here. */

/* Not all that was wanted could be read: the first reason of a run stays. */
void check_reason(CheckContext *context, MonattReason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* reason UNSUPPORTED, because this kernel has no such symbol or member: "no symbol 'x'". */
void check_lacks(CheckContext *context, const char *what);
/* A figure for records and people, at most CHECK_COUNTERS a check; what: a literal, "modules". */
void check_count(CheckContext *context, const char *what, uint64_t value);
/* The measured kernel as this guest has it; NULL: none was given (why: ""), or it is not this
 * guest's kernel.  Says nothing into the result: that is for the check. */
const KernelImage *check_image(CheckContext *context, const char **ret_why);
/* The same, or else, where no kernel was measured, what was found at the first look: *ret_first.
 * NULL: *ret_why is never "". */
const KernelImage *check_image_or_first_look(CheckContext *context, bool *ret_first,
                                             const char **ret_why);
/* What must be equal between two looks, or two guests: kept in the record (SHA-256). */
void check_digest(CheckContext *context, const uint8_t digest[MONATT_SHA256_SIZE]);
/* Seen now. Bounded: more than the report keeps are counted. */
void check_find(CheckContext *context, const CheckFinding *finding);
/* As above with the usual parts; object, expected and observed may hold guest text. */
void check_found(CheckContext *context, CheckSeverity severity, uint64_t address,
                 const char *object, const char *expected, const char *observed, const char *owner,
                 const char *format, ...) __attribute__((format(printf, 8, 9)));
/* Which thing at this place the last finding is: where a healthy kernel makes and frees the like of
 * it all the time, sightings of two generations are not of one thing that lasts.  A place where it
 * never stays the same stays open, and the verdict is unknown.  0 where this is not said. */
void check_generation(CheckContext *context, uint64_t generation);
/* "do_syscall_64+0x2c", "[name]+0x10" (a module's) or the bare number. */
void check_name_address(CheckContext *context, uint64_t address, char ret[CHECK_OBJECT_SIZE]);
/* "[name]" of a module, else the kind and the name. */
void check_owner_text(const Owner *owner, char ret[CHECK_OBJECT_SIZE]);
/* Another table than the check's own; NULL: nobody wants it. */
Table *check_table_named(const CheckContext *context, const char *name);
/* False, and reason BUDGET: the walk is over. */
bool check_step(CheckContext *context) MONATT_MUST_CHECK;

#endif
