/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-strings.c - the programs that the kernel itself starts as root, by the strings that name
 * them
 *
 * modprobe_path (kernel/module/kmod.c), core_pattern (fs/coredump.c), uevent_helper
 * (lib/kobject_uevent.c), poweroff_cmd (kernel/reboot.c) and the release agents of cgroups
 * (kernel/cgroup/cgroup-v1.c).  One write to any of them is root for whoever made it.
 *
 * Must never let a string pass because it begins like a known one: a whole path is compared, byte
 * by byte, and one without an end is a finding.
 */
#include "host-collector/sources/introspection/checks/check.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "libmonatt/base/macros.h"

#define STRING_SIZE 256 /* KMOD_PATH_LEN and the others'; CORENAME_MAX_SIZE is 128 */
#define CORE_SIZE 128
#define ROOTS_MAXIMUM 64 /* cgroup hierarchies: one a controller at most, 16 or so */

/* No program, and programs that do nothing, are how a careful owner switches the feature off. */
static const char *const loaders[] = {"/sbin/modprobe",
                                      "/usr/sbin/modprobe",
                                      "/usr/bin/modprobe",
                                      "/bin/modprobe",
                                      "/run/current-system/sw/bin/modprobe",
                                      "/bin/true",
                                      "/bin/false",
                                      "/usr/bin/true",
                                      "/usr/bin/false",
                                      "/dev/null",
                                      "",
                                      NULL};
static const char *const helpers[] = {"", "/sbin/hotplug", "/sbin/mdev", "/bin/mdev", NULL};
static const char *const stoppers[] = {"/sbin/poweroff", "/usr/sbin/poweroff", NULL};
static const char *const agents[] = {"", "/lib/systemd/systemd-cgroups-agent",
                                     "/usr/lib/systemd/systemd-cgroups-agent", NULL};
/* Programs of distributions that take core dumps. */
static const char *const dumpers[] = {"/lib/systemd/systemd-coredump",
                                      "/usr/lib/systemd/systemd-coredump",
                                      "/usr/share/apport/apport",
                                      "/usr/libexec/abrt-hook-ccpp",
                                      "/bin/true",
                                      "/bin/false",
                                      "/usr/bin/true",
                                      "/usr/bin/false",
                                      "/dev/null",
                                      NULL};

static const struct {
    const char *symbol;
    const char *what;
    const char *const *known;
    bool always; /* every kernel that can load modules and dump cores has it */
} strings[] = {
    {"modprobe_path", "loads modules", loaders, true},
    {"uevent_helper", "hears of devices", helpers, false},
    {"poweroff_cmd", "switches the machine off", stoppers, false},
};

static bool is_listed(const char *const *known, const char *text, size_t size)
{
    for (; *known; known++) {
        if (strlen(*known) == size && memcmp(*known, text, size) == 0) {
            return true;
        }
    }
    return false;
}

/* False and a reason: not readable.  *ret_size is capacity when it has no end. */
static bool read_string(CheckContext *context, uint64_t address, const char *what, char *text,
                        size_t capacity, size_t *ret_size)
{
    if (!address_space_read(&context->kernel->space, address, text, capacity)) {
        check_reason(context, MONATT_REASON_TORN, "%s is not readable", what);
        return false;
    }
    *ret_size = strnlen(text, capacity);
    return true;
}

/* What the measured kernel was built with is no change, whatever distribution built it. */
static bool is_as_built(CheckContext *context, const char *symbol, const char *text, size_t size)
{
    const char *why;
    const KernelImage *image = check_image(context, &why);
    const uint8_t *built;
    uint64_t address;

    return image && kernel_image_symbol(image, symbol, &address) &&
           (built = kernel_image_at(image, address, size + 1)) != NULL && built[size] == '\0' &&
           memcmp(built, text, size) == 0;
}

static void judge_path(CheckContext *context, CheckSeverity severity, uint64_t address,
                       const char *name, const char *what, const char *const *known)
{
    char text[STRING_SIZE + 1] = {0};
    size_t size;

    if (!read_string(context, address, name, text, STRING_SIZE, &size)) {
        return;
    }
    check_count(context, "strings", 1);
    if (size == STRING_SIZE ||
        (!is_listed(known, text, size) && !is_as_built(context, name, text, size))) {
        check_found(context, severity, address, name, known[0][0] ? known[0] : "none", text, "",
                    "the kernel starts '%.120s' as root as the program that %s", text, what);
    }
}

/* "|PROGRAM ARGUMENTS", "@SOCKET" and "@@SOCKET" (6.16 on), or a file's name. */
static void judge_core_pattern(CheckContext *context)
{
    char text[CORE_SIZE + 1] = {0};
    const char *program = text + 1;
    size_t size, length = 0;
    uint64_t address;

    if (!guest_kernel_symbol(context->kernel, "core_pattern", &address)) {
        check_lacks(context, "symbol 'core_pattern'");
        return;
    }
    if (!read_string(context, address, "core_pattern", text, CORE_SIZE, &size)) {
        return;
    }
    check_count(context, "strings", 1);
    if (size == CORE_SIZE) {
        check_found(context, CHECK_COMPROMISED, address, "core_pattern", "a string", text, "",
                    "core_pattern has no end: no kernel interface writes that");
        return;
    }
    if (text[0] == '@') {
        program += text[1] == '@';
        if (strcmp(program, "/run/systemd/coredump") != 0) {
            check_found(context, CHECK_DEGRADED, address, "core_pattern", "core", text, "",
                        "core dumps go to the socket '%.120s'", program);
        }
        return;
    }
    if (text[0] != '|') {
        return; /* a file in the crashed program's folder or elsewhere: nothing is started */
    }
    while (isspace((unsigned char)*program)) {
        program++;
    }
    while (program[length] && !isspace((unsigned char)program[length])) {
        length++;
    }
    if (!is_listed(dumpers, program, length)) {
        check_found(context, CHECK_DEGRADED, address, "core_pattern", "core", text, "",
                    "the kernel starts '%.120s' as root at every crash", text + 1);
    }
}

/* The hierarchies of version 1 have one agent each; version 2 has none. */
static void judge_release_agents(CheckContext *context)
{
    uint32_t list, agent, roots = 0;
    uint64_t head, node;
    GuestListWalk walk;

    if (!guest_kernel_symbol(context->kernel, "cgroup_roots", &head) ||
        !guest_kernel_member(context->kernel, "cgroup_root", "root_list", &list) ||
        !guest_kernel_member(context->kernel, "cgroup_root", "release_agent_path", &agent)) {
        return; /* built without, as newer kernels may be */
    }
    guest_list_begin(&walk, context, GUEST_LIST_RING, head);
    while (guest_list_next(&walk, &node) && roots++ < ROOTS_MAXIMUM) {
        judge_path(context, CHECK_DEGRADED, node - list + agent, "release_agent",
                   "hears of empty cgroups", agents);
    }
    if (walk.reason != MONATT_REASON_NONE || roots > ROOTS_MAXIMUM) {
        check_reason(context, MONATT_REASON_TORN, "the list of cgroup hierarchies is not whole");
    }
}

static void run(CheckContext *context)
{
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(strings); i++) {
        uint64_t address;
        if (guest_kernel_symbol(context->kernel, strings[i].symbol, &address)) {
            judge_path(context, CHECK_COMPROMISED, address, strings[i].symbol, strings[i].what,
                       strings[i].known);
        } else if (strings[i].always) {
            check_reason(context, MONATT_REASON_UNSUPPORTED, "this kernel has no symbol '%s'",
                         strings[i].symbol);
        }
    }
    judge_core_pattern(context);
    judge_release_agents(context);
}

const Check check_strings = {MONATT_SUBCHECK_STRINGS, "strings", NULL, run, NULL};
