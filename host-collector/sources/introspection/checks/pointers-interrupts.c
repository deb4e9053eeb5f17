/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers-interrupts.c - what runs when a device interrupts
 *
 * Every struct irq_desc: the function that takes the interrupt (handle_irq), the operations of the
 * chips on its way, and the handlers of the drivers (struct irqaction) with their threads.  The
 * descriptors are in an XArray (irq_desc_tree), from Linux 6.5 on in a maple tree (sparse_irqs).
 */
#include "host-collector/sources/introspection/checks/pointers.h"

#include <stdio.h>
#include "host-collector/sources/introspection/checks/maple-walk.h"
#include "host-collector/sources/introspection/xarray-walk.h"
#include "libmonatt/base/macros.h"

#define INTERRUPTS 16384u
#define ACTIONS 64u /* that share one interrupt */
#define CHIPS 8u    /* one behind the other */
#define NAME_SIZE 25

typedef struct InterruptLayout {
    uint32_t data, number, chip, parent, handle, action;
    uint32_t handler, thread, next, secondary, name;
} InterruptLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(InterruptLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(data, "irq_desc", "irq_data"),     MEMBER(number, "irq_data", "irq"),
    MEMBER(chip, "irq_data", "chip"),         MEMBER(parent, "irq_data", "parent_data"),
    MEMBER(handle, "irq_desc", "handle_irq"), MEMBER(action, "irq_desc", "action"),
    MEMBER(handler, "irqaction", "handler"),  MEMBER(thread, "irqaction", "thread_fn"),
    MEMBER(next, "irqaction", "next"),        MEMBER(secondary, "irqaction", "secondary"),
    MEMBER(name, "irqaction", "name"),
};

typedef struct InterruptWalk {
    CheckContext *context;
    PointersCheck *check;
    InterruptLayout layout;
    const PointerForm *chip;
    uint32_t count;
    uint64_t descriptors[INTERRUPTS];
} InterruptWalk;

static MonattReason keep(InterruptWalk *walk, uint64_t descriptor)
{
    if (walk->count == INTERRUPTS) {
        return MONATT_REASON_BUDGET;
    }
    walk->descriptors[walk->count++] = descriptor;
    return MONATT_REASON_NONE;
}

static MonattReason keep_indexed(void *user, uint64_t index, uint64_t descriptor)
{
    (void)index;
    return keep(user, descriptor);
}

static void keep_entry(void *user, uint64_t descriptor)
{
    if (keep(user, descriptor) != MONATT_REASON_NONE) {
        check_reason(((InterruptWalk *)user)->context, MONATT_REASON_BUDGET,
                     "more than %u interrupts", INTERRUPTS);
    }
}

static void judge_function(InterruptWalk *walk, const char *place, uint64_t at)
{
    uint64_t function;

    if (address_space_u64(&walk->context->kernel->space, at, &function)) {
        pointers_judge(walk->context, walk->check, "interrupt", place, at, function, POINTER_OWN);
    } else {
        check_reason(walk->context, MONATT_REASON_TORN, "interrupt %s is not readable", place);
    }
}

static void judge_action(InterruptWalk *walk, uint32_t number, uint64_t action)
{
    AddressSpace *space = &walk->context->kernel->space;
    const InterruptLayout *layout = &walk->layout;
    char name[NAME_SIZE] = "?", place[POINTER_PLACE_SIZE];
    uint64_t text;

    if (!address_space_u64(space, action + layout->name, &text) ||
        !guest_kernel_string(walk->context->kernel, text, name, sizeof(name))) {
        snprintf(name, sizeof(name), "?");
    }
    snprintf(place, sizeof(place), "%u %s.handler", number, name);
    judge_function(walk, place, action + layout->handler);
    snprintf(place, sizeof(place), "%u %s.thread_fn", number, name);
    judge_function(walk, place, action + layout->thread);
}

static void judge_actions(InterruptWalk *walk, uint32_t number, uint64_t action)
{
    AddressSpace *space = &walk->context->kernel->space;

    for (uint32_t i = 0; action != 0; i++) {
        uint64_t secondary, next;

        if (i == ACTIONS || !check_step(walk->context)) {
            check_reason(walk->context, MONATT_REASON_BUDGET,
                         "interrupt %u has more than %u handlers", number, ACTIONS);
            return;
        }
        if (!address_space_u64(space, action + walk->layout.next, &next) ||
            !address_space_u64(space, action + walk->layout.secondary, &secondary)) {
            check_reason(walk->context, MONATT_REASON_TORN,
                         "the handlers of interrupt %u are not readable whole", number);
            return;
        }
        judge_action(walk, number, action);
        if (secondary != 0) {
            judge_action(walk, number, secondary);
        }
        action = next;
    }
}

static void judge_chips(InterruptWalk *walk, uint32_t number, uint64_t data)
{
    AddressSpace *space = &walk->context->kernel->space;
    char place[POINTER_PLACE_SIZE];

    snprintf(place, sizeof(place), "chip of %u", number);
    for (uint32_t i = 0; data != 0 && i < CHIPS; i++) {
        uint64_t chip;

        if (!address_space_u64(space, data + walk->layout.chip, &chip) ||
            !address_space_u64(space, data + walk->layout.parent, &data)) {
            check_reason(walk->context, MONATT_REASON_TORN,
                         "the chips of interrupt %u are not readable", number);
            return;
        }
        pointers_judge_table(walk->context, walk->check, "interrupt", place, chip, walk->chip,
                             POINTER_OWN);
    }
}

static void judge(InterruptWalk *walk, uint64_t descriptor)
{
    AddressSpace *space = &walk->context->kernel->space;
    uint64_t data = descriptor + walk->layout.data, action;
    char place[POINTER_PLACE_SIZE];
    uint32_t number;

    if (!address_space_u32(space, data + walk->layout.number, &number) ||
        !address_space_u64(space, descriptor + walk->layout.action, &action)) {
        check_reason(walk->context, MONATT_REASON_TORN, "an interrupt is not readable");
        return;
    }
    snprintf(place, sizeof(place), "%u.handle_irq", number);
    judge_function(walk, place, descriptor + walk->layout.handle);
    judge_chips(walk, number, data);
    judge_actions(walk, number, action);
}

void pointers_read_interrupts(CheckContext *context, PointersCheck *check)
{
    static InterruptWalk walk; /* large; checks run one after the other */
    GuestKernel *kernel = context->kernel;
    MonattReason reason = MONATT_REASON_TORN;
    uint64_t tree, root;
    uint32_t head = 0;
    bool indexed;
    char lacks[96];

    walk.context = context;
    walk.check = check;
    layout_read(kernel, rows, MONATT_ARRAY_SIZE(rows), &walk.layout);
    walk.chip = pointers_form(context, check, "irq_chip");
    if (layout_lacks(rows, MONATT_ARRAY_SIZE(rows), &walk.layout, sizeof(walk.layout), lacks,
                     sizeof(lacks)) ||
        !walk.chip) {
        check_lacks(context, walk.chip ? lacks : "irq_chip");
        return;
    }
    indexed = guest_kernel_symbol(kernel, "irq_desc_tree", &tree);
    if (!indexed && !guest_kernel_symbol(kernel, "sparse_irqs", &tree)) {
        check_lacks(context, "symbol 'irq_desc_tree' or 'sparse_irqs'");
        return;
    }
    if (indexed && !guest_kernel_member(kernel, "xarray", "xa_head", &head)) {
        check_lacks(context, "xarray.xa_head");
        return;
    }
    for (int i = 0; i < POINTER_TRIES && reason == MONATT_REASON_TORN; i++) {
        walk.count = 0;
        if (!indexed) {
            reason = maple_walk(context, tree, keep_entry, &walk);
        } else if (address_space_u64(&kernel->space, tree + head, &root)) {
            reason = xarray_walk(kernel, root, &context->budget, keep_indexed, &walk);
        }
    }
    if (reason != MONATT_REASON_NONE) {
        check_reason(context, reason, "the interrupts are not readable whole");
    }
    for (uint32_t i = 0; i < walk.count && check_step(context); i++) {
        judge(&walk, walk.descriptors[i]);
    }
    check_count(context, "interrupts", walk.count);
}
