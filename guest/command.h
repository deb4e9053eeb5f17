/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.h - what monatt-guest can be told: options and the commands that take them
 */
#ifndef GUEST_COMMAND_H
#define GUEST_COMMAND_H

#include "guest/guest-device.h"

typedef struct Options {
    bool json;
    bool follow;
    bool once;
    bool begin_anew;
    const char *file;
    const char *content;
    const char *inblob;
    const char *output;
    const char *register_text; /* of --register */
    const char *driver;
    const char *sysfs;
    const char *securityfs; /* NULL: below sysfs */
    const char *proc;
    const char *run_dir;
    int count; /* arguments after the command */
    char **arguments;
} Options;

/* Options that only some commands take. */
typedef enum OptionBit {
    OPTION_FOLLOW = 0x01,
    OPTION_FILE = 0x02,
    OPTION_CONTENT = 0x04,
    OPTION_INBLOB = 0x08,
    OPTION_OUTPUT = 0x10,
    OPTION_IMA = 0x20, /* --once, --begin-anew, --register, --securityfs, --run-dir */
} OptionBit;

typedef struct GuestCommand {
    const char *name;
    int minimum, maximum; /* arguments */
    unsigned options;     /* OptionBits */
    /* All that can be refused without the device; may be NULL. */
    bool (*check)(const Options *options, MonattError *err);
    bool (*run)(const Options *options, GuestDevice *device, MonattError *err);
} GuestCommand;

extern const GuestCommand command_read;
extern const GuestCommand command_extend;
extern const GuestCommand command_reset;
extern const GuestCommand command_processes;
extern const GuestCommand command_status;
extern const GuestCommand command_report;
extern const GuestCommand command_ima_follow;

/* What several of them need; all return false after an error. */
bool command_usage(const char *what, const char *why, MonattError *err);
bool command_parse_index(const char *text, uint32_t *ret_index, MonattError *err);
/* Printable ASCII in quotes, for JSON. */
void command_print_json_text(const char *text);

#endif
