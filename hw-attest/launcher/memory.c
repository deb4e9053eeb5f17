/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory.c - plain -m gets a shared backend; the user's own backends must be shared ones
 */
#include "hw-attest/launcher/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hw-attest/launcher/keyval.h"

#define DEFAULT_BYTES (128ULL << 20) /* of both pc and q35 */
#define ALIGN_BYTES 8192             /* QEMU rounds -m up to this */

bool memory_size(const char *text, char suffix, uint64_t *ret_bytes, MonattError *err)
{
    static const char suffixes[] = "BKMGTPE";
    char *end;
    double fraction = 0;
    errno = 0;
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    unsigned long long whole = strtoull(text, &end, hexadecimal ? 16 : 10);
    bool good = errno == 0 && end != text && text[0] >= '0' && text[0] <= '9';
    if (good && *end == '.' && !hexadecimal) {
        char *point = end;
        fraction = strtod(point, &end);
        good = fraction >= 0 && fraction < 1;
    }
    if (good && *end) {
        suffix = *end >= 'a' && *end <= 'z' ? (char)(*end - 'a' + 'A') : *end;
        good = end[1] == '\0';
    }
    const char *found = good ? strchr(suffixes, suffix) : NULL;
    uint64_t unit = found ? 1ULL << (10 * (found - suffixes)) : 0;
    if (!found || whole > (UINT64_MAX >> 1) / unit) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "option '-m': '%.40s': is not a size", text);
        return monatt_error_hint(err, "for example -m 512 or -m 2G");
    }
    *ret_bytes = whole * unit + (uint64_t)(fraction * (double)unit);
    return true;
}

static bool memory_refuse(MonattError *err, const char *id, const char *why, const char *hint)
{
    monatt_error_set(err, MONATT_ERROR_USAGE, "memory '%.60s': %s", id, why);
    return monatt_error_hint(err, "%s", hint);
}

static const char memfd_hint[] = "leave it to monatt-qemu (plain -m), or memory-backend-memfd,"
                                 "…,share=on; libvirt: source memfd, access shared";

static bool memory_check_object(const char *id, const Keyval *object, MonattError *err)
{
    const char *type = keyval_get(object, "qom-type");
    type = type ? type : "";
    if (strcmp(type, "memory-backend-memfd") == 0) {
        return keyval_is_on(object, "share", true)
                   ? true
                   : memory_refuse(err, id, "share=off: the device cannot see it", memfd_hint);
    }
    if (strcmp(type, "memory-backend-shm") == 0) {
        return true; /* always shared */
    }
    if (strcmp(type, "memory-backend-file") == 0) {
        const char *path = keyval_get(object, "mem-path");
        bool huge = path && strstr(path, "hugepages");
        return keyval_is_on(object, "share", false)
                   ? true
                   : memory_refuse(err, id,
                                   huge ? "private huge pages: the device cannot see them"
                                        : "a private file mapping: the device cannot see it",
                                   "add share=on to its -object memory-backend-file");
    }
    return memory_refuse(err, id, "memory-backend-ram has no descriptor to share", memfd_hint);
}

/* Finds an id among -object; each use of memory must name one that is shared. */
static bool memory_check_id(const Arguments *arguments, const char *id, MonattError *err)
{
    for (size_t i = 0; i < arguments->count; i++) {
        Keyval object;
        if (strcmp(arguments->items[i].option, "object") != 0) {
            continue;
        }
        if (!keyval_parse(arguments->items[i].value, "qom-type", &object, err)) {
            return monatt_error_prefix(err, "option '-object'");
        }
        const char *object_id = keyval_get(&object, "id");
        bool same = object_id && strcmp(object_id, id) == 0;
        bool good = !same || memory_check_object(id, &object, err);
        keyval_clear(&object);
        if (same || !good) {
            return good;
        }
    }
    return memory_refuse(err, id, "no -object has this id", "add it, or leave the backend out");
}

/* Memory that a device brings is RAM too. */
static bool memory_is_dimm(const char *driver)
{
    static const char *const drivers[] = {"pc-dimm", "nvdimm", "virtio-mem", "virtio-pmem"};
    for (size_t i = 0; driver && i < MONATT_ARRAY_SIZE(drivers); i++) {
        if (strncmp(driver, drivers[i], strlen(drivers[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* Checks every memdev= of an option; ret_count says how many there were. */
static bool memory_check_users(const Arguments *arguments, const char *option, const char *implied,
                               size_t *ret_count, MonattError *err)
{
    *ret_count = 0;
    for (size_t i = 0; i < arguments->count; i++) {
        Keyval keyval;
        if (strcmp(arguments->items[i].option, option) != 0) {
            continue;
        }
        if (!keyval_parse(arguments->items[i].value, implied, &keyval, err)) {
            return monatt_error_prefix(err, "option '-%s'", option);
        }
        const char *id = keyval_get(&keyval, "memdev");
        bool counts =
            id && (strcmp(option, "numa") == 0 || memory_is_dimm(keyval_get(&keyval, "driver")));
        bool good = !counts || memory_check_id(arguments, id, err);
        *ret_count += counts;
        keyval_clear(&keyval);
        if (!good) {
            return false;
        }
    }
    return true;
}

bool memory_read(const Arguments *arguments, Machine *machine, MonattError *err)
{
    char value[MACHINE_VALUE_SIZE];
    size_t nodes;
    size_t dimms;
    if (!machine_setting(arguments, "m", "size", "size", value, err)) {
        return false;
    }
    machine->memory_bytes = 0;
    if (*value && !memory_size(value, 'M', &machine->memory_bytes, err)) {
        return false;
    }
    if (machine->memory_bytes == 0) {
        machine->memory_bytes = DEFAULT_BYTES;
    }
    machine->memory_bytes =
        (machine->memory_bytes + ALIGN_BYTES - 1) & ~(uint64_t)(ALIGN_BYTES - 1);
    if (!machine_backend(arguments, value, err) ||
        !memory_check_users(arguments, "numa", "type", &nodes, err) ||
        !memory_check_users(arguments, "device", "driver", &dimms, err)) {
        return false;
    }
    if (*value) {
        return memory_check_id(arguments, value, err);
    }
    if (nodes > 0) {
        return true;
    }
    if (arguments_has(arguments, "mem-path")) {
        return memory_refuse(err, arguments_value(arguments, "mem-path"),
                             "-mem-path maps it privately: the device cannot see it",
                             "use -object memory-backend-file,id=ram,share=on,… "
                             "-machine memory-backend=ram");
    }
    machine->add_memory = true;
    return true;
}
