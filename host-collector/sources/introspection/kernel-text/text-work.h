/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * text-work.h - one look at the kernel's text: what was built, what is there, what explains it
 *
 * "Explain or alarm" (properties 2.1): a working copy of the guest's text is undone site by site,
 * by the tables of the measured kernel.  A site whose bytes are one of its legal values, in
 * agreement with its key, record or feature bit, is put back to what was built; what still differs
 * at the end is nobody's.  The order matters, as sites overlap: first what may change at any time,
 * then what is patched at boot, alternatives last.
 *
 * The tables come from the image and never from guest memory; the guest only says what is chosen.
 */
#ifndef MONATT_INTROSPECTION_TEXT_WORK_H
#define MONATT_INTROSPECTION_TEXT_WORK_H

#include <nettle/sha2.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check.h"

#define TEXT_REGISTERS 16
#define TEXT_THUNK_KINDS 3
#define TEXT_OPERATIONS 256 /* ftrace_ops that are looked at */
#define TEXT_TORN 8
#define TEXT_CAPABILITIES 40  /* 32-bit words of cpuinfo_x86.x86_capability */
#define TEXT_SITE_MAXIMUM 255 /* bytes of an alternative: its length is a byte */

typedef enum TextMechanism {
    TEXT_JUMP_LABELS = 1,
    TEXT_STATIC_CALLS,
    TEXT_TRAMPOLINES, /* of static calls */
    TEXT_FTRACE,
    TEXT_FTRACE_CALLS, /* within ftrace's own callers */
    TEXT_KPROBES,
    TEXT_LOCKS,
    TEXT_PARAVIRT,
    TEXT_RETPOLINES,
    TEXT_RETURNS,
    TEXT_CALLS,   /* call depth: into the padding */
    TEXT_PADDING, /* call depth: in front of functions */
    TEXT_ENDBR,
    TEXT_RUNTIME,
    TEXT_ALTERNATIVES,
    TEXT_MECHANISMS,
} TextMechanism;

/* Addresses of the image's symbols and values of the guest's, read once a pass. */
typedef struct TextInputs {
    uint64_t thunks[TEXT_THUNK_KINDS][TEXT_REGISTERS]; /* __x86_indirect_…thunk_REG */
    uint64_t return_thunk;                             /* what the guest's x86_return_thunk holds */
    uint64_t its_return_thunk;
    uint64_t call_depth_return_thunk;
    uint64_t built_return_thunk; /* __x86_return_thunk */
    uint64_t return0;            /* __static_call_return0 */
    uint64_t warn_trap;          /* __WARN_trap */
    uint64_t paravirt_operations;
    uint64_t key_lock;      /* owner of the mutex under which keys and their sites are switched */
    uint64_t call_lock;     /* the same of static calls; 0: not known */
    uint64_t poke_lock;     /* the same of text_mutex: held while any text is patched */
    uint64_t call_template; /* skl_call_thunk_template; 0: no call depth tracking in it */
    uint32_t call_template_size;
    uint32_t capabilities[TEXT_CAPABILITIES];
    bool has_capabilities;
    size_t operation_count;
    struct {
        uint64_t trampoline;
        uint64_t function;
    } operations[TEXT_OPERATIONS];
} TextInputs;

/* What the image's tables are, once a boot. */
typedef struct TextPlan {
    struct TextTrampoline {
        uint64_t address;
        uint64_t key; /* of its __SCK__; 0: it has none */
    } * trampolines;
    size_t trampoline_count;
    uint64_t *returns; /* ascending: where return sites begin */
    size_t return_count;
    uint64_t *retpolines;
    size_t retpoline_count;
    uint64_t *functions; /* ascending: where symbols of text begin */
    size_t function_count;
    uint64_t *traced; /* where tracers may be called; NULL: the image's own table says so */
    size_t traced_count;
} TextPlan;
/* False: out of memory; plan is to be cleared all the same. */
bool text_plan_make(TextPlan *plan, const KernelImage *image) MONATT_MUST_CHECK;
/* Of an image without that table, which a kernel frees after its boot: from the guest's records
 * of its functions.  What cannot be read is left out.  False: out of memory. */
bool text_plan_read_traced(TextPlan *plan, CheckContext *context) MONATT_MUST_CHECK;
void text_plan_clear(TextPlan *plan);

typedef struct TextWork {
    CheckContext *context;
    const KernelImage *image;
    const TextPlan *plan;
    TextInputs inputs;
    uint64_t low; /* _stext as the guest has it */
    size_t size;
    const uint8_t *built;
    uint8_t *work; /* the guest's text, undone as far as it is explained */
    uint8_t
        *done; /* bytes that an any-time site has explained: boot-time sites there are skipped */
    uint32_t sites[TEXT_MECHANISMS];
    uint32_t changed[TEXT_MECHANISMS];
    uint32_t disagreements;
    uint32_t moving;           /* sites of static keys and calls that were being patched */
    uint64_t torn[TEXT_TORN];  /* the first of them */
    uint32_t waits;            /* of 1 ms, for keys and calls that were being switched */
    uint32_t traced;           /* functions that call a tracer */
    struct sha256_ctx choices; /* of the boot-time sites: offset, mechanism, variant */
} TextWork;

static inline bool text_has(const TextWork *work, uint64_t address, size_t size)
{
    uint64_t offset = address - work->low;
    return offset <= work->size && size <= work->size - offset;
}
/* Only where text_has(). */
static inline const uint8_t *text_now(const TextWork *work, uint64_t address)
{
    return work->work + (address - work->low);
}
static inline const uint8_t *text_built(const TextWork *work, uint64_t address)
{
    return work->built + (address - work->low);
}
/* Whether an any-time site has explained these bytes already. */
static inline bool text_is_done(const TextWork *work, uint64_t address)
{
    return work->done && work->done[address - work->low];
}
/* The site is explained: it goes back to what was built.  variant: which legal value it had. */
void text_explain(TextWork *work, TextMechanism mechanism, uint64_t address, size_t size,
                  uint8_t variant);
/* The site is being patched: the look is torn. */
void text_moves(TextWork *work, uint64_t address);
/* A legal value in the wrong place: explained as far as bytes go, and a finding. */
void text_disagree(TextWork *work, TextMechanism mechanism, CheckSeverity severity,
                   uint64_t address, size_t size, const char *expected, const char *why);
const char *text_mechanism_name(TextMechanism mechanism);

/* Code as bytes. */
static inline int32_t text_s32(const uint8_t *bytes)
{
    int32_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}
static inline uint64_t text_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}
/* Where a relative jump or call leads: its 32-bit distance stands at bytes[at], code at address. */
static inline uint64_t text_target(uint64_t address, const uint8_t *bytes, unsigned at)
{
    return address + at + 4 + (uint64_t)(int64_t)text_s32(bytes + at);
}
bool text_is_nop(const uint8_t *bytes, size_t size);    /* one instruction of exactly this size */
bool text_is_filler(const uint8_t *bytes, size_t size); /* NOPs, jumps over INT3, INT3 */
bool text_is_all(const uint8_t *bytes, size_t size, uint8_t value);

/* A table of the image: entries of size bytes between two symbols, or a section. */
typedef struct TextTable {
    uint64_t address;
    const uint8_t *bytes;
    size_t size;
} TextTable;
bool text_table_by_symbols(const TextWork *work, const char *start, const char *stop,
                           TextTable *ret_table) MONATT_MUST_CHECK;
bool text_table_by_section(const TextWork *work, const char *name,
                           TextTable *ret_table) MONATT_MUST_CHECK;
/* Entry i of a table of relative 32-bit places. */
static inline uint64_t text_table_place(const TextTable *table, size_t i)
{
    return table->address + 4 * i + (uint64_t)(int64_t)text_s32(table->bytes + 4 * i);
}

/* Reads what the guest has chosen; what cannot be read leaves zeros, and sites that need it differ.
 */
void text_inputs_read(TextWork *work);
/* Adds the tracers that are registered now, and those that are being taken out: their trampolines
 * are called until the kernel has put all NOPs back.  What they run is judged by the check of
 * ftrace, in both lists.  Before and after the text is copied: a site that was patched meanwhile
 * has its tracer in one of the two. */
void text_operations_read(TextWork *work);
static inline bool text_has_feature(const TextWork *work, unsigned feature)
{
    return feature / 32 < TEXT_CAPABILITIES &&
           (work->inputs.capabilities[feature / 32] >> feature % 32 & 1);
}
/* Whether target is function, or its entry for call depth tracking. */
static inline bool text_is_entry(const TextWork *work, uint64_t target, uint64_t function)
{
    return function != 0 &&
           (target == function || target == function - work->inputs.call_template_size);
}

void text_explain_any_time(TextWork *work); /* text-any-time.c, text-tracing.c */
void text_explain_tracing(TextWork *work);
void text_explain_kprobes(TextWork *work);
void text_explain_boot(TextWork *work);         /* text-boot.c */
void text_explain_returns(TextWork *work);      /* text-branches.c */
void text_explain_retpolines(TextWork *work);   /* text-branches.c */
void text_explain_alternatives(TextWork *work); /* text-alternatives.c */
/* Whether found, code at address, is a legal form of the return or retpoline that was built so. */
bool text_return_fits(const TextWork *work, uint64_t address, const uint8_t *built,
                      const uint8_t *found, uint8_t *ret_variant) MONATT_MUST_CHECK;
bool text_retpoline_fits(const TextWork *work, uint64_t address, const uint8_t *built, size_t size,
                         const uint8_t *found, uint8_t *ret_variant) MONATT_MUST_CHECK;
/* Bytes that a retpoline site takes. */
size_t text_retpoline_size(const uint8_t *built);

#endif
