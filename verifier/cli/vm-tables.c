/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-tables.c - monatt vm ps, modules, sockets, hooks, bpf, maps, checks
 *
 * What the host sees in a guest's memory, for people: as ps, lsmod, ss and bpftool would show it
 * if the guest could be believed.  The collector's word (or a worker's, over a file), no evidence.
 * Must never show a table that is not whole without saying so, on stderr and by its exit code.
 */
#include <stdio.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/table.h"
#include "libmonatt/base/text.h"
#include "libmonatt/formats/record-payloads.h"
#include "verifier/cli/appraise.h"
#include "verifier/cli/client.h"
#include "verifier/cli/vm-tables-ram.h"
#include "verifier/json.h"

#define ANSWER_MAXIMUM (64u * 1024 * 1024) /* 16,384 rows of 16 texts */
#define ROWS_MAXIMUM 20000
#define CELL_MAXIMUM 300
#define COLUMN_MAXIMUM 48 /* a wider cell moves the rest of its row */
#define REASON_NONE "none"

typedef struct Columns {
    size_t count;
    const char *names[TABLE_COLUMNS];
    size_t widths[TABLE_COLUMNS];
} Columns;

static const char *const checks_columns[] = {"check",  "state", "findings", "unsettled",
                                             "passes", "text",  "counters", NULL};
static const char *const findings_columns[] = {"severity", "check", "object", "address",
                                               "owner",    "text",  NULL};
static const char *const differences_columns[] = {"pid",        "command", "seen_in",
                                                  "missing_in", "text",    NULL};
/* Of the sixteen of the table "tasks"; --columns shows the others. */
static const char *const ps_columns[] = {"pid",     "ppid", "uid",  "state", "threads",
                                         "command", "exe",  "note", NULL};

static const char *table_of(const Command *command)
{
    if (strcmp(command->verb, "checks") == 0) {
        return NULL;
    }
    return strcmp(command->verb, "ps") == 0 ? "tasks" : command->verb;
}

/* Any value as printable text; a list as its texts with commas. */
static void to_text(const json_t *value, char *text, size_t capacity)
{
    text[0] = 0;
    if (json_is_string(value)) {
        monatt_text_printable(json_string_value(value), json_string_length(value), text, capacity);
    } else if (json_is_integer(value)) {
        snprintf(text, capacity, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(text, capacity, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_array(value)) {
        for (size_t i = 0, used = 0; i < json_array_size(value) && used + 1 < capacity; i++) {
            char one[CELL_MAXIMUM];
            to_text(json_is_array(json_array_get(value, i)) ? NULL : json_array_get(value, i), one,
                    sizeof(one));
            g_strlcat(text, i ? "," : "", capacity);
            used = g_strlcat(text, one, capacity);
        }
    } else if (json_is_object(value)) {
        const char *name;
        json_t *member;
        size_t used = 0;
        json_object_foreach((json_t *)(uintptr_t)value, name, member)
        {
            char shown[64];
            monatt_text_printable(name, strlen(name), shown, sizeof(shown));
            if (json_is_integer(member) && used + 1 < capacity) {
                snprintf(text + used, capacity - used, "%s%s=%" JSON_INTEGER_FORMAT,
                         used ? " " : "", shown, json_integer_value(member));
                used = strlen(text);
            }
        }
    }
    if (text[0] == 0) {
        snprintf(text, capacity, "-");
    }
}

static void choose_all(const char *const *names, size_t count, Columns *columns)
{
    columns->count = 0;
    for (size_t i = 0; i < count && names[i] != NULL; i++) {
        columns->names[columns->count++] = names[i];
    }
}

/* What there is to choose from. */
static void known_columns(const Command *command, Columns *known)
{
    const TableForm *form = table_of(command) != NULL ? table_form(table_of(command)) : NULL;
    if (form != NULL) {
        choose_all(form->columns, form->count, known);
    } else {
        choose_all(checks_columns, TABLE_COLUMNS, known);
    }
}

/* --columns a,b: owned by *ret_words. */
static gboolean choose(const CommandArguments *arguments, Columns *columns, char ***ret_words,
                       GError **error)
{
    const char *wanted = command_value(arguments, "columns");
    Columns known;
    known_columns(arguments->command, &known);
    *ret_words = NULL;
    if (wanted == NULL) {
        *columns = known;
        if (strcmp(arguments->command->verb, "ps") == 0) {
            choose_all(ps_columns, TABLE_COLUMNS, columns);
        }
        return TRUE;
    }
    char **words = *ret_words = g_strsplit(wanted, ",", TABLE_COLUMNS + 1);
    columns->count = 0;
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *found = NULL;
        for (size_t k = 0; k < known.count; k++) {
            found = strcmp(known.names[k], words[i]) == 0 ? known.names[k] : found;
        }
        if (found == NULL || columns->count == TABLE_COLUMNS) {
            char shown[64];
            GString *list = g_string_new("");
            monatt_text_printable(words[i], strlen(words[i]), shown, sizeof(shown));
            for (size_t k = 0; k < known.count; k++) {
                g_string_append_printf(list, "%s%s", k ? ", " : "", known.names[k]);
            }
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                        "option '--columns': no column '%s'\nhint: there are %s", shown, list->str);
            g_string_free(list, TRUE);
            return FALSE;
        }
        columns->names[columns->count++] = found;
    }
    return TRUE;
}

static void measure(const json_t *rows, Columns *columns)
{
    char cell[CELL_MAXIMUM];
    for (size_t k = 0; k < columns->count; k++) {
        columns->widths[k] = strlen(columns->names[k]);
        for (size_t i = 0; i < json_array_size(rows); i++) {
            to_text(json_object_get(json_array_get(rows, i), columns->names[k]), cell,
                    sizeof(cell));
            columns->widths[k] = MAX(columns->widths[k], strlen(cell));
        }
        columns->widths[k] = MIN(columns->widths[k], (size_t)COLUMN_MAXIMUM);
    }
}

/* Aligned; nothing behind the last column. */
static void print_rows(const json_t *rows, Columns *columns)
{
    measure(rows, columns);
    for (size_t k = 0; k < columns->count; k++) {
        g_autofree char *head = g_ascii_strup(columns->names[k], -1);
        printf("%-*s%s", k + 1 < columns->count ? (int)columns->widths[k] : 0, head,
               k + 1 < columns->count ? "  " : "\n");
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (size_t k = 0; k < columns->count; k++) {
            char cell[CELL_MAXIMUM];
            to_text(json_object_get(json_array_get(rows, i), columns->names[k]), cell,
                    sizeof(cell));
            printf("%-*s%s", k + 1 < columns->count ? (int)columns->widths[k] : 0, cell,
                   k + 1 < columns->count ? "  " : "\n");
        }
    }
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : "";
}

static gboolean is_unknown(const json_t *check)
{
    return strcmp(text_of(check, "reason"), REASON_NONE) != 0;
}

static void say(const json_t *check)
{
    char name[CELL_MAXIMUM], reason[CELL_MAXIMUM], text[CELL_MAXIMUM];
    to_text(json_object_get(check, "check"), name, sizeof(name));
    to_text(json_object_get(check, "reason"), reason, sizeof(reason));
    to_text(json_object_get(check, "text"), text, sizeof(text));
    fprintf(stderr, "monatt: check '%s' is not whole: %s: %s\n", name, reason, text);
}

/* True: every check read all it wanted. */
static gboolean say_reasons(const json_t *checks)
{
    gboolean whole = TRUE;
    for (size_t i = 0; i < json_array_size(checks); i++) {
        if (is_unknown(json_array_get(checks, i))) {
            say(json_array_get(checks, i));
            whole = FALSE;
        }
    }
    if (json_array_size(checks) == 0) {
        fprintf(stderr, "monatt: no check was run: nothing is known\n");
        return FALSE;
    }
    return whole;
}

static void print_json(const json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
    printf("%s\n", text != NULL ? text : "{}");
    free(text); /* jansson's */
}

/* Only the chosen columns, when some were chosen. */
static void print_chosen(json_t *root, json_t *rows, const char *member,
                         const CommandArguments *arguments, const Columns *columns)
{
    if (command_has(arguments, "columns")) {
        json_t *chosen = json_array();
        for (size_t i = 0; i < json_array_size(rows); i++) {
            json_t *row = json_object();
            for (size_t k = 0; k < columns->count; k++) {
                json_t *value = json_object_get(json_array_get(rows, i), columns->names[k]);
                json_object_set(row, columns->names[k], value != NULL ? value : json_null());
            }
            json_array_append_new(chosen, row);
        }
        json_object_set_new(root, member, chosen);
    }
    print_json(root);
}

/* "ok", "compromised", "degraded", "unknown", or of a snapshot "seen once". */
static void add_states(json_t *checks, const json_t *findings, gboolean snapshot)
{
    for (size_t i = 0; i < json_array_size(checks); i++) {
        json_t *check = json_array_get(checks, i);
        const char *state = is_unknown(check) ? "unknown" : "ok";
        if (snapshot && json_integer_value(json_object_get(check, "unsettled")) > 0) {
            state = "seen once";
        } else if (json_integer_value(json_object_get(check, "findings")) > 0) {
            state = "compromised";
            for (size_t k = 0; k < json_array_size(findings); k++) {
                const json_t *finding = json_array_get(findings, k);
                if (strcmp(text_of(finding, "check"), text_of(check, "check")) == 0) {
                    gboolean degraded = strcmp(text_of(finding, "severity"), "degraded") == 0;
                    state = degraded ? "degraded" : "compromised";
                    if (!degraded) {
                        break;
                    }
                }
            }
        }
        if (json_is_object(check)) {
            json_object_set_new(check, "state", json_string(state));
        }
    }
}

static int exit_of_checks(const json_t *checks)
{
    int code = MONATT_EXIT_DONE;
    for (size_t i = 0; i < json_array_size(checks); i++) {
        const char *state = text_of(json_array_get(checks, i), "state");
        if (strcmp(state, "compromised") == 0) {
            return MONATT_EXIT_COMPROMISED;
        }
        if (strcmp(state, "degraded") == 0) {
            code = MONATT_EXIT_DEGRADED;
        } else if (code == MONATT_EXIT_DONE && strcmp(state, "ok") != 0) {
            code = MONATT_EXIT_UNKNOWN;
        }
    }
    return json_array_size(checks) == 0 ? MONATT_EXIT_UNKNOWN : code;
}

static int show_checks(const CommandArguments *arguments, json_t *root, json_t *checks,
                       const json_t *findings, Columns *columns)
{
    gboolean snapshot = json_is_true(json_object_get(root, "snapshot"));
    add_states(checks, findings, snapshot);
    if (command_has(arguments, "json")) {
        print_chosen(root, checks, "checks", arguments, columns);
        (void)say_reasons(checks);
        return exit_of_checks(checks);
    }
    int code = exit_of_checks(checks);
    print_rows(checks, columns);
    if (json_array_size(findings) > 0) {
        Columns of_findings;
        choose_all(findings_columns, TABLE_COLUMNS, &of_findings);
        printf("\n%s\n", snapshot ? "Seen once, in a snapshot: no findings, as nothing can be seen "
                                    "to last."
                                  : "Findings:");
        print_rows(findings, &of_findings);
    }
    (void)say_reasons(checks);
    return code;
}

static int show_table(const CommandArguments *arguments, json_t *root, const json_t *checks,
                      json_t *rows, Columns *columns)
{
    gboolean cut = !json_is_false(json_object_get(root, "cut"));
    if (command_has(arguments, "json")) {
        print_chosen(root, rows, "rows", arguments, columns);
    } else {
        print_rows(rows, columns);
    }
    gboolean whole = say_reasons(checks);
    if (cut) {
        fprintf(stderr, "monatt: table '%s' was cut at %zu rows\n", table_of(arguments->command),
                json_array_size(rows));
    }
    return whole && !cut ? MONATT_EXIT_DONE : MONATT_EXIT_UNKNOWN;
}

static json_t *fetch(const CommandArguments *arguments, const char *what, GError **error)
{
    MonattError err = {0};
    if (!monatt_text_check_name(arguments->positionals[0], &err)) {
        err.code = MONATT_ERROR_USAGE;
        monatt_error_to_gerror(&err, error);
        return NULL;
    }
    g_autofree char *path = g_strdup_printf("/v1/vms/%s/%s", arguments->positionals[0], what);
    g_autoptr(GBytes) body =
        client_call(command_value(arguments, "run-dir"), "GET", path, NULL, ANSWER_MAXIMUM, error);
    if (body == NULL) {
        return NULL;
    }
    gsize size;
    const void *bytes = g_bytes_get_data(body, &size);
    return monatt_json_load("collector's answer", bytes, size, ANSWER_MAXIMUM, error);
}

static gboolean names_guest_list(const json_t *views)
{
    for (size_t i = 0; i < json_array_size(views); i++) {
        const char *name = json_string_value(json_array_get(views, i));
        if (name != NULL && strcmp(name, monatt_task_view_name(MONATT_VIEW_GUEST_LIST)) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* What the host sees run and the guest's own list, bound to a nonce of the host's, leaves out. */
static int against_guest(const CommandArguments *arguments, GError **error)
{
    const json_t *findings;
    g_autoptr(MonattJson) root = fetch(arguments, "tasks", error);
    if (root == NULL || !monatt_json_array(root, "collector's answer", "findings", FALSE,
                                           ROWS_MAXIMUM, &findings, error)) {
        return -1;
    }
    if (!names_guest_list(json_object_get(root, "views_read"))) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_MISSING,
                    "guest's list: VM '%s' has sent none that answers the host's nonce\n"
                    "hint: run 'monatt-guest' in the guest; the host asks anew at each attestation",
                    arguments->positionals[0]);
        return -1;
    }
    g_autoptr(MonattJson) rows = json_array();
    for (size_t i = 0; i < json_array_size(findings); i++) {
        json_t *finding = json_array_get(findings, i);
        if (names_guest_list(json_object_get(finding, "missing_in"))) {
            json_array_append(rows, finding);
        }
    }
    gboolean whole = strcmp(text_of(root, "reason"), REASON_NONE) == 0;
    if (command_has(arguments, "json")) {
        g_autoptr(MonattJson) out = json_object();
        json_object_set(out, "only_host", rows);
        json_object_set_new(out, "reason", json_string(text_of(root, "reason")));
        print_json(out);
    } else {
        Columns columns;
        choose_all(differences_columns, TABLE_COLUMNS, &columns);
        print_rows(rows, &columns);
    }
    if (!whole) {
        char reason[CELL_MAXIMUM];
        to_text(json_object_get(root, "reason"), reason, sizeof(reason));
        fprintf(stderr, "monatt: the look was not whole: %s\n", reason);
    }
    /* These met the rule of a finding: that more could not be read takes nothing from them. */
    return json_array_size(rows) > 0 ? MONATT_EXIT_COMPROMISED
           : whole                   ? MONATT_EXIT_DONE
                                     : MONATT_EXIT_UNKNOWN;
}

static gboolean check_words(const CommandArguments *arguments, GError **error)
{
    gboolean ram = command_has(arguments, "ram");
    const char *fault = NULL;
    if (ram == (arguments->positionals[0] != NULL)) {
        fault = ram ? "VM or --ram FILE, not both" : "VM or --ram FILE is missing";
    } else if (!ram && (command_has(arguments, "low") || command_has(arguments, "kernel"))) {
        fault = "--low and --kernel belong to --ram";
    } else if (ram && command_has(arguments, "run-dir")) {
        fault = "--run-dir has no meaning with --ram";
    }
    if (fault != NULL) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                    "vm %s: %s\nhint: see 'monatt vm %s --help'", arguments->command->verb, fault,
                    arguments->command->verb);
    }
    return fault == NULL;
}

static int show(const CommandArguments *arguments, GError **error)
{
    const char *table = table_of(arguments->command);
    const json_t *checks, *findings, *rows = NULL;
    g_auto(GStrv) words = NULL;
    Columns columns;
    if (!check_words(arguments, error) || !choose(arguments, &columns, &words, error)) {
        return -1;
    }
    if (strcmp(arguments->command->verb, "ps") == 0 && command_has(arguments, "against-guest")) {
        if (!command_has(arguments, "ram")) {
            return against_guest(arguments, error);
        }
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_MISSING,
                    "guest's list: a RAM file has none\nhint: ask about a VM that runs");
        return -1;
    }
    g_autoptr(MonattJson) root = command_has(arguments, "ram")
                                     ? vm_tables_ram(arguments, table, error)
                                     : fetch(arguments, arguments->command->verb, error);
    if (root == NULL ||
        !monatt_json_array(root, "answer", "checks", FALSE, ROWS_MAXIMUM, &checks, error) ||
        !monatt_json_array(root, "answer", "findings", FALSE, ROWS_MAXIMUM, &findings, error) ||
        (table != NULL &&
         !monatt_json_array(root, "answer", "rows", FALSE, ROWS_MAXIMUM, &rows, error))) {
        return -1;
    }
    return table != NULL
               ? show_table(arguments, root, checks, json_object_get(root, "rows"), &columns)
               : show_checks(arguments, root, json_object_get(root, "checks"), findings, &columns);
}

#define OPTION_RAM                                                                                 \
    {                                                                                              \
        "ram", "FILE", "instead of a VM: raw guest RAM from address 0, looked at once", FALSE,     \
            FALSE                                                                                  \
    }
#define OPTION_LOW                                                                                 \
    {                                                                                              \
        "low", "BYTES", "of the file below the PCI hole; left out: as QEMU's q35, then pc", FALSE, \
            FALSE                                                                                  \
    }
#define OPTION_KERNEL                                                                              \
    {                                                                                              \
        "kernel", "FILE", "the kernel file that the guest was started with", FALSE, FALSE          \
    }
#define OPTION_COLUMNS                                                                             \
    {                                                                                              \
        "columns", "NAMES", "these columns only, with commas between them", FALSE, FALSE           \
    }

static const CommandOption table_options[] = {
    OPTION_RAM,           OPTION_LOW, OPTION_KERNEL, OPTION_COLUMNS, CLIENT_OPTION_RUN_DIR,
    APPRAISE_OPTION_JSON, {NULL},
};
static const CommandOption ps_options[] = {
    OPTION_RAM,
    OPTION_LOW,
    OPTION_KERNEL,
    OPTION_COLUMNS,
    {"against-guest", NULL, "what the guest's own list leaves out, and nothing else", FALSE, FALSE},
    CLIENT_OPTION_RUN_DIR,
    APPRAISE_OPTION_JSON,
    {NULL},
};

const Command command_vm_ps = {
    "vm", "ps", {"[VM]"}, NULL, "list the processes in a guest's memory", ps_options, show,
};
const Command command_vm_modules = {
    "vm", "modules", {"[VM]"}, NULL, "list the modules of a guest's kernel", table_options, show,
};
const Command command_vm_sockets = {
    "vm", "sockets", {"[VM]"}, NULL, "list the sockets of a guest", table_options, show,
};
const Command command_vm_hooks = {
    "vm", "hooks", {"[VM]"}, NULL, "list what is hooked into a guest's kernel", table_options, show,
};
const Command command_vm_bpf = {
    "vm", "bpf", {"[VM]"}, NULL, "list the BPF programs of a guest", table_options, show,
};
const Command command_vm_maps = {
    "vm", "maps", {"[VM]"}, NULL, "list the BPF maps of a guest", table_options, show,
};
const Command command_vm_checks = {
    "vm", "checks", {"[VM]"}, NULL, "check a guest's kernel and list findings", table_options, show,
};
