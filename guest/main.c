/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - the command line of monatt-guest
 *
 * Runs inside the guest, on any Linux, with nothing but itself: linked statically.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "guest/command.h"
#include "libmonatt/base/log.h"
#include "monatt-version.h"

static const char help[] =
    "usage: monatt-guest read [N] [--json]\n"
    "       monatt-guest extend N DIGEST [DIGEST] [--content TEXT]\n"
    "       monatt-guest extend N --file FILE [--content TEXT]\n"
    "       monatt-guest reset N\n"
    "       monatt-guest processes [--follow]\n"
    "       monatt-guest status [--json]\n"
    "       monatt-guest report --inblob FILE|HEX [--output FILE]\n"
    "       monatt-guest ima-follow [--once] [--register N] [--begin-anew] [--json]\n"
    "       monatt-guest --version | --help\n"
    "\n"
    "The attestation device of this VM, as seen from inside.\n"
    "\n"
    "  read        the registers MR0 to MR23, or register N\n"
    "  extend      MR[N] <- H(MR[N] || digest) for N 0 to 16 and 23; DIGEST is hexadecimal,\n"
    "              64 digits for the SHA-256 bank, 96 for the SHA-384 bank, one of each for both\n"
    "  reset       MR16 or MR23 to zeros\n"
    "  processes   hand this guest's list of processes to the host, bound to the host's nonce\n"
    "  status      the device, and the way to it\n"
    "  report      evidence about this VM from its host, bound to the inblob\n"
    "  ima-follow  bring the kernel's IMA list into MR10, as it is in PCR 10 of a TPM\n"
    "\n"
    "  --file FILE      both digests of FILE ('-': standard input); its name is logged\n"
    "  --content TEXT   what the event log shall say was measured\n"
    "  --follow         stay, and hand a list over whenever the host shows a new nonce\n"
    "  --inblob WHAT    what the report shall be bound to: a file of 1 to 64 bytes, or "
    "hexadecimal\n"
    "  --output FILE    the report goes here, not to standard output\n"
    "  --once           end at the end of the list, do not wait for more\n"
    "  --register N     the entries for PCR N into MR[N] (10)\n"
    "  --begin-anew     MR[N] was extended by something else: record that, begin at the first "
    "entry\n"
    "  --json           one JSON object on stdout, also for errors\n"
    "  --driver FILE    the driver's device (/dev/monatt); without one the registers are mapped\n"
    "  --sysfs DIR      where sysfs is mounted (/sys)\n"
    "  --securityfs DIR where securityfs is mounted (/sys/kernel/security)\n"
    "  --proc DIR       where proc is mounted (/proc)\n"
    "  --run-dir DIR    what ima-follow notes until the next boot (/run/monatt)\n"
    "\n"
    "Exit: 0 done, 1 could not do it, 2 usage, 3 the host refuses a report.\n";

static int fail(const Options *options, const MonattError *err)
{
    if (options->json) {
        printf("{\"error\":{\"code\":\"%s\",\"message\":", monatt_error_code_name(err->code));
        command_print_json_text(err->message);
        printf(",\"hint\":");
        command_print_json_text(err->hint);
        printf("}}\n");
    } else {
        monatt_log_failure(err);
    }
    return monatt_error_exit_code(err->code);
}

static const GuestCommand *const commands[] = {
    &command_read,   &command_extend, &command_reset,      &command_processes,
    &command_status, &command_report, &command_ima_follow,
};

/* Everything that can be refused without the device. */
static bool check_usage(const GuestCommand *command, const Options *options, MonattError *err)
{
    const struct {
        unsigned bit;
        bool given;
        const char *name;
    } given[] = {
        {OPTION_FOLLOW, options->follow, "--follow"},
        {OPTION_FILE, options->file != NULL, "--file"},
        {OPTION_CONTENT, options->content != NULL, "--content"},
        {OPTION_INBLOB, options->inblob != NULL, "--inblob"},
        {OPTION_OUTPUT, options->output != NULL, "--output"},
        {OPTION_IMA, options->once, "--once"},
        {OPTION_IMA, options->begin_anew, "--begin-anew"},
        {OPTION_IMA, options->register_text != NULL, "--register"},
        {OPTION_IMA, options->securityfs != NULL, "--securityfs"},
    };
    if (options->count < command->minimum || options->count > command->maximum) {
        return command_usage(command->name, "wrong number of arguments", err);
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(given); i++) {
        if (given[i].given && !(command->options & given[i].bit)) {
            char why[64];
            snprintf(why, sizeof(why), "takes no %s", given[i].name);
            return command_usage(command->name, why, err);
        }
    }
    return !command->check || command->check(options, err);
}

static const struct option table[] = {{"json", no_argument, NULL, 'j'},
                                      {"follow", no_argument, NULL, 'f'},
                                      {"once", no_argument, NULL, 'o'},
                                      {"begin-anew", no_argument, NULL, 'b'},
                                      {"file", required_argument, NULL, 'F'},
                                      {"content", required_argument, NULL, 'c'},
                                      {"inblob", required_argument, NULL, 'i'},
                                      {"output", required_argument, NULL, 'O'},
                                      {"register", required_argument, NULL, 'r'},
                                      {"driver", required_argument, NULL, 'd'},
                                      {"sysfs", required_argument, NULL, 's'},
                                      {"securityfs", required_argument, NULL, 'S'},
                                      {"proc", required_argument, NULL, 'p'},
                                      {"run-dir", required_argument, NULL, 'R'},
                                      {"help", no_argument, NULL, 'h'},
                                      {"version", no_argument, NULL, 'v'},
                                      {0}};

/* Where the value of an option goes; NULL: it has none. */
static const char **value_of(Options *options, int option)
{
    switch (option) {
    case 'F':
        return &options->file;
    case 'c':
        return &options->content;
    case 'i':
        return &options->inblob;
    case 'O':
        return &options->output;
    case 'r':
        return &options->register_text;
    case 'd':
        return &options->driver;
    case 's':
        return &options->sysfs;
    case 'S':
        return &options->securityfs;
    case 'p':
        return &options->proc;
    case 'R':
        return &options->run_dir;
    default:
        return NULL;
    }
}

static bool parse_options(int argc, char **argv, Options *options, MonattError *err)
{
    int option;
    opterr = 0;
    *options = (Options){
        .driver = MONATT_DRIVER_PATH, .sysfs = "/sys", .proc = "/proc", .run_dir = "/run/monatt"};
    while ((option = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        const char **value = value_of(options, option);
        if (value) {
            *value = optarg;
            continue;
        }
        switch (option) {
        case 'j':
            options->json = true;
            break;
        case 'f':
            options->follow = true;
            break;
        case 'o':
            options->once = true;
            break;
        case 'b':
            options->begin_anew = true;
            break;
        case 'h':
            fputs(help, stdout);
            exit(MONATT_EXIT_DONE);
        case 'v':
            printf("monatt-guest %s\n", MONATT_VERSION);
            exit(MONATT_EXIT_DONE);
        default:
            return command_usage(argv[optind - 1], "unknown option, or without its value", err);
        }
    }
    options->count = argc - optind;
    options->arguments = argv + optind;
    return true;
}

int main(int argc, char **argv)
{
    monatt_log_init("monatt-guest");
    MonattError err = {0};
    Options options;
    GuestDevice device;
    if (!parse_options(argc, argv, &options, &err)) {
        return fail(&options, &err);
    }
    const char *name = options.count > 0 ? options.arguments[0] : "";
    const GuestCommand *command = NULL;
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(commands); i++) {
        command = strcmp(commands[i]->name, name) == 0 ? commands[i] : command;
    }
    if (!command) {
        command_usage(name, *name ? "unknown command" : "no command given", &err);
        return fail(&options, &err);
    }
    options.arguments++;
    options.count--;
    if (!check_usage(command, &options, &err) ||
        !guest_device_open(&device, options.driver, options.sysfs, &err)) {
        return fail(&options, &err);
    }
    bool ok = command->run(&options, &device, &err);
    guest_device_close(&device);
    if (ok && (fflush(stdout) != 0 || ferror(stdout))) {
        monatt_error_set_errno(&err, errno, "standard output");
        ok = false;
    }
    return ok ? MONATT_EXIT_DONE : fail(&options, &err);
}
