/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.c - name, machine type, accelerator, vCPUs and bus from QEMU's arguments
 *
 * Must never let something pass that would run unseen: what it does not understand is refused.
 */
#include "hw-attest/launcher/machine.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "hw-attest/launcher/keyval.h"
#include "hw-attest/launcher/memory.h"

#define SLOT_HIGHEST 0x1e /* 0x1f is the chipset's on q35 */
#define SLOT_LOWEST 2

bool machine_setting(const Arguments *arguments, const char *option, const char *implied,
                     const char *key, char ret_value[MACHINE_VALUE_SIZE], MonattError *err)
{
    ret_value[0] = '\0';
    for (size_t i = 0; i < arguments->count; i++) {
        const Argument *argument = &arguments->items[i];
        Keyval keyval;
        if (strcmp(argument->option, option) != 0 || !argument->value) {
            continue;
        }
        if (!keyval_parse(argument->value, implied, &keyval, err)) {
            return monatt_error_prefix(err, "option '-%s'", option);
        }
        const char *value = keyval_get(&keyval, key);
        if (value) {
            if (strlen(value) >= MACHINE_VALUE_SIZE) {
                keyval_clear(&keyval);
                return monatt_error_set(err, MONATT_ERROR_LIMIT, "option '-%s': '%s' is too long",
                                        option, key);
            }
            snprintf(ret_value, MACHINE_VALUE_SIZE, "%s", value);
        }
        keyval_clear(&keyval);
    }
    return true;
}

/* -machine and -M are one option. */
static bool machine_key(const Arguments *arguments, const char *key,
                        char ret_value[MACHINE_VALUE_SIZE], MonattError *err)
{
    char shorter[MACHINE_VALUE_SIZE];
    if (!machine_setting(arguments, "machine", "type", key, ret_value, err) ||
        !machine_setting(arguments, "M", "type", key, shorter, err)) {
        return false;
    }
    if (*shorter && *ret_value && strcmp(shorter, ret_value) != 0) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "option '-M': '%s' differs from -machine's", key);
        return monatt_error_hint(err, "give it once");
    }
    if (*shorter) {
        memcpy(ret_value, shorter, sizeof(shorter));
    }
    return true;
}

bool machine_backend(const Arguments *arguments, char ret_id[MACHINE_VALUE_SIZE], MonattError *err)
{
    return machine_key(arguments, "memory-backend", ret_id, err);
}

static bool machine_refuse(MonattError *err, const char *option, const char *why, const char *hint)
{
    monatt_error_set(err, MONATT_ERROR_USAGE, "option '%s': %s", option, why);
    return monatt_error_hint(err, "%s", hint);
}

/* What would escape the measurement, or cannot be with the device. */
static bool machine_refuse_options(const Arguments *arguments, MonattError *err)
{
    static const struct {
        const char *option;
        const char *why;
        const char *hint;
    } table[] = {
        {"incoming", "QEMU cannot migrate a VM that has the attest device",
         "start the VM anew; migration is not supported yet"},
        {"loadvm", "QEMU cannot restore a VM that has the attest device",
         "start the VM anew, from its disks"},
        {"only-migratable", "the attest device is not migratable", "leave it out"},
        {"readconfig", "what a file adds would not be measured",
         "give its settings on the command line"},
        {"writeconfig", "is not supported with the attest device", "leave it out"},
    };
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(table); i++) {
        if (arguments_has(arguments, table[i].option)) {
            char name[32];
            snprintf(name, sizeof(name), "-%s", table[i].option);
            return machine_refuse(err, name, table[i].why, table[i].hint);
        }
    }
    /* Other spellings of options that are read here; QEMU takes them as machine properties. */
    static const char *const keys[][2] = {
        {"kernel", "-kernel"},   {"initrd", "-initrd"},   {"append", "-append"},
        {"firmware", "-bios"},   {"shim", "-shim"},       {"memory.size", "-m"},
        {"memory", "-m"},        {"smp.cpus", "-smp"},    {"smp", "-smp"},
        {"smp.maxcpus", "-smp"}, {"smp.sockets", "-smp"}, {"smp.cores", "-smp"},
        {"smp.threads", "-smp"}, {"smp.dies", "-smp"},
    };
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(keys); i++) {
        char value[MACHINE_VALUE_SIZE];
        if (!machine_key(arguments, keys[i][0], value, err)) {
            return false;
        }
        if (*value) {
            monatt_error_set(err, MONATT_ERROR_USAGE, "option '-machine': '%s=' is not read here",
                             keys[i][0]);
            return monatt_error_hint(err, "use %s", keys[i][1]);
        }
    }
    return true;
}

/* "-name a,b" is a name that wanted a doubled comma. */
static bool machine_check_name_keys(const Arguments *arguments, MonattError *err)
{
    static const char *const known[] = {"guest", "process", "debug-threads"};
    for (size_t i = 0; i < arguments->count; i++) {
        Keyval keyval;
        if (strcmp(arguments->items[i].option, "name") != 0) {
            continue;
        }
        if (!keyval_parse(arguments->items[i].value, "guest", &keyval, err)) {
            return false;
        }
        bool good = true;
        for (size_t k = 0; good && k < keyval.count; k++) {
            good = false;
            for (size_t n = 0; !good && n < MONATT_ARRAY_SIZE(known); n++) {
                good = strcmp(keyval.pairs[k].key, known[n]) == 0;
            }
            if (!good) {
                monatt_error_set(err, MONATT_ERROR_USAGE, "'%.60s' is no setting of it",
                                 keyval.pairs[k].key);
            }
        }
        keyval_clear(&keyval);
        if (!good) {
            return false;
        }
    }
    return true;
}

static bool machine_read_name(const Arguments *arguments, Machine *machine, MonattError *err)
{
    char value[MACHINE_VALUE_SIZE];
    const char *uuid = arguments_value(arguments, "uuid");
    if (uuid && !monatt_text_to_uuid(uuid, machine->vid, err)) {
        monatt_error_prefix(err, "option '-uuid': '%.40s'", uuid);
        return monatt_error_hint(err, "for example 01234567-89ab-cdef-0123-456789abcdef");
    }
    if (!uuid) {
        if (getrandom(machine->vid, sizeof(machine->vid), 0) != (ssize_t)sizeof(machine->vid)) {
            return monatt_error_set(err, MONATT_ERROR_SYSTEM, "uuid: no random bytes");
        }
        machine->vid[6] = (uint8_t)((machine->vid[6] & 0x0f) | 0x40); /* RFC 9562: version 4 */
        machine->vid[8] = (uint8_t)((machine->vid[8] & 0x3f) | 0x80);
        machine->vid_made = true;
    }
    if (!machine_setting(arguments, "name", "guest", "guest", value, err)) {
        return false;
    }
    if (!arguments_has(arguments, "name")) {
        char text[MONATT_UUID_TEXT_SIZE];
        monatt_text_from_uuid(machine->vid, text);
        snprintf(machine->name, sizeof(machine->name), "vm-%.8s", text);
        return true;
    }
    if (!machine_check_name_keys(arguments, err) || !monatt_text_check_name(value, err)) {
        monatt_error_prefix(err, "option '-name'");
        return monatt_error_hint(
            err, "a VM's name has 1 to %d letters, digits and ._+-@:", MONATT_NAME_SIZE - 1);
    }
    memcpy(machine->name, value, strlen(value) + 1); /* the check knows its size */
    return true;
}

static bool machine_read_type(const Arguments *arguments, Machine *machine, MonattError *err)
{
    char type[MACHINE_VALUE_SIZE];
    if (!machine_key(arguments, "type", type, err)) {
        return false;
    }
    if (!*type) {
        snprintf(type, sizeof(type), "pc"); /* x86's default in all versions */
    }
    machine->is_q35 = strcmp(type, "q35") == 0 || strncmp(type, "pc-q35", 6) == 0;
    bool is_pc =
        strcmp(type, "pc") == 0 || strncmp(type, "pc-", 3) == 0 || strncmp(type, "ubuntu", 6) == 0;
    if ((!machine->is_q35 && !is_pc) || strlen(type) >= sizeof(machine->type)) {
        monatt_error_set(err, MONATT_ERROR_USAGE,
                         "machine '%.60s': has no PCI bus that the attest device fits on", type);
        return monatt_error_hint(err, "use -machine q35 or -machine pc");
    }
    snprintf(machine->type, sizeof(machine->type), "%s", type);
    machine->bus = machine->is_q35 ? "pcie.0" : "pci.0";
    return true;
}

/* One of QEMU's list "kvm:tcg"; true when it decides, false when the next one is to be tried. */
static bool machine_try(const char *name, size_t length, bool last, Machine *machine, bool *decided,
                        MonattError *err)
{
    if (length == 3 && strncmp(name, "tcg", 3) == 0) {
        machine->accelerator = MACHINE_TCG;
        *decided = true;
        return true;
    }
    if (length == 3 && strncmp(name, "kvm", 3) == 0) {
        int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        if (fd >= 0) {
            close(fd);
            machine->accelerator = MACHINE_KVM;
            *decided = true;
            return true;
        }
        if (!last) {
            return true;
        }
        int saved = errno;
        monatt_error_set_errno(err, saved, "accelerator 'kvm': '/dev/kvm'");
        if (err) {
            err->code = saved == ENOENT ? MONATT_ERROR_MISSING : MONATT_ERROR_PERMISSION;
        }
        return monatt_error_hint(err, "use -accel tcg, or -accel kvm -accel tcg for either");
    }
    monatt_error_set(err, MONATT_ERROR_USAGE,
                     "accelerator '%.*s': the attest device does not work under it",
                     (int)(length < 40 ? length : 40), name);
    return monatt_error_hint(err, "use -accel kvm or -accel tcg");
}

static bool machine_read_accelerator(const Arguments *arguments, Machine *machine, MonattError *err)
{
    char list[MACHINE_VALUE_SIZE];
    bool decided = false;
    if (!machine_key(arguments, "accel", list, err)) {
        return false;
    }
    size_t used = strlen(list);
    for (size_t i = 0; i < arguments->count; i++) {
        const Argument *argument = &arguments->items[i];
        char name[MACHINE_VALUE_SIZE] = "";
        if (strcmp(argument->option, "enable-kvm") == 0) {
            snprintf(name, sizeof(name), "kvm");
        } else if (strcmp(argument->option, "accel") == 0) {
            Keyval keyval;
            if (!keyval_parse(argument->value, "accel", &keyval, err)) {
                return monatt_error_prefix(err, "option '-accel'");
            }
            const char *value = keyval_get(&keyval, "accel");
            snprintf(name, sizeof(name), "%s", value ? value : "");
            keyval_clear(&keyval);
        }
        if (*name) {
            int size = snprintf(list + used, sizeof(list) - used, "%s%s", used ? ":" : "", name);
            if (size < 0 || (size_t)size >= sizeof(list) - used) {
                return monatt_error_set(err, MONATT_ERROR_LIMIT, "accelerators: too many");
            }
            used += (size_t)size;
        }
    }
    if (used == 0) {
        machine->accelerator = MACHINE_TCG;
        return true;
    }
    for (const char *at = list; !decided && *at;) {
        size_t length = strcspn(at, ":");
        bool last = at[length] == '\0';
        if (!machine_try(at, length, last, machine, &decided, err)) {
            return false;
        }
        at += length + !last;
    }
    return true;
}

static bool machine_number(const Arguments *arguments, const char *key, uint64_t missing,
                           uint64_t *ret, MonattError *err)
{
    char value[MACHINE_VALUE_SIZE];
    char *end;
    if (!machine_setting(arguments, "smp", "cpus", key, value, err)) {
        return false;
    }
    *ret = missing;
    if (!*value) {
        return true;
    }
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno != 0 || end == value || *end || value[0] == '-' || number > UINT32_MAX) {
        return monatt_error_set(err, MONATT_ERROR_USAGE, "option '-smp': '%s=%.40s': not a number",
                                key, value);
    }
    *ret = number;
    return true;
}

static bool machine_read_vcpus(const Arguments *arguments, Machine *machine, MonattError *err)
{
    static const char *const parts[] = {"sockets", "dies",  "clusters",
                                        "modules", "cores", "threads"};
    uint64_t cpus;
    uint64_t maximum;
    uint64_t product = 1;
    if (!machine_number(arguments, "cpus", 0, &cpus, err) ||
        !machine_number(arguments, "maxcpus", 0, &maximum, err)) {
        return false;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(parts); i++) {
        uint64_t part;
        if (!machine_number(arguments, parts[i], 1, &part, err)) {
            return false;
        }
        /* Each is at most UINT32_MAX; past the limit its exact value does not matter. */
        product = part > MONATT_VCPUS_MAXIMUM ? UINT32_MAX : product * (part ? part : 1);
        product = product > UINT32_MAX ? UINT32_MAX : product;
    }
    uint64_t count = cpus > maximum ? cpus : maximum;
    if (count == 0) {
        count = product;
    }
    if (count > MONATT_VCPUS_MAXIMUM) {
        monatt_error_set(err, MONATT_ERROR_LIMIT, "option '-smp': %llu vCPUs are too many",
                         (unsigned long long)count);
        return monatt_error_hint(err, "1 to %d vCPUs can be watched", MONATT_VCPUS_MAXIMUM);
    }
    machine->vcpus = (uint32_t)count;
    return true;
}

/* The highest slot that no -device names: libvirt and people count from below. */
static bool machine_find_slot(const Arguments *arguments, Machine *machine, MonattError *err)
{
    bool taken[32] = {false};
    for (size_t i = 0; i < arguments->count; i++) {
        Keyval keyval;
        if (strcmp(arguments->items[i].option, "device") != 0) {
            continue;
        }
        if (!keyval_parse(arguments->items[i].value, "driver", &keyval, err)) {
            return monatt_error_prefix(err, "option '-device'");
        }
        const char *bus = keyval_get(&keyval, "bus");
        const char *address = keyval_get(&keyval, "addr");
        if (address && (!bus || strcmp(bus, machine->bus) == 0)) {
            unsigned long slot = strtoul(address, NULL, 16);
            taken[slot & 31] = true;
        }
        keyval_clear(&keyval);
    }
    for (unsigned slot = SLOT_HIGHEST; slot >= SLOT_LOWEST; slot--) {
        if (!taken[slot]) {
            machine->slot = slot;
            return true;
        }
    }
    monatt_error_set(err, MONATT_ERROR_LIMIT, "bus '%s': no slot is free", machine->bus);
    return monatt_error_hint(err, "put some devices behind a bridge or root port");
}

/* -no-reboot is -action reboot=shutdown, -no-shutdown is -action shutdown=pause; the last counts.
 */
static bool machine_read_actions(const Arguments *arguments, Machine *machine, MonattError *err)
{
    for (size_t i = 0; i < arguments->count; i++) {
        const Argument *argument = &arguments->items[i];
        Keyval keyval;
        if (strcmp(argument->option, "no-reboot") == 0) {
            machine->actions |= MONATT_ACTION_NO_REBOOT;
        } else if (strcmp(argument->option, "no-shutdown") == 0) {
            machine->actions |= MONATT_ACTION_NO_SHUTDOWN;
        } else if (strcmp(argument->option, "action") == 0) {
            if (!keyval_parse(argument->value, NULL, &keyval, err)) {
                return monatt_error_prefix(err, "option '-action'");
            }
            const char *reboot = keyval_get(&keyval, "reboot");
            const char *shutdown = keyval_get(&keyval, "shutdown");
            if (reboot) {
                machine->actions &= (uint8_t)~MONATT_ACTION_NO_REBOOT;
                machine->actions |= strcmp(reboot, "shutdown") == 0 ? MONATT_ACTION_NO_REBOOT : 0;
            }
            if (shutdown) {
                machine->actions &= (uint8_t)~MONATT_ACTION_NO_SHUTDOWN;
                machine->actions |= strcmp(shutdown, "pause") == 0 ? MONATT_ACTION_NO_SHUTDOWN : 0;
            }
            keyval_clear(&keyval);
        }
    }
    return true;
}

bool machine_read(const Arguments *arguments, Machine *ret, MonattError *err)
{
    memset(ret, 0, sizeof(*ret));
    return machine_refuse_options(arguments, err) && machine_read_name(arguments, ret, err) &&
           machine_read_type(arguments, ret, err) &&
           machine_read_accelerator(arguments, ret, err) &&
           machine_read_vcpus(arguments, ret, err) && machine_read_actions(arguments, ret, err) &&
           memory_read(arguments, ret, err) && machine_find_slot(arguments, ret, err);
}
