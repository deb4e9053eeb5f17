/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ftrace-records.c - every function that calls a tracer has one in the list
 *
 * A record (struct dyn_ftrace) of each function that can be traced counts how many want its calls,
 * and says whether one of them may send them elsewhere.  More than the list has for it means one
 * that is not in the list.  Fewer is normal: filters without a name are not looked into.
 */
#include "host-collector/sources/introspection/checks/ftrace.h"

#include <stdio.h>
#include <string.h>

#define CHUNK_BYTES 4096u
#define PAGES_MAXIMUM 65536u
#define RECORDS_MAXIMUM 1048576u /* of one page of records; a kernel has some 50,000 */
#define RECORD_SIZE_MAXIMUM 64u

/* How many of the sorted list are less than address. */
static uint32_t less_than(const uint64_t *list, uint32_t count, uint64_t address)
{
    uint32_t low = 0, high = count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list[middle] < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* How often address is in the sorted list: a guest may fill it with one address. */
static uint32_t occurrences(const uint64_t *list, uint32_t count, uint64_t address)
{
    uint32_t above = address == UINT64_MAX ? count : less_than(list, count, address + 1);
    return above - less_than(list, count, address);
}

static void look_at(CheckContext *context, const FtraceCheck *check, uint64_t address,
                    uint64_t flags)
{
    uint32_t wanted = (uint32_t)flags & check->count_mask;
    uint32_t listed = check->all_count + occurrences(check->covered, check->covered_count, address);
    bool redirected = (flags & check->record_modify) != 0;
    char place[CHECK_OBJECT_SIZE], object[CHECK_OBJECT_SIZE], expected[40], observed[40];

    if (wanted <= listed &&
        (!redirected || occurrences(check->modified, check->modified_count, address) > 0)) {
        return;
    }
    check_name_address(context, address, place);
    snprintf(object, sizeof(object), "traced %.50s", place);
    snprintf(expected, sizeof(expected), "%u in the list of tracers", listed);
    snprintf(observed, sizeof(observed), "%u%s", wanted, redirected ? ", one may redirect" : "");
    check_found(context, CHECK_COMPROMISED, address, object, expected, observed, "",
                "%s is traced by one that is not in the list of tracers", place);
}

static bool read_page(CheckContext *context, const FtraceCheck *check, uint64_t records,
                      uint32_t count, uint64_t *traced)
{
    const FtraceLayout *layout = &check->layout;
    uint8_t chunk[CHUNK_BYTES];
    uint32_t each = CHUNK_BYTES / layout->record_size;

    for (uint32_t done = 0; done < count; done += each) {
        uint32_t size = count - done < each ? count - done : each;
        if (!check_step(context) ||
            !address_space_read(&context->kernel->space,
                                records + (uint64_t)done * layout->record_size, chunk,
                                (size_t)size * layout->record_size)) {
            return false;
        }
        for (uint32_t i = 0; i < size; i++) {
            uint64_t address, flags;
            memcpy(&flags, chunk + (size_t)i * layout->record_size + layout->record_flags,
                   sizeof(flags));
            if ((flags & (check->count_mask | check->record_modify)) == 0) {
                continue;
            }
            memcpy(&address, chunk + (size_t)i * layout->record_size + layout->record_address,
                   sizeof(address));
            if (!check_step(context)) {
                return false;
            }
            look_at(context, check, address, flags);
            (*traced)++;
        }
    }
    return true;
}

void ftrace_read_records(CheckContext *context, FtraceCheck *check)
{
    const FtraceLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t head, page, records, traced = 0, all = 0;
    uint32_t count;

    if (!guest_kernel_symbol(context->kernel, "ftrace_pages_start", &head) ||
        !layout_has(layout->page_next) || !layout_has(layout->page_records) ||
        !layout_has(layout->page_count) || !layout_has(layout->record_size) ||
        !layout_has(layout->record_address) || !layout_has(layout->record_flags) ||
        layout->record_size < 16 || layout->record_size > RECORD_SIZE_MAXIMUM ||
        layout->record_address > layout->record_size - 8 ||
        layout->record_flags > layout->record_size - 8 || check->count_mask == 0) {
        check_lacks(context, "ftrace_pages_start and struct dyn_ftrace");
        return;
    }
    if (!check->whole) {
        return; /* what was not read is not missing */
    }
    if (!address_space_u64(space, head, &page)) {
        check_reason(context, MONATT_REASON_TORN, "ftrace_pages_start is not readable");
        return;
    }
    for (uint32_t pages = 0; page != 0; pages++) {
        if (pages == PAGES_MAXIMUM || !check_step(context)) {
            check_reason(context, MONATT_REASON_BUDGET, "more than %u pages of records",
                         PAGES_MAXIMUM);
            break;
        }
        if (!address_space_u64(space, page + layout->page_records, &records) ||
            !address_space_u32(space, page + layout->page_count, &count) ||
            count > RECORDS_MAXIMUM || !read_page(context, check, records, count, &traced) ||
            !address_space_u64(space, page + layout->page_next, &page)) {
            check_reason(context, MONATT_REASON_TORN, "the records of functions are not readable");
            break;
        }
        all += count;
    }
    check_count(context, "functions", all);
    check_count(context, "traced", traced);
}
