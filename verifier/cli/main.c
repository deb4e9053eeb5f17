/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - monatt NOUN VERB: finds the command's row, runs it, turns its error into words
 *
 * Exit codes: docs/exit-codes.md.  Must never print an error to stdout unless --json asks for it.
 */
#include <jansson.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "libmonatt/base/log.h"
#include "libmonatt/base/text.h"
#include "monatt-version.h"
#include "verifier/cli/command.h"

static const Command *const commands[] = {
    &command_evidence_verify, &command_evidence_show,   &command_evidence_export,
    &command_result_verify,   &command_report_html,     &command_vm_list,
    &command_vm_show,         &command_vm_attest,       &command_vm_run,
    &command_vm_ps,           &command_vm_modules,      &command_vm_sockets,
    &command_vm_hooks,        &command_vm_bpf,          &command_vm_maps,
    &command_vm_checks,       &command_reference_learn, &command_reference_show,
    &command_policy_check,    &command_ca_init,         &command_ca_enrol,
    &command_key_new,
};

static void print_usage(FILE *stream)
{
    fprintf(stream, "usage: monatt NOUN VERB [OPTION]...\n\n"
                    "Attests properties of virtual machines and checks evidence about them.\n\n"
                    "commands:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *name = g_strdup_printf("%s %s", commands[i]->noun, commands[i]->verb);
        fprintf(stream, "  %-18s %s\n", name, commands[i]->summary);
    }
    fprintf(stream,
            "\n'monatt NOUN VERB --help' says more; 'monatt --version' names the version.\n"
            "exit codes: 0 done or healthy, 1 could not do it, 2 usage, 3 evidence refused,\n"
            "            4 compromised, 5 degraded, 6 unknown\n");
}

static void print_json_error(const char *code, const char *message, const char *hint)
{
    json_t *inner = json_object();
    json_object_set_new(inner, "code", json_string(code));
    json_object_set_new(inner, "message", json_string(message));
    json_object_set_new(inner, "hint", json_string(hint));
    json_t *root = json_object();
    json_object_set_new(root, "error", inner);
    g_autofree char *text = json_dumps(root, JSON_COMPACT);
    printf("%s\n", text);
    json_decref(root);
}

static char *printable(const char *text)
{
    size_t size = text != NULL ? strlen(text) : 0;
    char *out = g_malloc(size + 1);
    monatt_text_printable(text != NULL ? text : "", size, out, size + 1);
    return out;
}

static int report_error(GError *error, gboolean json)
{
    MonattErrorCode code =
        error->domain == MONATT_GERROR ? (MonattErrorCode)error->code : MONATT_ERROR_SYSTEM;
    g_autofree char *raw = monatt_gerror_message(error);
    g_autofree char *message = printable(raw);
    g_autofree char *hint = printable(monatt_gerror_hint(error));
    if (json) {
        print_json_error(monatt_error_code_name(code), message, hint);
    } else {
        fprintf(stderr, "monatt: %s\n", message);
        if (hint[0] != 0) {
            fprintf(stderr, "hint: %s\n", hint);
        }
    }
    g_error_free(error);
    return monatt_error_exit_code(code);
}

static const Command *find_command(const char *noun, const char *verb)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i]->noun, noun) == 0 && strcmp(commands[i]->verb, verb) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int fail_unknown(const char *noun, const char *verb)
{
    g_autofree char *word =
        g_strdup_printf("%s%s%s", noun, verb != NULL ? " " : "", verb != NULL ? verb : "");
    g_autofree char *shown = printable(word);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_ptr_array_add(names, g_strdup_printf("%s %s", commands[i]->noun, commands[i]->verb));
    }
    g_ptr_array_add(names, NULL);
    const char *closest = command_closest(word, (const char *const *)names->pdata);
    GString *same = g_string_new("");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i]->noun, noun) == 0) {
            g_string_append_printf(same, "%s'%s'", same->len > 0 ? ", " : "", commands[i]->verb);
        }
    }
    fprintf(stderr, "monatt: %s '%.64s'\n", verb != NULL ? "unknown command" : "no command", shown);
    if (closest != NULL && !(verb == NULL && same->len > 0)) {
        fprintf(stderr, "hint: did you mean 'monatt %s'?\n", closest);
    } else if (same->len > 0) {
        fprintf(stderr, "hint: after '%s' comes one of %s\n", noun, same->str);
    } else {
        fprintf(stderr, "hint: 'monatt --help' lists all commands\n");
    }
    g_string_free(same, TRUE);
    return MONATT_EXIT_USAGE;
}

/* --json counts even when another argument is wrong: a program reads the answer. */
static gboolean wants_json(const Command *command, int argc, char **argv)
{
    for (const CommandOption *o = command->options; o->name != NULL; o++) {
        for (int i = 0; strcmp(o->name, "json") == 0 && i < argc; i++) {
            if (strcmp(argv[i], "--") == 0) {
                return FALSE;
            }
            if (strcmp(argv[i], "--json") == 0) {
                return TRUE;
            }
        }
    }
    return FALSE;
}

static int run(const Command *command, int argc, char **argv)
{
    CommandArguments arguments;
    GError *error = NULL;
    gboolean help;
    gboolean json = wants_json(command, argc, argv);
    int code = MONATT_EXIT_USAGE;
    if (!command_parse(command, argc, argv, &arguments, &help, &error)) {
        code = report_error(error, json);
    } else if (help) {
        g_autofree char *text = command_help(command);
        fputs(text, stdout);
        code = MONATT_EXIT_DONE;
    } else {
        code = command->run(&arguments, &error);
        if (code < 0) {
            code = report_error(error, json);
        }
    }
    command_arguments_clear(&arguments);
    /* A full disk or a closed pipe must not look like a printed verdict. */
    if (fflush(stdout) != 0 && code == MONATT_EXIT_DONE) {
        fprintf(stderr, "monatt: standard output: cannot be written\n");
        code = MONATT_EXIT_FAILED;
    }
    return code;
}

int main(int argc, char **argv)
{
    monatt_log_init("monatt");
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_usage(stdout);
        return MONATT_EXIT_DONE;
    }
    for (int i = 1; i < argc && i <= 3; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("monatt %s\n", MONATT_VERSION);
            return MONATT_EXIT_DONE;
        }
        if (strcmp(argv[i], "--") == 0) {
            break;
        }
    }
    if (argc < 2) {
        print_usage(stderr);
        return MONATT_EXIT_USAGE;
    }
    if (argc >= 3 && strcmp(argv[2], "--help") == 0) {
        print_usage(stdout);
        return MONATT_EXIT_DONE;
    }
    const Command *command = argc >= 3 ? find_command(argv[1], argv[2]) : NULL;
    if (command == NULL) {
        return fail_unknown(argv[1], argc >= 3 ? argv[2] : NULL);
    }
    return run(command, argc - 3, argv + 3);
}
