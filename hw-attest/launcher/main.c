/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - monatt-qemu: QEMU's own command line in, a VM with an attest device out
 *
 * Becomes QEMU at the end.  Until then nothing of the VM runs, and whatever fails ends here with
 * one line and a hint; the device that was already there ends by itself when our descriptors go.
 */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "hw-attest/launcher/command-line.h"
#include "hw-attest/launcher/private.h"
#include "libmonatt/base/log.h"
#include "monatt-version.h"

#define DEFAULT_RUN_DIR "/run/monatt"
#define PLUGIN_FILE "libmonatt-plugin.so"

static const char help[] =
    "usage: monatt-qemu [--monatt-OPTION]... QEMU-ARGUMENT...\n"
    "\n"
    "Starts qemu-system-x86_64 with its own arguments and an attest device: measures firmware,\n"
    "kernel, initrd and command line, shares the guest's memory, adds the TCG plugin.\n"
    "\n"
    "  --monatt-run-dir DIR       the attach service's folder (default $MONATT_RUN_DIR or\n"
    "                             /run/monatt; without a service there: --monatt-private)\n"
    "  --monatt-qemu PROGRAM      the QEMU (default $MONATT_QEMU or qemu-system-x86_64)\n"
    "  --monatt-no-plugin         under TCG: without the plugin\n"
    "  --monatt-plugin-options T  more words for it, e.g. locks=off,window_us=500\n"
    "  --monatt-wire WIRE         mpqemu or vfio-user (default: mpqemu where it works)\n"
    "  --monatt-private           a device service for this VM alone, gone with it\n"
    "  --monatt-dry-run           print what would be measured and executed, as JSON\n"
    "  --monatt-help, --monatt-version\n"
    "\n"
    "-help, -version and -machine none go to QEMU unchanged.\n"
    "Exit: QEMU's; before it starts 1 could not do it, 2 usage.\n";

/* A file beside this program in the build tree, else in the installation; false when in neither. */
static bool find_companion(const char *in_tree, const char *installed, char ret_path[PATH_MAX])
{
    char own[PATH_MAX / 2];
    ssize_t size = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (size > 0) {
        own[size] = '\0';
        char *slash = strrchr(own, '/');
        *(slash ? slash : own) = '\0';
        snprintf(ret_path, PATH_MAX, "%s/%s", own, in_tree);
        char *real = access(ret_path, R_OK) == 0 ? realpath(ret_path, NULL) : NULL;
        if (real) {
            snprintf(ret_path, PATH_MAX, "%s", real);
            free(real);
            return true;
        }
    }
    snprintf(ret_path, PATH_MAX, "%s", installed);
    return access(ret_path, R_OK) == 0;
}

static bool find_plugin(char ret_path[PATH_MAX], MonattError *err)
{
    if (find_companion("../../qemu-plugin/" PLUGIN_FILE, MONATT_PLUGIN_DIR "/" PLUGIN_FILE,
                       ret_path)) {
        return true;
    }
    monatt_error_set(err, MONATT_ERROR_MISSING, "plugin: '%.120s': no such file", ret_path);
    return monatt_error_hint(err, "install it, or --monatt-no-plugin");
}

static const char *run_dir(const Arguments *arguments, bool *ret_explicit)
{
    const char *environment = getenv("MONATT_RUN_DIR");
    const char *folder = arguments->own.run_dir;
    if (!folder && environment && *environment) {
        folder = environment;
    }
    *ret_explicit = folder != NULL;
    return folder ? folder : DEFAULT_RUN_DIR;
}

static bool connect_service(const Arguments *arguments, int *ret_fd, MonattError *err)
{
    bool explicit_dir;
    char dir[PRIVATE_DIR_SIZE];
    char program[PATH_MAX];
    const char *folder = run_dir(arguments, &explicit_dir);
    if (!arguments->own.private_vm) {
        if (attach_connect(folder, ret_fd, err)) {
            return true;
        }
        if (explicit_dir || err->code != MONATT_ERROR_MISSING) {
            return false;
        }
        monatt_error_clear(err);
    }
    if (!find_companion("../hw-attest", MONATT_BINDIR "/hw-attest", program)) {
        monatt_error_set(err, MONATT_ERROR_MISSING,
                         "private attach service: '%.120s': no such file", program);
        return monatt_error_hint(err, "install hw-attest");
    }
    if (!private_start(program, arguments_has(arguments, "daemonize"), dir, err)) {
        return false;
    }
    monatt_log_info("no attach service in '%s': a private one in '%s', gone with this VM", folder,
                    dir);
    return attach_connect(dir, ret_fd, err);
}

static bool print_dry_run(const Arguments *arguments, const Machine *machine, const Boot *boot,
                          const Probe *probe, const char *plugin, MonattError *err)
{
    const Attachment none = {.wire_fd = -1, .ring_fd = -1, .monitor_fd = -1};
    char text[2 * MONATT_SHA384_SIZE + 1];
    Words words = {0};
    if (!command_line_make(arguments, machine, boot, &none, probe->path, plugin, &words, err)) {
        words_clear(&words);
        return false;
    }
    json_t *items = json_array();
    json_t *argv = json_array();
    for (size_t i = 0; i < boot->measure.count; i++) {
        const MonattBootItemPayload *item = &boot->measure.items[i];
        json_t *object = json_object();
        json_object_set_new(object, "kind", json_string(monatt_boot_item_kind_name(item->kind)));
        json_object_set_new(object, "name", json_string(item->name));
        json_object_set_new(object, "size", json_integer((json_int_t)item->size));
        monatt_text_from_bytes(item->sha256, sizeof(item->sha256), text);
        json_object_set_new(object, "sha256", json_string(text));
        monatt_text_from_bytes(item->sha384, sizeof(item->sha384), text);
        json_object_set_new(object, "sha384", json_string(text));
        json_array_append_new(items, object);
    }
    for (size_t i = 0; i < words.count; i++) {
        /* Bytes that are no UTF-8 cannot stand in JSON. */
        json_t *word = json_string(words.items[i]);
        json_array_append_new(argv, word ? word : json_null());
    }
    words_clear(&words);
    json_t *object = json_object();
    monatt_text_from_uuid(machine->vid, text);
    json_object_set_new(object, "name", json_string(machine->name));
    json_object_set_new(object, "uuid", json_string(text));
    json_object_set_new(object, "boot_items", items);
    json_t *description = json_string(boot->description);
    json_object_set_new(object, "machine", description ? description : json_null());
    json_object_set_new(object, "argv", argv);
    bool good = json_dumpf(object, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF &&
                fflush(stdout) == 0;
    json_decref(object);
    return good ? true : monatt_error_set(err, MONATT_ERROR_SYSTEM, "dry run: cannot be written");
}

static bool execute(const Probe *probe, char *const *argv, MonattError *err)
{
    execv(probe->path, argv);
    return monatt_error_set_errno(err, errno, "QEMU: '%.120s'", probe->path);
}

static bool execute_unchanged(const Arguments *arguments, const Probe *probe, MonattError *err)
{
    Words words = {0};
    words_add(&words, probe->path);
    for (size_t i = 0; i < arguments->words.count; i++) {
        words_add(&words, arguments->words.items[i]);
    }
    bool good = words_finish(&words, err) && execute(probe, words.items, err);
    words_clear(&words);
    return good;
}

static bool start(Arguments *arguments, Probe *probe, Boot *boot, MonattError *err)
{
    Machine machine;
    Attachment attachment;
    Words folders = {0};
    Words words = {0};
    char plugin[PATH_MAX];
    int service MONATT_CLEANUP_CLOSE = -1;
    bool good = arguments_folders(arguments, &folders, err) && probe_run(probe, &folders, err);
    words_clear(&folders);
    if (!good || !arguments_parse(arguments, probe->help, err) ||
        !machine_read(arguments, &machine, err)) {
        return false;
    }
    bool tcg = machine.accelerator == MACHINE_TCG;
    bool want_plugin = tcg && !arguments->own.no_plugin;
    if (!probe_wire(probe, tcg, arguments->own.wire, &machine.wire, err) ||
        (want_plugin && (!probe_plugin(probe, err) || !find_plugin(plugin, err))) ||
        !boot_measure(arguments, &machine, probe, boot, err)) {
        return false;
    }
    const char *plugin_path = want_plugin ? plugin : NULL;
    if (arguments->own.dry_run) {
        return print_dry_run(arguments, &machine, boot, probe, plugin_path, err);
    }
    if (!connect_service(arguments, &service, err) ||
        !attach_request(service, &machine, &boot->measure, want_plugin, &attachment, err) ||
        !command_line_make(arguments, &machine, boot, &attachment, probe->path, plugin_path, &words,
                           err)) {
        return false;
    }
    if (machine.vid_made) {
        char uuid[MONATT_UUID_TEXT_SIZE];
        monatt_text_from_uuid(machine.vid, uuid);
        monatt_log_info("VM '%s' is new, %s: keep its identity with '-uuid %s'", machine.name, uuid,
                        uuid);
    }
    good = probe_unchanged(probe, err) && execute(probe, words.items, err);
    words_clear(&words);
    return good;
}

/* libvirt shows what stands on stderr only if QEMU's process outlives its first look. */
static void wait_for_libvirt(const Arguments *arguments)
{
    for (size_t i = 0; i < arguments->words.count; i++) {
        if (strstr(arguments->words.items[i], "charmonitor")) {
            nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
            return;
        }
    }
}

int main(int argc, char **argv)
{
    Arguments arguments = {0};
    Probe probe = {0};
    Boot boot = {0};
    MonattError err = {0};
    monatt_log_init("monatt-qemu");
    bool good = arguments_take_own(argc, argv, &arguments, &err);
    if (good && arguments.own.help) {
        fputs(help, stdout);
    } else if (good && arguments.own.version) {
        printf("monatt-qemu %s\n", MONATT_VERSION);
    } else {
        good = good && probe_find(arguments.own.qemu, &probe, &err) &&
               (arguments_is_probe(&arguments) ? execute_unchanged(&arguments, &probe, &err)
                                               : start(&arguments, &probe, &boot, &err));
    }
    if (!good) {
        monatt_log_failure(&err);
        wait_for_libvirt(&arguments);
    }
    boot_clear(&boot);
    probe_clear(&probe);
    arguments_clear(&arguments);
    return good ? MONATT_EXIT_DONE : (int)monatt_error_exit_code(err.code);
}
