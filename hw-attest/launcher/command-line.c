/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command-line.c - adds memory, monitor, device and plugin to QEMU's arguments
 *
 * Must change nothing else of the VM that the user described (docs/monatt-qemu.md lists it all).
 */
#include "hw-attest/launcher/command-line.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hw-attest/launcher/keyval.h"
#include "hw-attest/replace-words.h"

#define PORT_CHASSIS 222

static bool command_line_has_any(const Arguments *arguments, const char *const *options,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (arguments_has(arguments, options[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Any -mon takes QEMU's default monitor away, so where there would be one it is given as QEMU's
 * softmmu/vl.c would have made it.
 */
static void command_line_add_default_monitor(const Arguments *arguments, Words *words)
{
    static const char *const monitors[] = {"monitor", "qmp", "qmp-pretty", "mon", "nodefaults"};
    if (command_line_has_any(arguments, monitors, MONATT_ARRAY_SIZE(monitors))) {
        return;
    }
    if (!arguments_has(arguments, "nographic")) {
        words_add(words, "-monitor");
        words_add(words, "vc:80Cx24C");
    } else if (arguments_has(arguments, "serial")) {
        words_add(words, "-monitor");
        words_add(words, "stdio");
    } else {
        words_add(words, "-serial");
        words_add(words, "mon:stdio");
    }
}

static void command_line_add_plugin(const Arguments *arguments, const Attachment *attachment,
                                    const char *plugin, Words *words)
{
    char *name = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&name, &size);
    if (!out) {
        words->failed = true;
        return;
    }
    for (; *plugin; plugin++) {
        fputs(*plugin == ',' ? ",," : (const char[]){*plugin, '\0'}, out);
    }
    if (fclose(out) != 0) {
        words->failed = true;
        return;
    }
    const char *options = arguments->own.plugin_options;
    words_add(words, "-plugin");
    words_add_format(words, "%s,fd=%d%s%s", name, attachment->ring_fd, options ? "," : "",
                     options ? options : "");
    free(name);
}

/*
 * On q35 behind a root port of its own, as pcie.0 itself has no hot-plug, and only an unplug and a
 * plug give a VM another device process (hw-attest/replace.h).  Chassis and slot only have to
 * differ from the other ports', which people and libvirt number from 0 or 1 up.
 */
static void command_line_add_vfio_user(const Machine *machine, const Attachment *attachment,
                                       Words *words)
{
    const char *bus = machine->bus;
    json_t *device = NULL;
    if (machine->is_q35) {
        words_add(words, "-device");
        words_add_format(words,
                         "pcie-root-port,id=" REPLACE_PORT ",bus=%s,addr=0x%x,chassis=%d,slot=%d,"
                         "io-reserve=0",
                         machine->bus, machine->slot, PORT_CHASSIS, PORT_CHASSIS);
        bus = REPLACE_PORT;
    }
    device = replace_device_words(bus, attachment->wire_path);
    if (device && !machine->is_q35) {
        json_object_set_new(device, "addr", json_sprintf("0x%x", machine->slot));
    }
    char *text = device ? json_dumps(device, JSON_COMPACT) : NULL;
    json_decref(device);
    if (!text) {
        words->failed = true; /* no memory, or a path that is no UTF-8 */
        return;
    }
    words_add(words, "-device");
    words_add(words, text);
    free(text);
}

bool command_line_make(const Arguments *arguments, const Machine *machine, const Boot *boot,
                       const Attachment *attachment, const char *program, const char *plugin,
                       Words *ret, MonattError *err)
{
    memset(ret, 0, sizeof(*ret));
    words_add(ret, program);
    for (size_t i = 0; i < arguments->words.count; i++) {
        words_add(ret, arguments->words.items[i]);
    }
    for (size_t i = 0; i < boot->added.count; i++) {
        words_add(ret, boot->added.items[i]);
    }
    if (machine->add_memory) {
        words_add(ret, "-object");
        words_add_format(ret, "memory-backend-memfd,id=monatt-ram,size=%llu,share=on",
                         (unsigned long long)machine->memory_bytes);
        words_add(ret, "-machine");
        words_add(ret, "memory-backend=monatt-ram");
    }
    command_line_add_default_monitor(arguments, ret);
    words_add(ret, "-chardev");
    words_add_format(ret, "socket,id=monatt-qmp,fd=%d", attachment->monitor_fd);
    words_add(ret, "-mon");
    words_add(ret, "chardev=monatt-qmp,mode=control");
    if (!machine->is_q35) {
        /* Else the guest can eject the device: echo 0 > /sys/bus/pci/slots/30/power */
        words_add(ret, "-global");
        words_add(ret, "PIIX4_PM.acpi-root-pci-hotplug=off");
    }
    if (machine->wire == MONATT_WIRE_VFIO_USER) {
        command_line_add_vfio_user(machine, attachment, ret);
    } else {
        words_add(ret, "-device");
        words_add_format(ret, "x-pci-proxy-dev,id=%s,bus=%s,addr=0x%x,fd=%d", REPLACE_DEVICE,
                         machine->bus, machine->slot, attachment->wire_fd);
    }
    if (plugin) {
        command_line_add_plugin(arguments, attachment, plugin, ret);
    }
    return words_finish(ret, err);
}
