/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.h - the one table of commands: parsing, help and documentation come from it
 *
 * A command is a file of its own in this folder with one function; everything it can be given
 * stands in its row, so what is parsed and what '--help' says cannot differ.
 */
#ifndef MONATT_VERIFIER_COMMAND_H
#define MONATT_VERIFIER_COMMAND_H

#include <glib.h>
#include "libmonatt/evidence/evidence.h"

G_BEGIN_DECLS

#define COMMAND_OPTIONS_MAXIMUM 12
#define COMMAND_POSITIONALS_MAXIMUM 2

typedef struct CommandOption {
    const char *name;  /* "nonce", given as --nonce */
    const char *value; /* "HEX", NULL: a flag */
    const char *help;
    gboolean required;
    gboolean many; /* may be given again */
} CommandOption;

typedef struct CommandArguments CommandArguments;
typedef struct Command {
    const char *noun;
    const char *verb;
    const char *positionals[COMMAND_POSITIONALS_MAXIMUM]; /* "FILE"; "[VM]": may be left out */
    const char *rest;                                     /* "-- ARGUMENT...": taken as it is */
    const char *summary;
    const CommandOption *options; /* ends with a NULL name */
    /* MonattExit, or -1 with error set */
    int (*run)(const CommandArguments *arguments, GError **error);
} Command;

struct CommandArguments {
    const Command *command;
    const char *positionals[COMMAND_POSITIONALS_MAXIMUM];
    GPtrArray *values[COMMAND_OPTIONS_MAXIMUM]; /* texts given to each option; NULL: not given */
    char **rest;                                /* NULL-terminated, of argv */
};

/* Last text given to an option, or NULL. */
const char *command_value(const CommandArguments *arguments, const char *name);
const GPtrArray *command_values(const CommandArguments *arguments, const char *name);
gboolean command_has(const CommandArguments *arguments, const char *name);
/* FALSE with USAGE set.  help: was asked for; the arguments are then not checked further. */
gboolean command_parse(const Command *command, int argc, char **argv, CommandArguments *ret,
                       gboolean *ret_help, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void command_arguments_clear(CommandArguments *arguments);
/* The whole text of 'monatt NOUN VERB --help'; free with g_free(). */
char *command_help(const Command *command);
/* Closest of NULL-terminated names, or NULL when none is near; owned by names. */
const char *command_closest(const char *word, const char *const *names);

/* Texts that hostile bytes may have reached, to a stream: printable ASCII and newlines only. */
void command_print(FILE *stream, const char *text, gsize size);
/* 64 hexadecimal digits; USAGE. */
gboolean command_read_nonce(const char *text, uint8_t nonce[MONATT_NONCE_SIZE],
                            GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The rows, one file each. */
extern const Command command_evidence_verify;
extern const Command command_evidence_show;
extern const Command command_evidence_export;
extern const Command command_result_verify;
extern const Command command_report_html;
extern const Command command_vm_list;
extern const Command command_vm_show;
extern const Command command_vm_attest;
extern const Command command_vm_run;
extern const Command command_vm_ps;
extern const Command command_vm_modules;
extern const Command command_vm_sockets;
extern const Command command_vm_hooks;
extern const Command command_vm_bpf;
extern const Command command_vm_maps;
extern const Command command_vm_checks;
extern const Command command_reference_learn;
extern const Command command_reference_show;
extern const Command command_policy_check;
extern const Command command_ca_init;
extern const Command command_ca_enrol;
extern const Command command_key_new;

G_END_DECLS

#endif
