/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-kernel.c - from VMCOREINFO to page tables, symbols and structure offsets
 *
 * Must never accept a kernel that its own tables contradict: the page tables map _stext where
 * phys_base has it, kallsyms have _stext there too, the banner bears the release, and init_task is
 * what it must be.  What merely is not there is for the views to say.
 */
#include "host-collector/sources/introspection/guest-kernel.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "host-collector/sources/introspection/walk-budget.h"
#include "libmonatt/base/text.h"

#define CANDIDATES_MAXIMUM 64 /* properties 8: a guest can write false notes; try all, bound 64 */
#define KERNEL_MAP_BASE 0xffffffff80000000ull /* __START_KERNEL_map, Documentation/arch/x86 */
#define INIT_COMMAND "swapper/0"
#define COMMAND_SIZE 16 /* TASK_COMM_LEN */
#define BANNER "Linux version "
#define BTF_CHUNK (1u << 20)
#define ALIVE_WAIT_MS 20
#define ALIVE_WAITS 50 /* one second: the longest time a tickless idle guest was seen to sleep */
#define SEARCH_WAITS (4u * ALIVE_WAITS) /* of a search: a guest can forge as many dead kernels */

/* Memory grows with what could be read; the guest's two symbols only bound it further. */
static bool copy_types(GuestKernel *kernel, uint64_t begin, size_t size, MonattError *err)
{
    for (size_t done = 0; done < size;) {
        size_t chunk = size - done < BTF_CHUNK ? size - done : BTF_CHUNK;
        void *grown = realloc(kernel->types_bytes, done + chunk);

        if (!grown) {
            return monatt_error_set(err, MONATT_ERROR_SYSTEM, "BTF: out of memory");
        }
        kernel->types_bytes = grown;
        if (!address_space_read(&kernel->space, begin + done, (char *)grown + done, chunk)) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT, "BTF is not mapped");
        }
        done += chunk;
    }
    return btf_init(&kernel->types, kernel->types_bytes, size, err);
}

static bool read_types(GuestKernel *kernel, MonattError *err)
{
    uint64_t begin, end;

    if (!guest_kernel_symbol(kernel, "__start_BTF", &begin) ||
        !guest_kernel_symbol(kernel, "__stop_BTF", &end)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "no BTF (no symbol __start_BTF)");
    }
    if (end <= begin || end - begin > BTF_SIZE_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "no BTF (odd size)");
    }
    if (!copy_types(kernel, begin, end - begin, err)) {
        free(kernel->types_bytes);
        kernel->types_bytes = NULL;
        return false;
    }
    return true;
}

static bool init_task_there(GuestKernel *kernel)
{
    char command[COMMAND_SIZE];
    uint32_t pid;
    return address_space_u32(&kernel->space, kernel->symbols.init_task + kernel->offsets.task_pid,
                             &pid) &&
           pid == 0 &&
           address_space_read(&kernel->space,
                              kernel->symbols.init_task + kernel->offsets.task_command, command,
                              sizeof(command)) &&
           strncmp(command, INIT_COMMAND, sizeof(command)) == 0;
}

/* The kernel's own text must bear the release that VMCOREINFO claims. */
static bool banner_fits(GuestKernel *kernel)
{
    char banner[sizeof(BANNER) + GUEST_KERNEL_RELEASE_SIZE];
    size_t length = strlen(kernel->release);
    uint64_t address;

    return guest_kernel_symbol(kernel, "linux_banner", &address) &&
           guest_kernel_string(kernel, address, banner, sizeof(banner)) &&
           strncmp(banner, BANNER, sizeof(BANNER) - 1) == 0 &&
           strncmp(banner + sizeof(BANNER) - 1, kernel->release, length) == 0 &&
           banner[sizeof(BANNER) - 1 + length] == ' ';
}

static void say_missing(GuestKernel *kernel, const char *why)
{
    for (unsigned view = 0; view < MONATT_VIEW_COUNT; view++) {
        monatt_text_printable(why, strlen(why), kernel->missing[view],
                              sizeof(kernel->missing[view]));
    }
}

/* What tells a kernel from a page that looks like its note. */
static bool kernel_fits(GuestKernel *kernel, MonattError *err)
{
    uint64_t address;
    bool task_known = kernel->symbols.init_task != 0 && kernel->offsets.task_command != 0;

    if (task_known && !init_task_there(kernel)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "guest kernel %s: no init_task",
                                kernel->release);
    }
    if ((!task_known || guest_kernel_symbol(kernel, "linux_banner", &address)) &&
        !banner_fits(kernel)) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "guest kernel %s: its banner does not bear this release",
                                kernel->release);
    }
    return true;
}

static bool try_candidate(GuestKernel *kernel, const GuestMemory *memory, MonattError *err)
{
    uint64_t root, physical_base, five_levels = 0, stext, physical;
    MonattError why = {0};

    if (!vmcoreinfo_text(&kernel->info, "OSRELEASE", kernel->release, sizeof(kernel->release)) ||
        !vmcoreinfo_number(&kernel->info, "SYMBOL(swapper_pg_dir)", 16, &root) ||
        !vmcoreinfo_number(&kernel->info, "SYMBOL(_stext)", 16, &stext) ||
        !vmcoreinfo_number(&kernel->info, "NUMBER(phys_base)", 10, &physical_base)) {
        return monatt_error_set(err, MONATT_ERROR_MISSING,
                                "guest kernel: VMCOREINFO lacks root, _stext or phys_base");
    }
    if (vmcoreinfo_number(&kernel->info, "NUMBER(pgtable_l5_enabled)", 10, &five_levels) &&
        five_levels > 1) {
        five_levels = 1;
    }
    address_space_init(&kernel->space, memory, root - KERNEL_MAP_BASE + physical_base,
                       five_levels ? 5 : 4);
    if (!address_space_translate(&kernel->space, stext, &physical) ||
        physical != stext - KERNEL_MAP_BASE + physical_base) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "guest kernel %s: its page tables do not map its own text",
                                kernel->release);
    }
    if (!kallsyms_load(&kernel->table, &kernel->space, &kernel->info, err)) {
        return false;
    }
    if (!read_types(kernel, &why)) {
        say_missing(kernel, why.message);
    }
    guest_kernel_lay_out(kernel);
    return kernel_fits(kernel, err);
}

/* As it was before anything was looked up with the types that go. */
static void drop_types(GuestKernel *kernel, const char *why)
{
    btf_clear(&kernel->types);
    free(kernel->types_bytes);
    kernel->types_bytes = NULL;
    memset(&kernel->types, 0, sizeof(kernel->types));
    memset(&kernel->offsets, 0, sizeof(kernel->offsets));
    memset(kernel->cache, 0, sizeof(kernel->cache));
    memset(kernel->missing, 0, sizeof(kernel->missing));
    if (why) {
        say_missing(kernel, why);
    }
}

bool guest_kernel_use_types(GuestKernel *kernel, const void *bytes, size_t size, MonattError *err)
{
    char before[GUEST_KERNEL_MISSING_SIZE];

    if (kernel->types.count > 0) {
        return true;
    }
    if (size == 0 || size > BTF_SIZE_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "reference BTF: %zu bytes", size);
    }
    memcpy(before, kernel->missing[MONATT_VIEW_LIST], sizeof(before));
    drop_types(kernel, NULL);
    kernel->types_bytes = malloc(size);
    if (!kernel->types_bytes) {
        drop_types(kernel, before);
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "reference BTF: out of memory");
    }
    memcpy(kernel->types_bytes, bytes, size);
    if (!btf_init(&kernel->types, kernel->types_bytes, size, err)) {
        drop_types(kernel, before);
        return false;
    }
    guest_kernel_lay_out(kernel);
    if (!init_task_there(kernel)) {
        drop_types(kernel, before);
        guest_kernel_lay_out(kernel);
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "reference BTF: not of the kernel that runs (%s): no init_task "
                                "where it says",
                                kernel->release);
    }
    return true;
}

/* A kernel of an earlier boot may still lie in RAM; only the running one's ticks go on. */
static bool alive(GuestKernel *kernel, WalkBudget *waits)
{
    uint64_t before = guest_kernel_jiffies(kernel);
    const struct timespec wait = {.tv_nsec = ALIVE_WAIT_MS * 1000000L};

    for (int i = 0; i < ALIVE_WAITS; i++) {
        if (guest_kernel_jiffies(kernel) != before) {
            return true;
        }
        if (!walk_budget_take(waits, 1)) {
            return false;
        }
        nanosleep(&wait, NULL);
    }
    return false;
}

/* other fits as well as kernel does; leaves the running one in kernel and nothing in other. */
static bool choose_alive(GuestKernel *kernel, GuestKernel *other, WalkBudget *waits,
                         MonattError *err)
{
    bool first_alive = alive(kernel, waits), second_alive = alive(other, waits);

    if (waits->exhausted) {
        guest_kernel_clear(other);
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "guest kernel: too many fit and do not run (%s is one)",
                                kernel->release);
    }

    if (first_alive == second_alive) {
        monatt_error_set(err, MONATT_ERROR_FORMAT,
                         "guest kernel: two fit (%s, %s) and %s of them run", kernel->release,
                         other->release, first_alive ? "both" : "none");
        guest_kernel_clear(other);
        return false;
    }
    if (second_alive) {
        guest_kernel_clear(kernel);
        *kernel = *other;
        memset(other, 0, sizeof(*other));
    }
    guest_kernel_clear(other);
    return true;
}

void guest_kernel_clear(GuestKernel *kernel)
{
    kallsyms_clear(&kernel->table);
    btf_clear(&kernel->types);
    free(kernel->types_bytes);
    memset(kernel, 0, sizeof(*kernel));
}

/* The kernel keeps the text twice: for itself and as an ELF note. */
static bool same_note(const GuestKernel *kernel, const Vmcoreinfo *info)
{
    return strcmp(info->text, kernel->info.text) == 0;
}

static bool find_kernel(GuestKernel *kernel, GuestKernel *candidate, const GuestMemory *memory,
                        MonattError *err)
{
    uint64_t address = 0;
    bool found = false;
    MonattError why = {0};
    WalkBudget waits = {.steps = SEARCH_WAITS};

    monatt_error_set(&why, MONATT_ERROR_MISSING,
                     "guest kernel: no VMCOREINFO in guest RAM (no Linux, or not booted yet)");
    for (int i = 0; i < CANDIDATES_MAXIMUM; i++) {
        guest_kernel_clear(candidate);
        if (!vmcoreinfo_find(memory, &address, &candidate->info)) {
            break;
        }
        if (found && same_note(kernel, &candidate->info)) {
            continue;
        }
        candidate->note_address = address - GUEST_PAGE_SIZE;
        if (!try_candidate(candidate, memory, &why)) {
            continue;
        }
        if (found) {
            if (!choose_alive(kernel, candidate, &waits, err)) {
                return false;
            }
        } else {
            *kernel = *candidate;
            memset(candidate, 0, sizeof(*candidate));
            found = true;
        }
    }
    if (!found && err) {
        *err = why;
        err->code = MONATT_ERROR_MISSING;
    }
    return found;
}

bool guest_kernel_find(GuestKernel *kernel, const GuestMemory *memory, MonattError *err)
{
    GuestKernel *candidate MONATT_CLEANUP_FREE = calloc(1, sizeof(*candidate));
    bool found;

    guest_kernel_clear(kernel);
    if (!candidate) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "guest kernel: out of memory");
    }
    found = find_kernel(kernel, candidate, memory, err);
    guest_kernel_clear(candidate);
    if (!found) {
        guest_kernel_clear(kernel);
    }
    return found;
}

bool guest_kernel_check(GuestKernel *kernel)
{
    Vmcoreinfo *now MONATT_CLEANUP_FREE = malloc(sizeof(*now));

    address_space_forget(&kernel->space);
    return now && vmcoreinfo_read(kernel->space.memory, kernel->note_address, now) &&
           same_note(kernel, now) && kernel_fits(kernel, NULL);
}

uint64_t guest_kernel_jiffies(GuestKernel *kernel)
{
    uint64_t value = 0;
    if (kernel->symbols.jiffies == 0 ||
        !address_space_u64(&kernel->space, kernel->symbols.jiffies, &value)) {
        return 0;
    }
    return value;
}

uint64_t guest_kernel_forks(GuestKernel *kernel)
{
    uint64_t value = 0;
    if (kernel->symbols.total_forks == 0 ||
        !address_space_u64(&kernel->space, kernel->symbols.total_forks, &value)) {
        return 0;
    }
    return value;
}

bool guest_kernel_is_running(GuestKernel *kernel, bool unknown)
{
    int64_t running;
    uint64_t address;
    uint32_t now;

    if (!guest_kernel_enumerator(kernel, "SYSTEM_RUNNING", &running) ||
        !guest_kernel_symbol(kernel, "system_state", &address) ||
        !address_space_u32(&kernel->space, address, &now)) {
        return unknown;
    }
    return (int64_t)now >= running;
}

uint64_t guest_kernel_lock(GuestKernel *kernel, uint64_t mutex)
{
    uint32_t offset;

    /* With PREEMPT_RT one lies in another lock. */
    return mutex != 0 && (guest_kernel_member(kernel, "mutex", "owner", &offset) ||
                          guest_kernel_member(kernel, "mutex", "rtmutex.owner", &offset))
               ? mutex + offset
               : 0;
}

uint64_t guest_kernel_lock_owner(GuestKernel *kernel, uint64_t lock)
{
    uint64_t owner;
    return lock != 0 && address_space_u64(&kernel->space, lock, &owner) ? owner & ~GUEST_LOCK_FLAGS
                                                                        : 0;
}
