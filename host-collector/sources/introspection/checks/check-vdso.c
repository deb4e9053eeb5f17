/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-vdso.c - the code that the kernel puts into every process
 *
 * The images (arch/x86/entry/vdso) are compared with the measured kernel's, or, without one, with
 * what they were when they were first seen; the kernel changes them once, at the sites of its
 * alternatives, while it boots.  Each process shares the image's own pages: one that has other
 * bytes there runs other code at every call of gettimeofday().
 *
 * Must never call a first look a comparison: without a measured kernel the counters say so.
 */
#include "host-collector/sources/introspection/checks/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/check-tasks.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "libmonatt/base/macros.h"

#define IMAGE_SIZE_MAXIMUM (4u * GUEST_PAGE_SIZE) /* the 64-bit one has two pages */
#define IMAGES 3u
#define PROCESSES 256u /* looked at in one pass, others in the next */
#define ALTERNATIVES 256u
#define ALTERNATIVE_SIZE 32u

/* The names of one image, older first: until 6.17, and since. */
static const char *const names[IMAGES][2] = {
    {"vdso_image_64", "vdso64_image"},
    {"vdso_image_x32", "vdsox32_image"},
    {"vdso_image_32", "vdso32_image"},
};

typedef struct VdsoLayout {
    uint32_t data, size, sites, sites_size;
    uint32_t memory, place, image;                /* task_struct.mm, mm_struct.context.* */
    uint32_t site_size, site_offset, site_length; /* struct alt_instr; may be missing */
} VdsoLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(VdsoLayout, field, structure, path)
static const LayoutRow layout_rows[] = {
    MEMBER(data, "vdso_image", "data"),
    MEMBER(size, "vdso_image", "size"),
    MEMBER(sites, "vdso_image", "alt"),
    MEMBER(sites_size, "vdso_image", "alt_len"),
    MEMBER(memory, "task_struct", "mm"),
    MEMBER(place, "mm_struct", "context.vdso"),
    MEMBER(image, "mm_struct", "context.vdso_image"),
    LAYOUT_SIZE(VdsoLayout, site_size, "alt_instr"),
    MEMBER(site_offset, "alt_instr", "instr_offset"),
    MEMBER(site_length, "alt_instr", "instrlen"),
};

typedef struct Image {
    uint64_t address; /* of the struct vdso_image; 0: this kernel has none */
    uint64_t data;
    uint32_t size;
    uint64_t sites, sites_size;
    uint8_t bytes[IMAGE_SIZE_MAXIMUM]; /* of this pass */
    bool first_seen;
    uint8_t first[IMAGE_SIZE_MAXIMUM];
} Image;

typedef struct VdsoCheck {
    VdsoLayout layout;
    Image images[IMAGES];
    uint32_t next; /* process of the scan where the next pass begins */
    AddressSpace user;
} VdsoCheck;

/* False and a reason: there is one that cannot be read. */
static bool read_image(CheckContext *context, const VdsoLayout *layout, size_t index, Image *image)
{
    AddressSpace *space = &context->kernel->space;
    uint64_t size;

    image->address = 0;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(names[index]); i++) {
        if (guest_kernel_symbol(context->kernel, names[index][i], &image->address)) {
            break;
        }
        image->address = 0;
    }
    if (image->address == 0) {
        return true;
    }
    if (!address_space_u64(space, image->address + layout->data, &image->data) ||
        !address_space_u64(space, image->address + layout->size, &size) || size == 0 ||
        size > IMAGE_SIZE_MAXIMUM || size % GUEST_PAGE_SIZE != 0 ||
        !address_space_u64(space, image->address + layout->sites, &image->sites) ||
        !address_space_u64(space, image->address + layout->sites_size, &image->sites_size) ||
        !address_space_read(space, image->data, image->bytes, size)) {
        check_reason(context, MONATT_REASON_TORN, "%s is not readable", names[index][0]);
        image->address = 0;
        return false;
    }
    image->size = (uint32_t)size;
    return true;
}

/* Marks in free[] the bytes that alternatives may have changed, by the measured image's table. */
static void mark_sites(const VdsoLayout *layout, const Image *image, const uint8_t *reference,
                       bool free[IMAGE_SIZE_MAXIMUM])
{
    uint64_t size = layout->site_size;

    memset(free, 0, IMAGE_SIZE_MAXIMUM);
    if (!layout_has(layout->site_size) || !layout_has(layout->site_offset) ||
        !layout_has(layout->site_length) || size < 8 || size > ALTERNATIVE_SIZE ||
        layout->site_offset > size - 4 || layout->site_length > size - 1 ||
        image->sites_size > image->size || image->sites > image->size - image->sites_size) {
        return;
    }
    for (uint64_t i = 0; i < ALTERNATIVES && (i + 1) * size <= image->sites_size; i++) {
        uint64_t at = image->sites + i * size, site;
        int32_t distance;
        uint8_t length = reference[at + layout->site_length];

        memcpy(&distance, reference + at + layout->site_offset, sizeof(distance));
        site = at + layout->site_offset + (uint64_t)(int64_t)distance;
        for (uint64_t k = 0; k < length && site < image->size && k < image->size - site; k++) {
            free[site + k] = true;
        }
    }
}

static void find_change(CheckContext *context, const char *name, const Image *image, uint32_t at,
                        const uint8_t *expected, const char *against)
{
    char object[CHECK_OBJECT_SIZE], was[CHECK_VALUE_SIZE], is[CHECK_VALUE_SIZE];

    snprintf(object, sizeof(object), "%s+%#x", name, at);
    snprintf(was, sizeof(was), "%#04x", expected[at]);
    snprintf(is, sizeof(is), "%#04x", image->bytes[at]);
    check_found(context, CHECK_COMPROMISED, image->data + at, object, was, is, "",
                "the vDSO that every process runs differs from %s at %s", against, object);
}

static void judge_image(CheckContext *context, const VdsoCheck *check, const char *name,
                        Image *image)
{
    bool free[IMAGE_SIZE_MAXIMUM];
    const char *why;
    const KernelImage *kernel = check_image(context, &why);
    const uint8_t *reference = kernel ? kernel_image_at(kernel, image->data, image->size) : NULL;

    check_count(context, "images", 1);
    if (reference) {
        check_count(context, "compared", 1);
        mark_sites(&check->layout, image, reference, free);
        for (uint32_t i = 0; i < image->size; i++) {
            if (image->bytes[i] != reference[i] && !free[i]) {
                find_change(context, name, image, i, reference, "the measured kernel's");
                return;
            }
        }
    }
    /* The alternatives are through before the first process runs. */
    if (!image->first_seen) {
        memcpy(image->first, image->bytes, image->size);
        image->first_seen = true;
    }
    for (uint32_t i = 0; i < image->size; i++) {
        if (image->bytes[i] != image->first[i]) {
            find_change(context, name, image, i, image->first, "what it was at the first look");
            return;
        }
    }
}

static void find_process(CheckContext *context, const GuestTask *task, uint64_t address,
                         const char *expected, const char *observed, const char *why)
{
    CheckFinding finding = {.severity = CHECK_COMPROMISED,
                            .address = address,
                            .pid = task->pid,
                            .start_ns = task->start_ns};

    snprintf(finding.object, sizeof(finding.object), "vDSO of process %u (%s)", task->pid,
             task->command);
    snprintf(finding.expected, sizeof(finding.expected), "%s", expected);
    snprintf(finding.observed, sizeof(finding.observed), "%s", observed);
    snprintf(finding.owner, sizeof(finding.owner), "%s", task->command);
    snprintf(finding.text, sizeof(finding.text), "process %u (%s) %s", task->pid, task->command,
             why);
    check_find(context, &finding);
}

/* The image's pages by the process's own tables; one that was never touched is not mapped yet. */
static void judge_pages(CheckContext *context, VdsoCheck *check, const GuestTask *task,
                        const Image *image, uint64_t place)
{
    uint8_t bytes[GUEST_PAGE_SIZE];

    for (uint32_t at = 0; at < image->size; at += GUEST_PAGE_SIZE) {
        uint64_t is, wanted;
        char observed[CHECK_VALUE_SIZE];

        if (!address_space_translate(&check->user, place + at, &is) ||
            !address_space_translate(&context->kernel->space, image->data + at, &wanted) ||
            is == wanted) {
            continue;
        }
        if (guest_memory_copy(context->kernel->space.memory, is & ~(uint64_t)(GUEST_PAGE_SIZE - 1),
                              bytes, sizeof(bytes)) &&
            memcmp(bytes, image->bytes + at, sizeof(bytes)) != 0) {
            snprintf(observed, sizeof(observed), "another page at %#lx",
                     (unsigned long)(place + at));
            find_process(context, task, place + at, "the kernel's page", observed,
                         "has other code where the kernel's vDSO ought to be");
        }
    }
}

static void judge_process(CheckContext *context, VdsoCheck *check, const GuestTask *task)
{
    const VdsoLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t memory, place, used, root, physical;
    const Image *image = NULL;
    char observed[CHECK_VALUE_SIZE];

    if (!address_space_u64(space, task->address + layout->memory, &memory) || memory == 0 ||
        !address_space_u64(space, memory + layout->place, &place) ||
        !address_space_u64(space, memory + layout->image, &used) || place == 0 || used == 0) {
        return; /* none, or it ended */
    }
    check_count(context, "processes", 1);
    for (size_t i = 0; i < IMAGES; i++) {
        if (check->images[i].address != 0 && check->images[i].address == used) {
            image = &check->images[i];
        }
    }
    if (!image) {
        snprintf(observed, sizeof(observed), "%#lx", (unsigned long)used);
        find_process(context, task, memory + layout->image, "an image of the kernel's", observed,
                     "has a vDSO that is none of the kernel's");
        return;
    }
    if (context->kernel->offsets.mm_root == 0 ||
        !address_space_u64(space, memory + context->kernel->offsets.mm_root, &root) ||
        !address_space_translate(space, root, &physical)) {
        check_reason(context, MONATT_REASON_TORN, "the page tables of process %u are not readable",
                     task->pid);
        return;
    }
    address_space_init(&check->user, space->memory, physical, space->levels);
    judge_pages(context, check, task, image, place);
}

static void judge_processes(CheckContext *context, VdsoCheck *check)
{
    const TaskScan *scan = check_tasks(context, false);
    uint32_t judged = 0;

    if (!scan || scan->table.count == 0) {
        return;
    }
    for (uint32_t i = 0; i < scan->table.count && judged < PROCESSES && check_step(context); i++) {
        const GuestTask *task = &scan->table.tasks[(check->next + i) % scan->table.count];
        if (guest_task_is_leader(task) && !task->kernel_thread && task->settled) {
            judge_process(context, check, task);
            judged++;
        }
    }
    /* What fits is looked at from the same place each time, so that sightings can repeat. */
    if (judged == PROCESSES && context->sightings->count == 0) {
        check->next = (check->next + PROCESSES) % scan->table.count;
    }
}

static void run(CheckContext *context)
{
    VdsoCheck *check = *context->state;
    char lacks[96];
    bool any = false;

    if (!check) {
        check = calloc(1, sizeof(*check));
        if (!check) {
            check_reason(context, MONATT_REASON_BUDGET, "out of memory");
            return;
        }
        *context->state = check;
        layout_read(context->kernel, layout_rows, MONATT_ARRAY_SIZE(layout_rows), &check->layout);
    }
    if (layout_lacks(layout_rows, MONATT_ARRAY_SIZE(layout_rows), &check->layout,
                     offsetof(VdsoLayout, site_size), lacks, sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    for (size_t i = 0; i < IMAGES; i++) {
        if (!read_image(context, &check->layout, i, &check->images[i])) {
            return;
        }
        if (check->images[i].address != 0) {
            judge_image(context, check, names[i][0], &check->images[i]);
            any = true;
        }
    }
    if (!any) {
        check_lacks(context, "symbol 'vdso_image_64' or 'vdso64_image'");
        return;
    }
    judge_processes(context, check);
}

const Check check_vdso = {MONATT_SUBCHECK_VDSO, "vdso", NULL, run, free};
