/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-sockets.c - sockets by the open files of processes and by the kernel's tables, compared
 *
 * Must never accuse a socket of missing from a table that was not read whole, nor one that no rule
 * of the kernel puts into a table.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/check-list.h"
#include "host-collector/sources/introspection/checks/sockets.h"
#include "libmonatt/base/macros.h"

/* Programs that filter packets for a living, by the last part of their paths; the folders that
 * packages install to come before it. */
static const char *const capturers[] = {
    "dhclient",
    "udhcpc",
    "dhcpcd",
    "busybox",
    "systemd-networkd",
    "NetworkManager",
    "connmand",
    "iwd",
    "wpa_supplicant",
    "hostapd",
    "lldpd",
    "tcpdump",
    "dumpcap",
    "ping",
    "arping",
    "dnsmasq",
    "dhcpd",
    "kea-dhcp4",
    "keepalived",
    "arpwatch",
    NULL,
};
static const char *const folders[] = {"/usr/", "/bin/", "/sbin/", "/lib/", NULL};

static bool is_capturer(const char *path, bool deleted)
{
    const char *name = strrchr(path, '/');
    bool installed = false;

    for (size_t i = 0; folders[i]; i++) {
        installed = installed || strncmp(path, folders[i], strlen(folders[i])) == 0;
    }
    for (size_t i = 0; name && installed && !deleted && capturers[i]; i++) {
        if (strcmp(name + 1, capturers[i]) == 0) {
            return true;
        }
    }
    return false;
}

static const GuestTask *holder_of(const TaskScan *scan, const HeldSocket *held)
{
    return held && held->task < scan->table.count ? &scan->table.tasks[held->task] : NULL;
}

static void found(CheckContext *context, CheckSeverity severity, const SocketFacts *facts,
                  const SocketNames *names, const GuestTask *holder, const char *expected,
                  const char *observed, const char *text)
{
    CheckFinding finding = {.severity = (uint8_t)severity, .address = facts->sock};

    if (holder) {
        finding.pid = holder->pid;
        finding.start_ns = holder->start_ns;
        snprintf(finding.owner, sizeof(finding.owner), "%s", holder->command);
    }
    snprintf(finding.object, sizeof(finding.object), "%s %.56s", names->netid, names->local);
    snprintf(finding.expected, sizeof(finding.expected), "%s", expected);
    snprintf(finding.observed, sizeof(finding.observed), "%s", observed);
    snprintf(finding.text, sizeof(finding.text), "%s", text);
    check_find(context, &finding);
}

/* Netlink's are of type raw too, and every program that hears of devices filters them. */
static bool takes_packets(const SocketFacts *facts)
{
    return facts->family == FAMILY_PACKET ||
           (facts->type == TYPE_RAW &&
            (facts->family == FAMILY_INET || facts->family == FAMILY_INET6));
}

/* Takes packets past every rule, for a program that is not known to need that. */
static void judge_filter(CheckContext *context, const SocketCheck *check, const SocketFacts *facts,
                         const SocketNames *names, const GuestTask *holder)
{
    char path[PROCESS_PATH_SIZE] = "";
    bool deleted = false;
    Process process;

    if (!takes_packets(facts) || !sockets_has_classic_filter(context, check, facts->sock)) {
        return;
    }
    process_read(context->kernel, &check->processes, holder->address, &process);
    if (process_path(context->kernel, &check->processes, process.program, path, &deleted) &&
        is_capturer(path, deleted)) {
        return;
    }
    found(context, CHECK_DEGRADED, facts, names, holder, "a program that captures packets",
          path[0] ? path : "a program that is not readable",
          "a raw or packet socket with a classic filter, as backdoors wait for their packet");
}

static bool has_open_file(CheckContext *context, const SocketCheck *check, uint64_t socket)
{
    uint64_t file;
    return socket != 0 && layout_has(check->layout.socket_file) &&
           address_space_u64(&context->kernel->space, socket + check->layout.socket_file, &file) &&
           file != 0;
}

static const char *judge(CheckContext *context, const SocketCheck *check, const TaskScan *scan,
                         const SocketFacts *facts, const SocketNames *names,
                         const GuestTask *holder)
{
    if (!holder) {
        return has_open_file(context, check, facts->socket) ? "held by no process"
               : facts->socket != 0                         ? "the kernel's own"
                                                            : "";
    }
    if (check_task_hidden(context, scan, holder)) {
        found(context, CHECK_COMPROMISED, facts, names, holder, "a listed process",
              "a process that is not in all lists", "the socket of a hidden process");
        return "of a hidden process";
    }
    judge_filter(context, check, facts, names, holder);
    return "";
}

static void put_row(CheckContext *context, const SocketCheck *check, const SocketFacts *facts,
                    const SocketNames *names, const GuestTask *holder, const char *note)
{
    Table *table = context->table;
    uint32_t number = net_namespaces_number(&check->namespaces, facts->net);

    table_text(table, names->netid);
    table_text(table, sockets_state_name(facts));
    table_text(table, names->local);
    table_text(table, names->peer);
    if (number != 0) {
        table_number(table, number);
    } else {
        table_nothing(table);
    }
    if (facts->uid != PROCESS_NOT_KNOWN) {
        table_number(table, facts->uid);
        table_number(table, facts->inode);
    } else {
        table_nothing(table);
        table_nothing(table);
    }
    if (holder) {
        table_number(table, holder->pid);
        table_text(table, holder->command);
    } else {
        table_nothing(table);
        table_nothing(table);
    }
    table_hex(table, facts->sock);
    table_text(table, note);
    table_end_row(table);
}

/* Only of those that somebody will read; a server has many. */
static bool needs_names(const CheckContext *context, const TaskScan *scan, const SocketFacts *facts,
                        const GuestTask *holder)
{
    return context->table || takes_packets(facts) ||
           (holder && check_task_hidden(context, scan, holder));
}

static void judge_and_show(CheckContext *context, const SocketCheck *check, const TaskScan *scan,
                           const SocketFacts *facts, const GuestTask *holder)
{
    SocketNames names = {.netid = ""};

    if (needs_names(context, scan, facts, holder)) {
        sockets_read_names(context, check, facts, &names);
        put_row(context, check, facts, &names, holder,
                judge(context, check, scan, facts, &names, holder));
    }
}

void sockets_seen(CheckContext *context, SocketCheck *check, uint64_t sock)
{
    const TaskScan *scan = check_tasks(context, false);
    HeldSocket *held = sockets_find_held(check, sock);
    const GuestTask *holder;
    SocketFacts facts;

    if (held && held->in_table) {
        return; /* a walk that began again */
    }
    for (HeldSocket *same = held;
         same && same < check->held + check->held_count && same->sock == sock; same++) {
        same->in_table = true;
    }
    if (!scan || !sockets_read_facts(context, check, sock, &facts)) {
        return;
    }
    check->in_tables++;
    holder = holder_of(scan, held);
    if (!holder && has_open_file(context, check, facts.socket)) {
        check->unlisted++;
        if (check->later_count < SOCKETS_LATER) {
            check->later[check->later_count++] = sock;
            return;
        }
    }
    judge_and_show(context, check, scan, &facts, holder);
}

/* What a process holds and no table has. */
static void judge_held(CheckContext *context, SocketCheck *check, const TaskScan *scan,
                       const HeldSocket *held)
{
    const GuestTask *holder = holder_of(scan, held);
    const char *note = "";
    SocketNames names;
    SocketFacts facts;
    SocketTable table;
    uint64_t sock;

    /* Closed or replaced since it was read: it is nobody's any more. */
    if (!address_space_u64(&context->kernel->space, held->socket + check->layout.socket_sock,
                           &sock) ||
        sock != held->sock || !sockets_read_facts(context, check, sock, &facts) ||
        facts.socket != held->socket) {
        return;
    }
    table = sockets_table_of(&facts);
    sockets_read_names(context, check, &facts, &names);
    if (facts.net != 0 && layout_has(check->layout.net) && context->result->reason == 0 &&
        net_namespaces_number(&check->namespaces, facts.net) == 0) {
        found(context, CHECK_COMPROMISED, &facts, &names, holder, "a listed network namespace",
              "a network namespace that is in no list", "the socket of a hidden namespace");
        note = "its namespace is hidden";
    } else if (table != SOCKET_TABLE_NONE && !check->missed[table]) {
        found(context, CHECK_COMPROMISED, &facts, &names, holder, sockets_table_name(table),
              sockets_state_name(&facts),
              "a process holds this socket, and the kernel's table lacks it: ss does not show it");
        note = "hidden";
    }
    put_row(context, check, &facts, &names, holder, note);
}

static void judge_rest(CheckContext *context, SocketCheck *check)
{
    const TaskScan *scan = check_tasks(context, false);

    for (uint32_t i = 0; scan && i < check->held_count; i++) {
        if (!check->held[i].in_table && check_step(context) &&
            (i == 0 || check->held[i].sock != check->held[i - 1].sock)) {
            judge_held(context, check, scan, &check->held[i]);
        }
    }
    if (check->later_count == 0) {
        return;
    }
    /* In flight between processes, the kernel's own or a hidden process's: the slab knows. */
    scan = check_tasks(context, true);
    if (scan) {
        sockets_read_held(context, check, scan);
    }
    for (uint32_t i = 0; scan && i < check->later_count; i++) {
        SocketFacts facts;
        if (sockets_read_facts(context, check, check->later[i], &facts)) {
            judge_and_show(context, check, scan, &facts,
                           holder_of(scan, sockets_find_held(check, check->later[i])));
        }
    }
}

static void clear(void *state)
{
    SocketCheck *check = state;
    free(check->held);
    free(check);
}

static SocketCheck *make(CheckContext *context)
{
    SocketCheck *check = calloc(1, sizeof(*check));

    if (!check || !(check->held = calloc(SOCKETS_MAXIMUM, sizeof(*check->held)))) {
        free(check);
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return NULL;
    }
    sockets_layout_read(context->kernel, &check->layout);
    process_layout_read(context->kernel, &check->processes);
    if (!guest_kernel_symbol(context->kernel, "socket_file_ops", &check->file_operations)) {
        check->file_operations = 0;
    }
    *context->state = check;
    return check;
}

static void run(CheckContext *context)
{
    SocketCheck *check = *context->state ? *context->state : make(context);
    const TaskScan *scan = check_tasks(context, false);

    if (!check || !scan) {
        return;
    }
    check->in_tables = check->unlisted = check->later_count = 0;
    memset(check->missed, 0, sizeof(check->missed));
    net_namespaces_read(context, &check->namespaces);
    sockets_read_held(context, check, scan);
    sockets_read_tables(context, check);
    check_count(context, "held", check->held_count);
    judge_rest(context, check);
    check_count(context, "in tables", check->in_tables);
    check_count(context, "held by no listed", check->unlisted);
}

const Check check_sockets = {MONATT_SUBCHECK_SOCKETS, "sockets", "sockets", run, clear};
