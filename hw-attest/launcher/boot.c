/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.c - firmware, kernel, initrd, command line, option ROMs, and files the guest sees early
 *
 * What QEMU only reads is replaced by a sealed copy.  What the guest may write (a variable store)
 * stays in its place and is measured there.
 */
#include "hw-attest/launcher/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hw-attest/launcher/description.h"
#include "hw-attest/launcher/keyval.h"

#define PFLASH_UNITS 2
#define NODES_MAXIMUM 8 /* block nodes between a pflash and its file */

/* Replaces one setting of an argument's value. */
static bool boot_replace(Arguments *arguments, Argument *argument, Keyval *keyval, const char *key,
                         const char *value, MonattError *err)
{
    if (!keyval_set(keyval, key, value, err)) {
        return false;
    }
    char *text MONATT_CLEANUP_FREE = keyval_text(keyval);
    if (!text) {
        return monatt_error_set_errno(err, ENOMEM, "option '-%s'", argument->option);
    }
    words_set(&arguments->words, argument->at, text);
    argument->value = arguments->words.items[argument->at];
    return words_finish(&arguments->words, err);
}

/* An option whose whole value is a path, e.g. -kernel. */
static bool boot_whole(Arguments *arguments, const char *option, uint16_t kind, Boot *boot,
                       MonattError *err)
{
    for (size_t i = 0; i < arguments->count; i++) {
        Argument *argument = &arguments->items[i];
        char path[MEASURE_PATH_SIZE];
        if (strcmp(argument->option, option) != 0) {
            continue;
        }
        if (!measure_file(&boot->measure, kind, argument->value, path, err)) {
            return false;
        }
        words_set(&arguments->words, argument->at, path);
        argument->value = arguments->words.items[argument->at];
    }
    return words_finish(&arguments->words, err);
}

/* QEMU takes the last of several; the others are not loaded and must not be measured. */
static void boot_drop_all_but_last(Arguments *arguments, const char *option)
{
    bool seen = false;
    for (size_t i = arguments->count; i > 0; i--) {
        Argument *argument = &arguments->items[i - 1];
        if (strcmp(argument->option, option) != 0) {
            continue;
        }
        if (seen) {
            argument->option = "dropped";
        }
        seen = true;
    }
}

static bool boot_kernel(Arguments *arguments, Boot *boot, MonattError *err)
{
    static const char *const options[] = {"kernel", "initrd", "append", "shim", "dtb"};
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(options); i++) {
        boot_drop_all_but_last(arguments, options[i]);
    }
    if (!boot_whole(arguments, "kernel", MONATT_BOOT_KERNEL, boot, err) ||
        !boot_whole(arguments, "initrd", MONATT_BOOT_INITRD, boot, err) ||
        !boot_whole(arguments, "shim", MONATT_BOOT_OPTION_ROM, boot, err) ||
        !boot_whole(arguments, "dtb", MONATT_BOOT_OPTION_ROM, boot, err)) {
        return false;
    }
    if (!arguments_has(arguments, "kernel")) {
        return true;
    }
    const char *line = arguments_value(arguments, "append");
    line = line ? line : "";
    return measure_bytes(&boot->measure, MONATT_BOOT_COMMAND_LINE, line, line, strlen(line), err);
}

/* As QEMU looks for firmware: the name itself, then each folder. */
static bool boot_find_firmware(const Probe *probe, const char *name, char ret_path[PATH_MAX],
                               MonattError *err)
{
    const char *line = probe->data_dirs ? probe->data_dirs : "";
    if (strlen(name) < PATH_MAX && access(name, R_OK) == 0) {
        snprintf(ret_path, PATH_MAX, "%s", name);
        return true;
    }
    while (*line) {
        size_t length = strcspn(line, "\n");
        int size = snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)length, line, name);
        if (length > 0 && size > 0 && size < PATH_MAX && access(ret_path, R_OK) == 0) {
            return true;
        }
        line += length + (line[length] == '\n');
    }
    monatt_error_set(err, MONATT_ERROR_MISSING, "firmware: '%.80s': is in none of QEMU's folders",
                     name);
    return monatt_error_hint(err, "install it (apt install seabios) or say -bios FILE or -L DIR");
}

/* The file behind a block node, and whether the guest may write it; "" when there is none. */
typedef struct BootNode {
    size_t argument;
    char key[64];
    char path[PATH_MAX];
    bool read_only;
} BootNode;

static bool boot_node(Arguments *arguments, const char *name, BootNode *ret, MonattError *err)
{
    char wanted[MACHINE_VALUE_SIZE];
    snprintf(wanted, sizeof(wanted), "%s", name);
    memset(ret, 0, sizeof(*ret));
    for (int step = 0; step < NODES_MAXIMUM; step++) {
        char next[MACHINE_VALUE_SIZE] = "";
        for (size_t i = 0; i < arguments->count; i++) {
            Keyval node;
            if (strcmp(arguments->items[i].option, "blockdev") != 0) {
                continue;
            }
            if (!keyval_parse(arguments->items[i].value, "driver", &node, err)) {
                return monatt_error_prefix(err, "option '-blockdev'");
            }
            const char *node_name = keyval_get(&node, "node-name");
            if (node_name && strcmp(node_name, wanted) == 0) {
                static const char *const keys[] = {"filename", "file.filename"};
                for (size_t k = 0; k < MONATT_ARRAY_SIZE(keys) && !*ret->path; k++) {
                    const char *path = keyval_get(&node, keys[k]);
                    if (path) {
                        ret->argument = i;
                        snprintf(ret->key, sizeof(ret->key), "%s", keys[k]);
                        snprintf(ret->path, sizeof(ret->path), "%s", path);
                    }
                }
                ret->read_only = ret->read_only || keyval_is_on(&node, "read-only", false);
                const char *file = keyval_get(&node, "file");
                snprintf(next, sizeof(next), "%s", file ? file : "");
            }
            keyval_clear(&node);
        }
        if (*ret->path || !*next) {
            break;
        }
        memcpy(wanted, next, sizeof(wanted));
    }
    return true;
}

/* Unit 0 is firmware, also when it is writable; unit 1 the variable store. */
static bool boot_flash(Arguments *arguments, size_t argument, const char *key, const char *path,
                       bool read_only, unsigned unit, Boot *boot, MonattError *err)
{
    uint16_t kind = unit == 0 ? MONATT_BOOT_FIRMWARE : MONATT_BOOT_VARIABLE_STORE;
    if (!read_only) {
        return measure_in_place(&boot->measure, kind, path, err);
    }
    char sealed[MEASURE_PATH_SIZE];
    Keyval keyval;
    if (!measure_file(&boot->measure, kind, path, sealed, err)) {
        return false;
    }
    if (!keyval_parse(arguments->items[argument].value, NULL, &keyval, err)) {
        return false;
    }
    bool good = boot_replace(arguments, &arguments->items[argument], &keyval, key, sealed, err);
    keyval_clear(&keyval);
    return good;
}

/* -machine pflash0=NODE, as libvirt gives it. */
static bool boot_flash_nodes(Arguments *arguments, Boot *boot, bool *ret_firmware, MonattError *err)
{
    static const char *const options[] = {"machine", "M"};
    for (unsigned unit = 0; unit < PFLASH_UNITS; unit++) {
        char key[] = "pflash0";
        key[6] = (char)('0' + unit);
        for (size_t i = 0; i < MONATT_ARRAY_SIZE(options); i++) {
            char name[MACHINE_VALUE_SIZE];
            BootNode node;
            if (!machine_setting(arguments, options[i], "type", key, name, err)) {
                return false;
            }
            if (!*name) {
                continue;
            }
            if (!boot_node(arguments, name, &node, err)) {
                return false;
            }
            if (!*node.path) {
                monatt_error_set(err, MONATT_ERROR_USAGE, "firmware: '%s=%.60s': no file behind it",
                                 key, name);
                return monatt_error_hint(err, "give it as -blockdev with a file");
            }
            *ret_firmware = *ret_firmware || unit == 0;
            if (!boot_flash(arguments, node.argument, node.key, node.path, node.read_only, unit,
                            boot, err)) {
                return false;
            }
        }
    }
    return true;
}

/* -drive if=pflash and -pflash; units count in order unless said. */
static bool boot_flash_drives(Arguments *arguments, Boot *boot, bool *ret_firmware,
                              MonattError *err)
{
    unsigned next = 0;
    for (size_t i = 0; i < arguments->count; i++) {
        Argument *argument = &arguments->items[i];
        Keyval drive;
        if (strcmp(argument->option, "pflash") == 0) {
            *ret_firmware = true;
            if (!boot_flash(arguments, i, "", argument->value, false, next++, boot, err)) {
                return false;
            }
            continue;
        }
        if (strcmp(argument->option, "drive") != 0) {
            continue;
        }
        if (!keyval_parse(argument->value, NULL, &drive, err)) {
            return monatt_error_prefix(err, "option '-drive'");
        }
        const char *interface = keyval_get(&drive, "if");
        const char *number = keyval_get(&drive, "unit");
        const char *key = keyval_get(&drive, "file") ? "file" : "file.filename";
        const char *path = keyval_get(&drive, key);
        bool read_only =
            keyval_is_on(&drive, "readonly", false) || keyval_is_on(&drive, "read-only", false);
        bool is_flash = interface && strcmp(interface, "pflash") == 0;
        bool good = true;
        if (is_flash && !path) {
            good = monatt_error_set(err, MONATT_ERROR_USAGE, "option '-drive': pflash has no file");
        } else if (is_flash) {
            unsigned unit = number ? (unsigned)strtoul(number, NULL, 0) : next;
            next = unit + 1;
            *ret_firmware = true;
            good = boot_flash(arguments, i, key, path, read_only, unit, boot, err);
        }
        keyval_clear(&drive);
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool boot_firmware(Arguments *arguments, const Probe *probe, Boot *boot, MonattError *err)
{
    char path[PATH_MAX];
    char sealed[MEASURE_PATH_SIZE];
    bool flash = false;
    boot_drop_all_but_last(arguments, "bios");
    if (!boot_flash_nodes(arguments, boot, &flash, err) ||
        !boot_flash_drives(arguments, boot, &flash, err)) {
        return false;
    }
    const char *name = arguments_value(arguments, "bios");
    if (flash && !name) {
        return true;
    }
    /* The default of pc and q35 since 2.0. */
    if (!boot_find_firmware(probe, name ? name : "bios-256k.bin", path, err) ||
        !measure_file(&boot->measure, MONATT_BOOT_FIRMWARE, path, sealed, err)) {
        return false;
    }
    words_add(&boot->added, "-bios");
    words_add(&boot->added, sealed);
    return words_finish(&boot->added, err);
}

/* A file that goes into the machine description: a line "what,sha256=…". */
static bool boot_fact(Boot *boot, const char *what, const char *path,
                      char ret_path[MEASURE_PATH_SIZE], MonattError *err)
{
    MonattBootItemPayload digests;
    char digest[2 * MONATT_SHA384_SIZE + 1];
    if (!measure_sealed(path, what, ret_path, &digests, err)) {
        return false;
    }
    monatt_text_from_bytes(digests.sha384, sizeof(digests.sha384), digest);
    words_add_format(&boot->facts, "%s,sha384=%s", what, digest);
    return words_finish(&boot->facts, err);
}

/* Files that the guest sees before or beside its disks, by option and setting. */
static const struct {
    const char *option;
    const char *implied;
    const char *key;
    const char *named_by; /* a setting that belongs to the fact, or NULL */
    bool is_rom;          /* code: an item of its own */
} boot_files[] = {
    {"fw_cfg", "name", "file", "name", false},
    {"smbios", NULL, "file", NULL, false},
    {"acpitable", NULL, "file", NULL, false},
    {"acpitable", NULL, "data", NULL, false},
    {"option-rom", "romfile", "romfile", NULL, true},
    {"device", "driver", "romfile", NULL, true},
    {"device", "driver", "file", "driver", false},
    {"device", "driver", "kernel", "driver", false},
    {"device", "driver", "initrd", "driver", false},
};

static bool boot_other_file(Arguments *arguments, Argument *argument, size_t file, Boot *boot,
                            MonattError *err)
{
    Keyval keyval;
    char sealed[MEASURE_PATH_SIZE];
    if (!keyval_parse(argument->value, boot_files[file].implied, &keyval, err)) {
        return monatt_error_prefix(err, "option '-%s'", argument->option);
    }
    const char *path = keyval_get(&keyval, boot_files[file].key);
    const char *driver = keyval_get(&keyval, "driver");
    /* Of devices only the loaders have files in these; romfile="" means none. */
    bool is_loader =
        driver && (strcmp(driver, "loader") == 0 || strcmp(driver, "guest-loader") == 0);
    bool counts = path && *path &&
                  (strcmp(argument->option, "device") != 0 || boot_files[file].is_rom || is_loader);
    bool good = true;
    if (counts && boot_files[file].is_rom) {
        good = measure_file(&boot->measure, MONATT_BOOT_OPTION_ROM, path, sealed, err);
    } else if (counts) {
        char what[MACHINE_VALUE_SIZE];
        const char *name =
            boot_files[file].named_by ? keyval_get(&keyval, boot_files[file].named_by) : NULL;
        snprintf(what, sizeof(what), "%s%s%s", argument->option, name ? "=" : "", name ? name : "");
        good = boot_fact(boot, what, path, sealed, err);
    }
    if (good && counts) {
        good = boot_replace(arguments, argument, &keyval, boot_files[file].key, sealed, err);
    }
    keyval_clear(&keyval);
    return good;
}

static bool boot_others(Arguments *arguments, Boot *boot, MonattError *err)
{
    for (size_t i = 0; i < arguments->count; i++) {
        for (size_t file = 0; file < MONATT_ARRAY_SIZE(boot_files); file++) {
            if (strcmp(arguments->items[i].option, boot_files[file].option) == 0 &&
                !boot_other_file(arguments, &arguments->items[i], file, boot, err)) {
                return false;
            }
        }
    }
    return true;
}

bool boot_measure(Arguments *arguments, const Machine *machine, const Probe *probe, Boot *ret,
                  MonattError *err)
{
    memset(ret, 0, sizeof(*ret));
    ret->description = NULL;
    if (!measure_in_place(&ret->measure, MONATT_BOOT_QEMU, probe->path, err) ||
        !boot_firmware(arguments, probe, ret, err) || !boot_kernel(arguments, ret, err) ||
        !boot_others(arguments, ret, err)) {
        return false;
    }
    char summary[MONATT_TEXT_MAXIMUM];
    if (!description_write(arguments, machine, &ret->facts, &ret->description, summary,
                           sizeof(summary), err)) {
        return false;
    }
    return measure_bytes(&ret->measure, MONATT_BOOT_MACHINE, summary, ret->description,
                         strlen(ret->description), err);
}

void boot_clear(Boot *boot)
{
    words_clear(&boot->added);
    words_clear(&boot->facts);
    free(boot->description);
    memset(boot, 0, sizeof(*boot));
}
