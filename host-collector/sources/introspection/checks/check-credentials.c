/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-credentials.c - rights that a process cannot have got by the kernel's own ways
 *
 * kernel/cred.c: credentials are made by copying, changed before they are committed and never
 * after; only threads of one process share them; a fork copies.  Root is gained by an exec of a
 * set-uid program or from CAP_SETUID or a saved uid 0, and by nothing else.
 *
 * The objective credentials (real_cred) are judged: the subjective ones are lent to a task for a
 * while (override_creds: overlayfs, firmware, nfsd), which is no gain.  Must never take a task that
 * is being made or is ending for one that has gained anything.
 */
#include "host-collector/sources/introspection/checks/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/check-tasks.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/task-kind.h"
#include "libmonatt/base/macros.h"

#define TASKS                                                                                      \
    8192u /* remembered from pass to pass (a power of two); more are judged as they are            \
           */
#define CRED_SIZE 512u
#define SET_UID (1ull << 7)   /* CAP_SETUID */
#define FULL_CAPABILITIES 38u /* from CAP_CHOWN to CAP_AUDIT_READ: what 5.10 and later all have */
#define SLAB_ORDERS 4u        /* a slab of credentials has at most 1 << 3 pages */
#define DIRECT_MAP_SIZE (1ull << 46)

typedef struct CredentialsLayout {
    uint32_t size, uid, suid, euid, fsuid, permitted, effective, ambient, namespace;
    uint32_t task_real, task_cred, task_memory, exec; /* exec: self_exec_id */
    uint32_t securebits;
} CredentialsLayout;
#define MEMBER(field, structure, path) LAYOUT_MEMBER(CredentialsLayout, field, structure, path)
static const LayoutRow layout_rows[] = {
    LAYOUT_SIZE(CredentialsLayout, size, "cred"),
    MEMBER(uid, "cred", "uid"),
    MEMBER(suid, "cred", "suid"),
    MEMBER(euid, "cred", "euid"),
    MEMBER(fsuid, "cred", "fsuid"),
    MEMBER(permitted, "cred", "cap_permitted"),
    MEMBER(effective, "cred", "cap_effective"),
    MEMBER(ambient, "cred", "cap_ambient"),
    MEMBER(namespace, "cred", "user_ns"),
    MEMBER(securebits, "cred", "securebits"),
    MEMBER(task_real, "task_struct", "real_cred"),
    MEMBER(task_cred, "task_struct", "cred"),
    MEMBER(task_memory, "task_struct", "mm"),
    MEMBER(exec, "task_struct", "self_exec_id"),
};

/* What one task had. */
typedef struct Holder {
    uint64_t task, start; /* 0: a free place */
    uint64_t exec, memory, permitted, namespace;
    bool plain; /* nothing that it could become root by, but an exec */
    bool risen; /* it did all the same: that stays */
} Holder;

typedef struct Holders {
    Holder items[TASKS];
    uint32_t count;
} Holders;

/* One object of credentials in this pass. */
typedef struct Seen {
    uint64_t cred; /* 0: a free place */
    uint32_t tgid;
} Seen;

/* Where a uid's user is: not all that is judged needs it. */
typedef struct UserLayout {
    uint32_t user, uid;
} UserLayout;
static const LayoutRow user_rows[] = {
    LAYOUT_MEMBER(UserLayout, user, "cred", "user"),
    LAYOUT_MEMBER(UserLayout, uid, "user_struct", "uid"),
};

typedef struct CredentialsCheck {
    CredentialsLayout layout;
    TaskKindLayout kinds;
    UserLayout kept;
    bool usable;
    Holders *before, *now; /* of the last pass, of this one */
    Seen seen[TASKS];
    uint32_t seen_count;
    uint64_t init_cred, init_namespace, cache; /* cred_jar's kmem_cache; 0: not known */
    uint64_t direct, pages;                    /* where the direct map and struct page begin */
} CredentialsCheck;

typedef struct Credentials {
    uint32_t uid, suid, euid, fsuid, securebits;
    uint64_t permitted, effective, ambient, namespace;
} Credentials;

static uint64_t word_at(const uint8_t *bytes, uint32_t offset)
{
    uint64_t word;
    memcpy(&word, bytes + offset, sizeof(word));
    return word;
}

static bool read_credentials(CheckContext *context, const CredentialsLayout *layout,
                             uint64_t address, Credentials *ret)
{
    uint8_t bytes[CRED_SIZE];

    if (!address_space_read(&context->kernel->space, address, bytes, layout->size)) {
        return false;
    }
    *ret = (Credentials){.uid = (uint32_t)word_at(bytes, layout->uid),
                         .suid = (uint32_t)word_at(bytes, layout->suid),
                         .euid = (uint32_t)word_at(bytes, layout->euid),
                         .fsuid = (uint32_t)word_at(bytes, layout->fsuid),
                         .securebits = (uint32_t)word_at(bytes, layout->securebits),
                         .permitted = word_at(bytes, layout->permitted),
                         .effective = word_at(bytes, layout->effective),
                         .ambient = word_at(bytes, layout->ambient),
                         .namespace = word_at(bytes, layout->namespace)};
    return true;
}

static bool has_root(const Credentials *credentials)
{
    return credentials->uid == 0 || credentials->suid == 0 || credentials->euid == 0 ||
           credentials->fsuid == 0;
}

static void find(CheckContext *context, CheckSeverity severity, const GuestTask *task,
                 uint64_t address, const char *expected, const char *observed, const char *why)
{
    CheckFinding finding = {.severity = (uint8_t)severity,
                            .address = address,
                            .pid = task->pid,
                            .start_ns = task->start_ns};

    snprintf(finding.object, sizeof(finding.object), "process %u (%s)", task->pid, task->command);
    snprintf(finding.expected, sizeof(finding.expected), "%s", expected);
    snprintf(finding.observed, sizeof(finding.observed), "%s", observed);
    snprintf(finding.owner, sizeof(finding.owner), "%s", task->command);
    snprintf(finding.text, sizeof(finding.text), "process %u (%s) %s", task->pid, task->command,
             why);
    check_find(context, &finding);
}

static Holder *place_of(Holders *holders, uint64_t task, uint64_t start)
{
    uint32_t slot = (uint32_t)(task >> 6 ^ task >> 19 ^ start) & (TASKS - 1);

    for (uint32_t i = 0; i < TASKS; i++, slot = (slot + 1) & (TASKS - 1)) {
        Holder *holder = &holders->items[slot];
        if (holder->task == 0 || (holder->task == task && holder->start == start)) {
            return holder;
        }
    }
    return NULL;
}

/* Whether a process without root or CAP_SETUID has more than it had, and no exec gave it that. */
static void judge_rise(CheckContext *context, CredentialsCheck *check, const GuestTask *task,
                       Holder *now, const Credentials *credentials)
{
    const Holder *before = place_of(check->before, now->task, now->start);
    char observed[CHECK_VALUE_SIZE];

    if (!before || before->task == 0) {
        return;
    }
    now->risen = before->risen && before->exec == now->exec;
    if (!now->risen && before->plain && before->exec == now->exec &&
        before->memory == now->memory && before->namespace == now->namespace &&
        (has_root(credentials) || (now->permitted & ~before->permitted) != 0)) {
        now->risen = true;
    }
    if (now->risen) {
        snprintf(observed, sizeof(observed), "uid %u, euid %u, capabilities %#lx", credentials->uid,
                 credentials->euid, (unsigned long)credentials->permitted);
        find(context, CHECK_COMPROMISED, task, now->task, "what it had, or less", observed,
             "gained rights without an exec and without the right to do so");
        now->plain = false;
    }
}

/* In the allocator's own pages for credentials; the heads of larger slabs are tried too. */
static bool is_in_slab(CheckContext *context, const CredentialsCheck *check, uint64_t cred)
{
    const KernelOffsets *offsets = &context->kernel->offsets;
    uint64_t frame, cache;

    if (cred < check->direct || cred - check->direct >= DIRECT_MAP_SIZE) {
        return false;
    }
    frame = (cred - check->direct) / GUEST_PAGE_SIZE;
    for (uint32_t order = 0; order < SLAB_ORDERS; order++) {
        uint64_t head = frame & ~((1ull << order) - 1);
        if (address_space_u64(&context->kernel->space,
                              check->pages + head * offsets->page_size + offsets->slab_cache,
                              &cache) &&
            cache == check->cache) {
            return true;
        }
    }
    return false;
}

/* Lent credentials that are another process's own: none of the kernel's loans lasts. */
static void judge_loan(CheckContext *context, const CredentialsCheck *check, const GuestTask *task,
                       uint64_t cred)
{
    uint32_t slot = (uint32_t)(cred >> 5 ^ cred >> 18) & (TASKS - 1);
    char observed[CHECK_VALUE_SIZE];

    for (uint32_t i = 0; i < TASKS && check->seen[slot].cred != 0; i++) {
        if (check->seen[slot].cred == cred && check->seen[slot].tgid != task->tgid) {
            snprintf(observed, sizeof(observed), "those of process %u", check->seen[slot].tgid);
            find(context, CHECK_COMPROMISED, task, cred, "credentials of its own", observed,
                 "acts with the credentials of another process");
        }
        slot = (slot + 1) & (TASKS - 1);
    }
}

/* The first of a process's tasks that has an object answers for it. */
static void judge_object(CheckContext *context, CredentialsCheck *check, const GuestTask *task,
                         uint64_t cred)
{
    uint32_t slot = (uint32_t)(cred >> 5 ^ cred >> 18) & (TASKS - 1);
    char observed[CHECK_VALUE_SIZE];

    for (uint32_t i = 0; i < TASKS && check->seen[slot].cred != 0; i++) {
        if (check->seen[slot].cred == cred) {
            if (check->seen[slot].tgid != task->tgid) {
                snprintf(observed, sizeof(observed), "those of process %u", check->seen[slot].tgid);
                find(context, CHECK_COMPROMISED, task, cred, "credentials of its own", observed,
                     "uses the credentials of another process; only threads share them");
            }
            return;
        }
        slot = (slot + 1) & (TASKS - 1);
    }
    if (check->seen_count >= TASKS - TASKS / 8) {
        return; /* counted as tasks that are not remembered */
    }
    check->seen[slot] = (Seen){.cred = cred, .tgid = task->tgid};
    check->seen_count++;
    if (check->cache != 0 && !is_in_slab(context, check, cred)) {
        snprintf(observed, sizeof(observed), "%#lx", (unsigned long)cred);
        find(context, CHECK_COMPROMISED, task, cred, "an object of cred_jar", observed,
             "has credentials that the kernel did not allocate");
    }
}

static void judge_ids(CheckContext *context, const CredentialsCheck *check, const GuestTask *task,
                      uint64_t cred, const Credentials *credentials)
{
    const uint64_t full = (1ull << FULL_CAPABILITIES) - 1;
    char observed[CHECK_VALUE_SIZE];

    if (!has_root(credentials) && (credentials->effective & full) == full &&
        (credentials->ambient & full) != full && credentials->securebits == 0 &&
        credentials->namespace == check->init_namespace) {
        snprintf(observed, sizeof(observed), "uid %u, capabilities %#lx", credentials->uid,
                 (unsigned long)credentials->effective);
        find(context, CHECK_DEGRADED, task, cred, "root, or fewer capabilities", observed,
             "is not root and has all capabilities");
    }
}

/* Also when it borrows a process's memory. */
static bool is_kernel_thread(CheckContext *context, const CredentialsCheck *check,
                             const GuestTask *task)
{
    return task_kind(context, &check->kinds, task) == TASK_KERNEL;
}

/* Each uid has one user_struct, and set_user() follows every change of the uid: who writes a uid
 * into credentials leaves the user of another. */
static void judge_user(CheckContext *context, const CredentialsCheck *check, const GuestTask *task,
                       uint64_t cred, const Credentials *credentials)
{
    AddressSpace *space = &context->kernel->space;
    char expected[CHECK_VALUE_SIZE], observed[CHECK_VALUE_SIZE];
    uint64_t user;
    uint32_t uid;

    if (layout_has(check->kept.user) && layout_has(check->kept.uid) &&
        address_space_u64(space, cred + check->kept.user, &user) &&
        address_space_u32(space, user + check->kept.uid, &uid) && uid != credentials->uid) {
        snprintf(expected, sizeof(expected), "uid %u, whose user it is", uid);
        snprintf(observed, sizeof(observed), "uid %u", credentials->uid);
        find(context, CHECK_COMPROMISED, task, cred, expected, observed,
             "has a uid that is not its user's: it was written over");
    }
}

static void judge_task(CheckContext *context, CredentialsCheck *check, const GuestTask *task)
{
    const CredentialsLayout *layout = &check->layout;
    AddressSpace *space = &context->kernel->space;
    uint64_t real, subjective, exec, memory;
    Credentials credentials;
    Holder *now;

    TaskKind kind = task_kind(context, &check->kinds, task);

    if (kind == TASK_DISGUISED) {
        find(context, CHECK_COMPROMISED, task, task->address, "a thread of the kernel",
             "registers or memory of user space", "says that it is a kernel thread and is none");
    }
    if (kind == TASK_KERNEL ||
        !address_space_u64(space, task->address + layout->task_real, &real) ||
        !address_space_u64(space, task->address + layout->task_cred, &subjective)) {
        return;
    }
    if (real == check->init_cred) {
        find(context, CHECK_COMPROMISED, task, real, "credentials of its own", "init_cred",
             "uses the credentials of the kernel's first task");
        return;
    }
    if (subjective == check->init_cred) {
        find(context, CHECK_DEGRADED, task, subjective, "credentials of its own", "init_cred",
             "acts with the credentials of the kernel's first task");
    }
    /* Credentials before exec: an exec counts first and commits then. */
    if (!read_credentials(context, layout, real, &credentials) ||
        !address_space_u64(space, task->address + layout->exec, &exec) ||
        !address_space_u64(space, task->address + layout->task_memory, &memory)) {
        check_reason(context, MONATT_REASON_TORN, "the credentials of process %u are not readable",
                     task->pid);
        return;
    }
    check_count(context, "tasks", 1);
    judge_object(context, check, task, real);
    judge_ids(context, check, task, real, &credentials);
    judge_user(context, check, task, real, &credentials);
    now = check->now->count < TASKS - TASKS / 8
              ? place_of(check->now, task->address, task->start_ns)
              : NULL;
    if (!now || now->task != 0) {
        check_count(context, "not remembered", 1);
        return;
    }
    check->now->count++;
    *now = (Holder){.task = task->address,
                    .start = task->start_ns,
                    .exec = exec,
                    .memory = memory,
                    .permitted = credentials.permitted,
                    .namespace = credentials.namespace,
                    .plain = !has_root(&credentials) && !(credentials.permitted & SET_UID) &&
                             credentials.namespace == check->init_namespace};
    judge_rise(context, check, task, now, &credentials);
}

static bool is_sane(const CredentialsLayout *layout)
{
    const uint32_t offsets[] = {layout->uid,     layout->suid,      layout->euid,
                                layout->fsuid,   layout->permitted, layout->effective,
                                layout->ambient, layout->namespace, layout->securebits};

    for (size_t i = 0; i < MONATT_ARRAY_SIZE(offsets); i++) {
        if (layout->size < 16 || layout->size > CRED_SIZE ||
            offsets[i] > layout->size - sizeof(uint64_t)) {
            return false;
        }
    }
    return true;
}

static void find_slab(CheckContext *context, CredentialsCheck *check)
{
    GuestKernel *kernel = context->kernel;
    uint64_t jar;

    check->cache = 0;
    if (!guest_kernel_symbol(kernel, "cred_jar", &jar) || kernel->offsets.page_size == 0 ||
        kernel->symbols.vmemmap_base == 0 || kernel->symbols.page_offset_base == 0 ||
        kernel->missing[MONATT_VIEW_SLAB][0] != '\0' ||
        !address_space_u64(&kernel->space, kernel->symbols.vmemmap_base, &check->pages) ||
        !address_space_u64(&kernel->space, kernel->symbols.page_offset_base, &check->direct) ||
        !address_space_u64(&kernel->space, jar, &check->cache)) {
        check->cache = 0;
        check_reason(context, MONATT_REASON_UNSUPPORTED,
                     "where credentials are allocated is not known");
    }
}

static CredentialsCheck *begin(CheckContext *context)
{
    CredentialsCheck *check = *context->state;
    Holders *spare;

    if (!check) {
        check = calloc(1, sizeof(*check));
        if (check) {
            check->before = calloc(1, sizeof(Holders));
            check->now = calloc(1, sizeof(Holders));
        }
        if (!check || !check->before || !check->now) {
            if (check) {
                free(check->before);
                free(check->now);
            }
            free(check);
            check_reason(context, MONATT_REASON_BUDGET, "out of memory");
            return NULL;
        }
        *context->state = check;
        layout_read(context->kernel, layout_rows, MONATT_ARRAY_SIZE(layout_rows), &check->layout);
        layout_read(context->kernel, user_rows, MONATT_ARRAY_SIZE(user_rows), &check->kept);
        task_kind_layout(context->kernel, &check->kinds);
    }
    spare = check->before;
    check->before = check->now;
    check->now = spare;
    memset(check->now, 0, sizeof(*check->now));
    memset(check->seen, 0, sizeof(check->seen));
    check->seen_count = 0;
    return check;
}

static void run(CheckContext *context)
{
    CredentialsCheck *check = begin(context);
    const TaskScan *scan;
    char lacks[96];

    if (!check) {
        return;
    }
    if (layout_lacks(layout_rows, MONATT_ARRAY_SIZE(layout_rows), &check->layout,
                     sizeof(check->layout), lacks, sizeof(lacks))) {
        check_lacks(context, lacks);
        return;
    }
    if (!is_sane(&check->layout) ||
        !guest_kernel_symbol(context->kernel, "init_cred", &check->init_cred) ||
        !guest_kernel_symbol(context->kernel, "init_user_ns", &check->init_namespace)) {
        check_lacks(context, "struct cred of a sane size, 'init_cred' and 'init_user_ns'");
        return;
    }
    find_slab(context, check);
    scan = check_tasks(context, false);
    if (!scan) {
        return;
    }
    if (!(scan->complete & ~MONATT_VIEW_BIT(MONATT_VIEW_RUN_QUEUES))) {
        check_reason(context, MONATT_REASON_TORN, "no view of the tasks was whole");
    }
    for (uint32_t i = 0; i < scan->table.count && check_step(context); i++) {
        const GuestTask *task = &scan->table.tasks[i];
        if (task->settled) {
            judge_task(context, check, task);
        }
    }
    /* Only now it is known whose each object is. */
    for (uint32_t i = 0; i < scan->table.count && check_step(context); i++) {
        const GuestTask *task = &scan->table.tasks[i];
        uint64_t real, subjective;
        if (task->settled && !is_kernel_thread(context, check, task) &&
            address_space_u64(&context->kernel->space, task->address + check->layout.task_real,
                              &real) &&
            address_space_u64(&context->kernel->space, task->address + check->layout.task_cred,
                              &subjective) &&
            real != subjective) {
            judge_loan(context, check, task, subjective);
        }
    }
}

static void clear(void *state)
{
    CredentialsCheck *check = state;

    free(check->before);
    free(check->now);
    free(check);
}

const Check check_credentials = {MONATT_SUBCHECK_CREDENTIALS, "credentials", NULL, run, clear};
