/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tracepoints.c - the functions that are called at the kernel's tracepoints
 */
#include "host-collector/sources/introspection/checks/tracepoints.h"

#include <stdio.h>
#include "host-collector/sources/introspection/checks/layout.h"
#include "libmonatt/base/macros.h"

#define PROBES_MAXIMUM 64u /* of one tracepoint */
#define ARRAY_BYTES (1u << 20)

typedef struct TracepointLayout {
    uint32_t functions, size, code, data;
} TracepointLayout;

static const LayoutRow rows[] = {
    LAYOUT_MEMBER(TracepointLayout, functions, "tracepoint", "funcs"),
    LAYOUT_SIZE(TracepointLayout, size, "tracepoint_func"),
    LAYOUT_MEMBER(TracepointLayout, code, "tracepoint_func", "func"),
    LAYOUT_MEMBER(TracepointLayout, data, "tracepoint_func", "data"),
};

void tracepoint_name(CheckContext *context, uint64_t tracepoint, char *name, size_t capacity)
{
    uint32_t offset;
    uint64_t text;

    if (!guest_kernel_member(context->kernel, "tracepoint", "name", &offset) ||
        !address_space_u64(&context->kernel->space, tracepoint + offset, &text) ||
        !guest_kernel_string(context->kernel, text, name, capacity)) {
        snprintf(name, capacity, "?");
    }
}

static void visit_one(CheckContext *context, const TracepointLayout *layout, uint64_t tracepoint,
                      TracepointVisit visit, void *user)
{
    AddressSpace *space = &context->kernel->space;
    TracepointProbe probe = {.tracepoint = tracepoint};
    uint64_t functions;

    if (!address_space_u64(space, tracepoint + layout->functions, &functions) || functions == 0) {
        return;
    }
    for (uint64_t i = 0; i < PROBES_MAXIMUM && check_step(context); i++) {
        uint64_t at = functions + i * layout->size;
        if (!address_space_u64(space, at + layout->code, &probe.code) || probe.code == 0) {
            return;
        }
        if (address_space_u64(space, at + layout->data, &probe.data)) {
            visit(context, &probe, user);
        }
    }
}

void tracepoints_walk(CheckContext *context, TracepointVisit visit, void *user)
{
    TracepointLayout layout;
    int32_t relative[512];
    uint64_t start, end;
    char text[96];
    const char *lacks;

    layout_read(context->kernel, rows, MONATT_ARRAY_SIZE(rows), &layout);
    lacks =
        layout_lacks(rows, MONATT_ARRAY_SIZE(rows), &layout, sizeof(layout), text, sizeof(text));
    if (lacks || !guest_kernel_symbol(context->kernel, "__start___tracepoints_ptrs", &start) ||
        !guest_kernel_symbol(context->kernel, "__stop___tracepoints_ptrs", &end)) {
        check_lacks(context, lacks ? lacks : "symbol '__start___tracepoints_ptrs'");
        return;
    }
    /* Each is the distance from itself (HAVE_ARCH_PREL32_RELOCATIONS, x86 from 4.19 on). */
    while (start < end && end - start < ARRAY_BYTES) {
        uint64_t size = end - start < sizeof(relative) ? end - start : sizeof(relative);
        if (!address_space_read(&context->kernel->space, start, relative, size)) {
            check_reason(context, MONATT_REASON_TORN, "the tracepoints are not readable");
            return;
        }
        for (uint64_t i = 0; i < size / 4 && check_step(context); i++) {
            visit_one(context, &layout, start + 4 * i + (uint64_t)(int64_t)relative[i], visit,
                      user);
        }
        start += size;
    }
}
