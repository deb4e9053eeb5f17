/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-kernel-text.c - kernel text against the measured kernel: explain or alarm (properties 2.1)
 *
 * What a healthy kernel patches at any time is explained anew in every pass.  What it patched at
 * boot is explained once: the text that was found then, less the any-time sites, is kept, and as
 * long as it stays the same byte for byte there is nothing to explain.  Without a measured kernel
 * the reference is what was found first, and the result says so (first-look.h).
 */
#include <time.h>
#include <stdio.h>
#include <stdlib.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/kernel-text/text-work.h"
#include "libmonatt/base/text.h"

#define TEXT_MAXIMUM (64u * 1024 * 1024)
#define RANGES_MAXIMUM 48 /* of unexplained bytes; more are counted */
#define RANGE_JOIN 4      /* bytes between two differences that make one of them */
#define SHOWN_MAXIMUM 16  /* bytes of a range */
#define TRIES 5           /* looks at text in which a static key is being switched, 1 ms apart */
#define PPM 1000000ull

typedef struct TextState {
    TextPlan plan;
    uint8_t *work;    /* size bytes each */
    uint8_t *settled; /* all explained, less the any-time sites; only while valid */
    uint8_t *done;
    size_t size;
    bool valid;
    bool first;                      /* the reference is the first look */
    uint32_t sites[TEXT_MECHANISMS]; /* of the boot-time ones, when they were explained */
    uint32_t changed[TEXT_MECHANISMS];
    uint8_t choices[MONATT_SHA256_SIZE];
} TextState;

static void clear(void *pointer)
{
    TextState *state = pointer;
    text_plan_clear(&state->plan);
    free(state->work);
    free(state->settled);
    free(state->done);
    free(state);
}

static TextState *make_state(CheckContext *context, const KernelImage *image, bool first,
                             size_t size)
{
    TextState *state = *context->state;

    if (state && state->size == size && state->first == first) {
        return state;
    }
    if (state) {
        clear(state);
    }
    *context->state = state = calloc(1, sizeof(*state));
    if (!state) {
        return NULL;
    }
    state->size = size;
    state->first = first;
    state->work = malloc(size);
    state->settled = malloc(size);
    state->done = malloc(size);
    if (!state->work || !state->settled || !state->done || !text_plan_make(&state->plan, image) ||
        (first && !text_plan_read_traced(&state->plan, context))) {
        clear(state);
        *context->state = state = NULL;
    }
    return state;
}

/* Where a call or jump leads whose displacement the bytes at address are, as was built and now. */
static bool name_branch(const TextWork *work, uint64_t address, char built[CHECK_OBJECT_SIZE],
                        char now[CHECK_OBJECT_SIZE])
{
    for (unsigned back = 1; back <= 4; back++) {
        uint64_t at = address - back;
        const uint8_t *from, *to;

        if (!text_has(work, at, 5)) {
            continue;
        }
        from = text_built(work, at);
        to = text_now(work, at);
        if (from[0] == to[0] && (from[0] == 0xe8 || from[0] == 0xe9) &&
            text_has(work, text_target(at, from, 1), 1)) {
            check_name_address(work->context, text_target(at, from, 1), built);
            check_name_address(work->context, text_target(at, to, 1), now);
            return true;
        }
    }
    return false;
}

static void find_range(TextWork *work, uint64_t address, size_t size)
{
    size_t shown = size < SHOWN_MAXIMUM ? size : SHOWN_MAXIMUM;
    char object[CHECK_OBJECT_SIZE], from[CHECK_OBJECT_SIZE], to[CHECK_OBJECT_SIZE];
    char expected[CHECK_VALUE_SIZE], observed[CHECK_VALUE_SIZE];

    check_name_address(work->context, address, object);
    monatt_text_from_bytes(text_built(work, address), shown, expected);
    monatt_text_from_bytes(text_now(work, address), shown, observed);
    if (name_branch(work, address, from, to)) {
        check_found(work->context, CHECK_COMPROMISED, address, object, expected, observed, "",
                    "kernel text leads to %.60s instead of %.60s", to, from);
    } else {
        check_found(work->context, CHECK_COMPROMISED, address, object, expected, observed, "",
                    "%zu bytes of kernel text differ and no table of the kernel explains them",
                    size);
    }
}

/* What is left, by runs; the number of bytes. */
static size_t find_unexplained(TextWork *work)
{
    size_t total = 0, ranges = 0, at = 0;

    while (at < work->size) {
        size_t end, last;

        if (work->size - at >= GUEST_PAGE_SIZE &&
            memcmp(work->work + at, work->built + at, GUEST_PAGE_SIZE) == 0) {
            at += GUEST_PAGE_SIZE;
            continue;
        }
        if (work->work[at] == work->built[at]) {
            at++;
            continue;
        }
        for (end = at, last = at; end < work->size && end - last <= RANGE_JOIN; end++) {
            if (work->work[end] != work->built[end]) {
                last = end;
                total++;
            }
        }
        if (ranges++ < RANGES_MAXIMUM) {
            find_range(work, work->low + at, last + 1 - at);
        }
        at = last + 1;
    }
    if (ranges > RANGES_MAXIMUM) {
        check_count(work->context, "ranges not shown", ranges - RANGES_MAXIMUM);
    }
    return total;
}

static void begin(TextWork *work, TextState *state, bool boot)
{
    memset(work->sites, 0, sizeof(work->sites));
    memset(work->changed, 0, sizeof(work->changed));
    work->disagreements = work->traced = work->moving = work->waits = 0;
    work->done = boot ? state->done : NULL;
    if (boot) {
        memset(state->done, 0, state->size);
    }
    sha256_init(&work->choices);
}

static bool read_text(TextWork *work)
{
    text_operations_read(work);
    if (address_space_read(&work->context->kernel->space, work->low, work->work, work->size)) {
        text_operations_read(work);
        return true;
    }
    check_reason(work->context, MONATT_REASON_TORN, "kernel text is not mapped");
    return false;
}

/* Everything, boot-time sites too; the number of bytes that stay unexplained. */
static size_t explain_all(TextWork *work, TextState *state)
{
    size_t unexplained;

    begin(work, state, true);
    text_explain_any_time(work);
    memcpy(state->settled, work->work, work->size);
    if (!state->first) {
        text_explain_boot(work);
    }
    unexplained = find_unexplained(work);
    sha256_digest(&work->choices, sizeof(state->choices), state->choices);
    memcpy(state->sites, work->sites, sizeof(state->sites));
    memcpy(state->changed, work->changed, sizeof(state->changed));
    state->valid = unexplained == 0 && work->disagreements == 0 && work->moving == 0 &&
                   work->context->result->reason == MONATT_REASON_NONE;
    return unexplained;
}

static void count(TextWork *work, const TextState *state, size_t unexplained)
{
    uint64_t sites = 0, changed = 0, running = 0;

    for (size_t i = TEXT_LOCKS; i < TEXT_MECHANISMS; i++) {
        sites += state->sites[i];
        changed += state->changed[i];
    }
    for (size_t i = 1; i < TEXT_LOCKS; i++) {
        running += work->sites[i];
    }
    check_count(work->context, state->first ? "first look" : "reference", 1);
    check_count(work->context, "bytes", work->size);
    check_count(work->context, "boot-time sites", sites);
    check_count(work->context, "boot-time changed", changed);
    check_count(work->context, "any-time sites", running);
    check_count(work->context, "static keys on", work->changed[TEXT_JUMP_LABELS]);
    check_count(work->context, "traced functions", work->traced);
    check_count(work->context, "kprobes", work->changed[TEXT_KPROBES]);
    check_count(work->context, "disagreements", work->disagreements);
    check_count(work->context, "unexplained bytes", unexplained);
    check_count(work->context, "explained ppm", PPM - unexplained * PPM / work->size);
    check_digest(work->context, state->choices);
}

/* One look at all of it; false: a reason was said. */
static bool look(TextWork *work, TextState *state, size_t *ret_unexplained)
{
    CheckContext *context = work->context;

    *ret_unexplained = 0;
    work->inputs.operation_count = 0;
    context->sightings->count = context->sightings->beyond = 0;
    if (!read_text(work)) {
        return false;
    }
    begin(work, state, false);
    if (state->valid) {
        text_explain_any_time(work);
    }
    if (!state->valid || memcmp(work->work, state->settled, work->size) != 0) {
        /* Said again by the whole look, which begins anew. */
        context->sightings->count = context->sightings->beyond = 0;
        if (!read_text(work)) {
            return false;
        }
        *ret_unexplained = explain_all(work, state);
    }
    return true;
}

static uint64_t word_at(const TextWork *work, uint64_t address)
{
    uint64_t word;
    return address && address_space_u64(&work->context->kernel->space, address, &word) ? word : 0;
}

/*
 * Sites that were between two states in all looks of this pass.  A patch takes microseconds, so a
 * site with the same bytes, under locks with the same holders, in looks 100 ms apart is left so:
 * who froze it, or holds a lock for ever, makes no more than this finding of it.
 */
static void find_torn(TextWork *work)
{
    const uint64_t mix = 0x9e3779b97f4a7c15ull; /* 2^64 by the golden ratio, odd */

    for (uint32_t i = 0; i < work->moving && i < TEXT_TORN; i++) {
        uint64_t before = word_at(work, work->torn[i]);
        uint64_t poke = word_at(work, work->inputs.poke_lock);
        uint64_t holders = (word_at(work, work->inputs.key_lock) * mix ^ poke) * mix ^
                           word_at(work, work->inputs.call_lock);
        bool left = (before & 0xff) == 0xcc && work->inputs.poke_lock != 0 && poke == 0;
        char object[CHECK_OBJECT_SIZE], observed[CHECK_VALUE_SIZE];
        if (before != word_at(work, work->torn[i])) {
            continue; /* it goes on */
        }
        check_name_address(work->context, work->torn[i], object);
        monatt_text_from_bytes((const uint8_t *)&before, 5, observed);
        check_found(work->context, left ? CHECK_COMPROMISED : CHECK_DEGRADED, work->torn[i], object,
                    "a site that is patched within microseconds", observed, "", "%s",
                    left ? "a site of kernel text is left at a breakpoint and nobody patches text"
                         : "a site of kernel text stays between two states under a held lock");
        check_generation(work->context, (before * mix ^ holders) | 1);
    }
}

static void compare(CheckContext *context, const KernelImage *image, bool first)
{
    TextWork *work MONATT_CLEANUP_FREE = calloc(1, sizeof(*work));
    TextState *state;
    const struct timespec pause = {.tv_nsec = 1000000};
    size_t unexplained = 0;
    uint64_t end;

    if (!work || !kernel_image_symbol(image, "_stext", &work->low) ||
        !kernel_image_symbol(image, "_etext", &end) || end <= work->low ||
        end - work->low > TEXT_MAXIMUM) {
        check_lacks(context, "symbols '_stext' and '_etext' in its image");
        return;
    }
    work->size = end - work->low;
    work->built = kernel_image_at(image, work->low, work->size);
    state = make_state(context, image, first, work->size);
    if (!work->built || !state) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory for kernel text");
        return;
    }
    work->context = context;
    work->image = image;
    work->plan = &state->plan;
    work->work = state->work;
    text_inputs_read(work);
    if (!work->inputs.has_capabilities) {
        check_lacks(context, "feature bits (boot_cpu_data)");
    }
    for (int tries = 0;; tries++) {
        if (!look(work, state, &unexplained)) {
            return;
        }
        if (work->moving == 0 || tries == TRIES) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (work->moving > 0) {
        check_reason(context, MONATT_REASON_TORN,
                     "%u sites of static keys or calls are being patched", work->moving);
        find_torn(work);
    }
    count(work, state, unexplained);
}

static void run(CheckContext *context)
{
    const char *why;
    const KernelImage *image;
    bool first;

    /* Where that is not known, what differs says so itself. */
    if (!guest_kernel_is_running(context->kernel, true)) {
        check_reason(context, MONATT_REASON_UNSUPPORTED, "the kernel is still booting");
        return;
    }
    image = check_image_or_first_look(context, &first, &why);
    if (!image) {
        check_count(context, "reference", 0);
        check_reason(context, MONATT_REASON_UNSUPPORTED, "%s", why);
        return;
    }
    compare(context, image, first);
    if (first) {
        check_found(context, CHECK_DEGRADED, 0, "reference", "a measured kernel", "the first look",
                    "", "no kernel was measured: its text is compared with what it was at first");
    }
}

const Check check_kernel_text = {MONATT_SUBCHECK_KERNEL_TEXT, "kernel-text", NULL, run, clear};
