/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arguments.h - QEMU's own command line, word by word, and our options in it
 *
 * QEMU takes every option with one dash or two; whether one has a value is known from a table,
 * and for an option newer than this program from QEMU's own -help.
 */
#ifndef HW_ATTEST_LAUNCHER_ARGUMENTS_H
#define HW_ATTEST_LAUNCHER_ARGUMENTS_H

#include "hw-attest/launcher/words.h"

typedef struct Argument {
    const char *option; /* without dashes; "" for a disk image by itself */
    const char *value;  /* NULL: none */
    size_t at;          /* of the value, or of the word, in Arguments.words */
} Argument;

/* Options of the launcher itself. */
typedef struct ArgumentsOwn {
    const char *run_dir; /* NULL: not given */
    const char *qemu;
    const char *plugin_options;
    const char *wire; /* "mpqemu" or "vfio-user", as the operator wrote it */
    bool no_plugin;
    bool private_vm;
    bool dry_run;
    bool help;
    bool version;
} ArgumentsOwn;

typedef struct Arguments {
    Words words; /* QEMU's arguments without ours, without argv[0]; index of `at` */
    ArgumentsOwn own;
    size_t count;
    Argument *items;
} Arguments;

/* Takes the --monatt- options out; USAGE for one that is unknown or lacks its value. */
bool arguments_take_own(int argc, char *const argv[], Arguments *ret,
                        MonattError *err) MONATT_MUST_CHECK;
/*
 * True when QEMU is asked for a text or probed by libvirt (-machine none): then it must be
 * executed with nothing changed.  Needs arguments_take_own() only.
 */
bool arguments_is_probe(const Arguments *arguments);
/* The folders after -L, in their order; needs arguments_take_own() only. */
bool arguments_folders(const Arguments *arguments, Words *ret, MonattError *err) MONATT_MUST_CHECK;
/* Fills items.  help is the output of QEMU's -help, or NULL.  USAGE names the bad word. */
bool arguments_parse(Arguments *arguments, const char *help, MonattError *err) MONATT_MUST_CHECK;
void arguments_clear(Arguments *arguments);

/* The last one of an option's values; NULL when it is not given (or has none). */
const char *arguments_value(const Arguments *arguments, const char *option);
bool arguments_has(const Arguments *arguments, const char *option);

#endif
