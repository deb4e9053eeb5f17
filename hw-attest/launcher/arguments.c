/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arguments.c - reads QEMU's command line; must never take a value for an option or the reverse
 */
#include "hw-attest/launcher/arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* QEMU 6 to 11, qemu-options.def; x86. */
static const char *const without_value[] = {
    "S",
    "alt-grab",
    "async-teardown",
    "ctrl-grab",
    "daemonize",
    "enable-fips",
    "enable-kvm",
    "enable-sync-profile",
    "exit-with-parent",
    "full-screen",
    "h",
    "help",
    "jitdump",
    "mem-prealloc",
    "no-acpi",
    "no-fd-bootchk",
    "no-hpet",
    "no-quit",
    "no-reboot",
    "no-shutdown",
    "no-user-config",
    "nodefaults",
    "nodefconfig",
    "nographic",
    "old-param",
    "one-insn-per-tb",
    "only-migratable",
    "perfmap",
    "portrait",
    "preconfig",
    "semihosting",
    "singlestep",
    "snapshot",
    "usb",
    "version",
    "win2k-hack",
    "xen-attach",
    "xen-domid-restrict",
};
static const char *const with_value[] = {
    "D",
    "L",
    "M",
    "T",
    "accel",
    "acpitable",
    "action",
    "add-fd",
    "append",
    "audio",
    "audiodev",
    "bios",
    "blockdev",
    "boot",
    "bt",
    "cdrom",
    "chardev",
    "chroot",
    "compat",
    "cpu",
    "d",
    "debugcon",
    "device",
    "dfilter",
    "display",
    "drive",
    "dtb",
    "dump-vmstate",
    "echr",
    "fda",
    "fdb",
    "fsdev",
    "fw_cfg",
    "g",
    "gdb",
    "global",
    "hda",
    "hdb",
    "hdc",
    "hdd",
    "icount",
    "incoming",
    "initrd",
    "iscsi",
    "k",
    "kernel",
    "loadvm",
    "m",
    "machine",
    "mem-path",
    "mon",
    "monitor",
    "msg",
    "mtdblock",
    "name",
    "netdev",
    "nic",
    "numa",
    "object",
    "option-rom",
    "overcommit",
    "parallel",
    "pflash",
    "pidfile",
    "plugin",
    "prom-env",
    "qmp",
    "qmp-pretty",
    "qtest",
    "qtest-log",
    "readconfig",
    "realtime",
    "rotate",
    "rtc",
    "run-with",
    "runas",
    "sandbox",
    "sd",
    "seed",
    "semihosting-config",
    "serial",
    "set",
    "shim",
    "smbios",
    "smp",
    "spice",
    "tb-size",
    "tpmdev",
    "trace",
    "usbdevice",
    "uuid",
    "vga",
    "virtfs",
    "vnc",
    "vmnet",
    "watchdog",
    "watchdog-action",
    "writeconfig",
    "xen-domid",
    "net",
    "igd-passthrough",
};

static bool arguments_listed(const char *option, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(option, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The option's name, or NULL for a word that is none. */
static const char *arguments_name(const char *word)
{
    if (word[0] != '-' || word[1] == '\0') {
        return NULL; /* "-" alone is a disk image to QEMU */
    }
    return word[1] == '-' ? word + 2 : word + 1;
}

typedef enum ArgumentForm { FORM_UNKNOWN, FORM_FLAG, FORM_VALUE } ArgumentForm;

/* In -help "-S   freeze" has no value, "-name string" has one, "-no-user-config\n" none. */
static ArgumentForm arguments_form_in_help(const char *option, const char *help)
{
    size_t length = strlen(option);
    const char *line = help;
    while (line && *line) {
        if (line[0] == '-' && strncmp(line + 1, option, length) == 0) {
            const char *rest = line + 1 + length;
            if (rest[0] == '\n' || (rest[0] == ' ' && (rest[1] == ' ' || rest[1] == '\n'))) {
                return FORM_FLAG;
            }
            if (rest[0] == ' ') {
                return FORM_VALUE;
            }
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return FORM_UNKNOWN;
}

static ArgumentForm arguments_form(const char *option, const char *help)
{
    if (arguments_listed(option, without_value, MONATT_ARRAY_SIZE(without_value))) {
        return FORM_FLAG;
    }
    if (arguments_listed(option, with_value, MONATT_ARRAY_SIZE(with_value))) {
        return FORM_VALUE;
    }
    return *option && help ? arguments_form_in_help(option, help) : FORM_UNKNOWN;
}

static bool arguments_usage(MonattError *err, const char *word, const char *why)
{
    monatt_error_set(err, MONATT_ERROR_USAGE, "option '%.80s': %s", word, why);
    return monatt_error_hint(err, "see 'monatt-qemu --monatt-help' and 'qemu-system-x86_64 -help'");
}

bool arguments_take_own(int argc, char *const argv[], Arguments *ret, MonattError *err)
{
    static const char prefix[] = "monatt-";
    memset(ret, 0, sizeof(*ret));
    ArgumentsOwn *own = &ret->own;
    const struct {
        const char *name;
        const char **value;
        bool *flag;
    } table[] = {
        {"run-dir", &own->run_dir, NULL},
        {"qemu", &own->qemu, NULL},
        {"plugin-options", &own->plugin_options, NULL},
        {"wire", &own->wire, NULL},
        {"no-plugin", NULL, &own->no_plugin},
        {"private", NULL, &own->private_vm},
        {"dry-run", NULL, &own->dry_run},
        {"help", NULL, &own->help},
        {"version", NULL, &own->version},
    };
    for (int i = 1; i < argc; i++) {
        const char *name = arguments_name(argv[i]);
        if (!name || strncmp(name, prefix, strlen(prefix)) != 0) {
            words_add(&ret->words, argv[i]);
            continue;
        }
        name += strlen(prefix);
        size_t length = strcspn(name, "=");
        size_t known = 0;
        while (known < MONATT_ARRAY_SIZE(table) &&
               (strlen(table[known].name) != length ||
                strncmp(table[known].name, name, length) != 0)) {
            known++;
        }
        if (known == MONATT_ARRAY_SIZE(table)) {
            return arguments_usage(err, argv[i], "monatt-qemu does not know it");
        }
        if (table[known].flag) {
            if (name[length] == '=') {
                return arguments_usage(err, argv[i], "takes no value");
            }
            *table[known].flag = true;
        } else if (name[length] == '=') {
            *table[known].value = name + length + 1;
        } else if (++i < argc) {
            *table[known].value = argv[i];
        } else {
            return arguments_usage(err, argv[i - 1], "its value is missing");
        }
        if (table[known].value && **table[known].value == '\0') {
            return arguments_usage(err, argv[i], "its value is empty");
        }
    }
    return words_finish(&ret->words, err);
}

static bool arguments_ends_in_help(const char *value)
{
    size_t length = strlen(value);
    return strcmp(value, "help") == 0 || strcmp(value, "?") == 0 ||
           (length > 5 && strcmp(value + length - 5, ",help") == 0) ||
           (length > 2 && strcmp(value + length - 2, ",?") == 0);
}

bool arguments_is_probe(const Arguments *arguments)
{
    for (size_t i = 0; i < arguments->words.count; i++) {
        const char *name = arguments_name(arguments->words.items[i]);
        if (!name) {
            continue;
        }
        if (strcmp(name, "h") == 0 || strcmp(name, "help") == 0 || strcmp(name, "version") == 0) {
            return true;
        }
        if (arguments_form(name, NULL) != FORM_VALUE || i + 1 >= arguments->words.count) {
            continue;
        }
        const char *value = arguments->words.items[++i];
        bool is_machine = strcmp(name, "machine") == 0 || strcmp(name, "M") == 0;
        if (is_machine && (strcmp(value, "none") == 0 || strncmp(value, "none,", 5) == 0)) {
            return true;
        }
        /* A VM may be named "help"; only lists of what QEMU has are asked for so. */
        static const char *const lists[] = {"machine", "M",       "cpu",      "accel",  "device",
                                            "object",  "L",       "d",        "global", "audiodev",
                                            "netdev",  "chardev", "display",  "vga",    "trace",
                                            "tpmdev",  "drive",   "watchdog", "audio"};
        if (arguments_listed(name, lists, MONATT_ARRAY_SIZE(lists)) &&
            arguments_ends_in_help(value)) {
            return true;
        }
    }
    return false;
}

bool arguments_folders(const Arguments *arguments, Words *ret, MonattError *err)
{
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i + 1 < arguments->words.count; i++) {
        const char *name = arguments_name(arguments->words.items[i]);
        if (!name || arguments_form(name, NULL) != FORM_VALUE) {
            continue;
        }
        i++;
        if (strcmp(name, "L") == 0) {
            words_add(ret, arguments->words.items[i]);
        }
    }
    return words_finish(ret, err);
}

bool arguments_parse(Arguments *arguments, const char *help, MonattError *err)
{
    const Words *words = &arguments->words;
    arguments->items = calloc(words->count + 1, sizeof(*arguments->items));
    if (!arguments->items) {
        return monatt_error_set_errno(err, ENOMEM, "command line");
    }
    for (size_t i = 0; i < words->count; i++) {
        const char *name = arguments_name(words->items[i]);
        Argument *argument = &arguments->items[arguments->count];
        if (!name) {
            *argument = (Argument){.option = "", .value = words->items[i], .at = i};
            arguments->count++;
            continue;
        }
        ArgumentForm form = arguments_form(name, help);
        if (form == FORM_UNKNOWN) {
            return arguments_usage(err, words->items[i], "this QEMU does not know it");
        }
        if (form == FORM_VALUE && i + 1 == words->count) {
            return arguments_usage(err, words->items[i], "its value is missing");
        }
        i += form == FORM_VALUE;
        *argument = (Argument){
            .option = name, .value = form == FORM_VALUE ? words->items[i] : NULL, .at = i};
        arguments->count++;
    }
    return true;
}

void arguments_clear(Arguments *arguments)
{
    words_clear(&arguments->words);
    free(arguments->items);
    memset(arguments, 0, sizeof(*arguments));
}

const char *arguments_value(const Arguments *arguments, const char *option)
{
    const char *value = NULL;
    for (size_t i = 0; i < arguments->count; i++) {
        if (strcmp(arguments->items[i].option, option) == 0 && arguments->items[i].value) {
            value = arguments->items[i].value;
        }
    }
    return value;
}

bool arguments_has(const Arguments *arguments, const char *option)
{
    for (size_t i = 0; i < arguments->count; i++) {
        if (strcmp(arguments->items[i].option, option) == 0) {
            return true;
        }
    }
    return false;
}
