/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.c - monatt vm list, show, attest, run
 *
 * The collector's word about a VM is shown as its word: only evidence that was verified says
 * anything.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "libmonatt/base/text.h"
#include "libmonatt/evidence/jose.h"
#include "monatt-paths.h"
#include "verifier/cli/appraise.h"
#include "verifier/cli/client.h"
#include "verifier/json.h"
#include "verifier/property.h"
#include "verifier/signing-key.h"

#define LIST_MAXIMUM (4u * 1024 * 1024) /* thousands of VMs */
#define VMS_MAXIMUM 10000
#define CELL_MAXIMUM 64

static json_t *fetch(const CommandArguments *arguments, const char *path, GError **error)
{
    g_autoptr(GBytes) body =
        client_call(command_value(arguments, "run-dir"), "GET", path, NULL, LIST_MAXIMUM, error);
    if (body == NULL) {
        return NULL;
    }
    gsize size;
    const void *bytes = g_bytes_get_data(body, &size);
    return monatt_json_load("collector's answer", bytes, size, LIST_MAXIMUM, error);
}

/* Any scalar as printable text. */
static void read_cell(const json_t *object, const char *member, char cell[CELL_MAXIMUM])
{
    const json_t *value = json_object_get(object, member);
    if (json_is_string(value)) {
        monatt_text_printable(json_string_value(value), json_string_length(value), cell,
                              CELL_MAXIMUM);
    } else if (json_is_integer(value)) {
        snprintf(cell, CELL_MAXIMUM, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_boolean(value)) {
        snprintf(cell, CELL_MAXIMUM, "%s", json_is_true(value) ? "yes" : "no");
    } else {
        snprintf(cell, CELL_MAXIMUM, "-");
    }
}

static void print_json(const json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
    printf("%s\n", text != NULL ? text : "{}");
    free(text); /* jansson's */
}

static int list(const CommandArguments *arguments, GError **error)
{
    const json_t *vms;
    g_autoptr(MonattJson) root = fetch(arguments, "/v1/vms", error);
    if (root == NULL ||
        !monatt_json_array(root, "collector's answer", "vms", FALSE, VMS_MAXIMUM, &vms, error)) {
        return -1;
    }
    if (command_has(arguments, "json")) {
        print_json(root);
        return MONATT_EXIT_DONE;
    }
    printf("%-20s %-36s %-10s %6s %8s %-12s\n", "NAME", "UUID", "STATE", "BOOTS", "RECORDS",
           "ACCELERATOR");
    for (size_t i = 0; i < json_array_size(vms); i++) {
        static const char *const members[] = {"name",       "vid",     "state",
                                              "boot_count", "records", "accelerator"};
        char cells[G_N_ELEMENTS(members)][CELL_MAXIMUM];
        for (size_t k = 0; k < G_N_ELEMENTS(members); k++) {
            read_cell(json_array_get(vms, i), members[k], cells[k]);
        }
        printf("%-20s %-36s %-10s %6s %8s %-12s\n", cells[0], cells[1], cells[2], cells[3],
               cells[4], cells[5]);
    }
    return MONATT_EXIT_DONE;
}

/* A VM's name goes into a path: refused before one is built. */
static char *vm_path(const CommandArguments *arguments, const char *end, GError **error)
{
    MonattError err = {0};
    if (!monatt_text_check_name(arguments->positionals[0], &err)) {
        err.code = MONATT_ERROR_USAGE;
        monatt_error_to_gerror(&err, error);
        return NULL;
    }
    /* The name's '+' and the like are no reserved characters in a path segment. */
    return g_strdup_printf("/v1/vms/%s%s", arguments->positionals[0], end);
}

static int show(const CommandArguments *arguments, GError **error)
{
    g_autofree char *path = vm_path(arguments, "", error);
    g_autoptr(MonattJson) root = path != NULL ? fetch(arguments, path, error) : NULL;
    if (root == NULL) {
        return -1;
    }
    if (command_has(arguments, "json")) {
        print_json(root);
        return MONATT_EXIT_DONE;
    }
    const char *member;
    json_t *value;
    json_object_foreach(root, member, value)
    {
        char cell[CELL_MAXIMUM], name[CELL_MAXIMUM];
        if (json_is_object(value) || json_is_array(value)) {
            continue;
        }
        monatt_text_printable(member, strlen(member), name, sizeof(name));
        read_cell(root, member, cell);
        printf("%-14s %s\n", name, cell);
    }
    const json_t *registers = json_object_get(root, "registers");
    for (size_t i = 0; i < json_array_size(registers) && i < MONATT_REGISTER_COUNT; i++) {
        const char *text =
            json_string_value(json_object_get(json_array_get(registers, i), "sha-256"));
        char digest[2 * MONATT_SHA256_SIZE + 1] = "-";
        if (text != NULL) {
            monatt_text_printable(text, strlen(text), digest, sizeof(digest));
        }
        printf("MR%-12zu %s\n", i, digest);
    }
    return MONATT_EXIT_DONE;
}

static char *attest_body(const CommandArguments *arguments, const uint8_t *nonce, GError **error)
{
    g_autofree char *text = monatt_base64url_encode(nonce, MONATT_NONCE_SIZE);
    g_autoptr(MonattJson) root = json_object();
    const GPtrArray *properties = command_values(arguments, "property");
    json_object_set_new(root, "nonce", json_string(text));
    if (properties != NULL) {
        json_t *names = json_array();
        json_object_set_new(root, "properties", names);
        for (guint i = 0; i < properties->len; i++) {
            const char *name = g_ptr_array_index(properties, i);
            if (monatt_property_find(name) < 0) {
                char shown[CELL_MAXIMUM];
                monatt_text_printable(name, strlen(name), shown, sizeof(shown));
                g_set_error(error, MONATT_GERROR, MONATT_ERROR_USAGE,
                            "property '%s': is not known\nhint: startup-integrity, "
                            "runtime-integrity ...",
                            shown);
                return NULL;
            }
            json_array_append_new(names, json_string(name));
        }
    }
    return json_dumps(root, JSON_COMPACT);
}

static gboolean write_evidence(const CommandArguments *arguments, GBytes *evidence,
                               const uint8_t *nonce, GError **error)
{
    const char *output = command_value(arguments, "output");
    const char *nonce_file = command_value(arguments, "nonce-file");
    char hex[2 * MONATT_NONCE_SIZE + 2];
    gsize size;
    const void *bytes = g_bytes_get_data(evidence, &size);
    monatt_text_from_bytes(nonce, MONATT_NONCE_SIZE, hex);
    FILE *notes = output != NULL ? stdout : stderr;
    if (nonce_file != NULL) {
        hex[2 * MONATT_NONCE_SIZE] = '\n';
        hex[2 * MONATT_NONCE_SIZE + 1] = 0;
        if (!monatt_file_write(nonce_file, hex, 2 * MONATT_NONCE_SIZE + 1, 0644, error)) {
            return FALSE;
        }
        hex[2 * MONATT_NONCE_SIZE] = 0;
    }
    if (output != NULL) {
        if (!monatt_file_write(output, bytes, size, 0644, error)) {
            return FALSE;
        }
        printf("evidence  %s (%zu bytes, not verified yet)\n", output, (size_t)size);
    } else {
        fwrite(bytes, 1, size, stdout);
    }
    fprintf(notes, "nonce     %s\n", hex);
    return TRUE;
}

static int attest(const CommandArguments *arguments, GError **error)
{
    uint8_t nonce[MONATT_NONCE_SIZE];
    const char *given = command_value(arguments, "nonce");
    g_autofree char *path = vm_path(arguments, "/attest", error);
    if (path == NULL || (given != NULL && !command_read_nonce(given, nonce, error))) {
        return -1;
    }
    if (given == NULL && RAND_bytes(nonce, sizeof(nonce)) != 1) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "nonce: no random bytes");
        return -1;
    }
    g_autofree char *body = attest_body(arguments, nonce, error);
    if (body == NULL) {
        return -1;
    }
    g_autoptr(GBytes) evidence = client_call(command_value(arguments, "run-dir"), "POST", path,
                                             body, MONATT_EVIDENCE_MAXIMUM, error);
    return evidence != NULL && write_evidence(arguments, evidence, nonce, error) ? MONATT_EXIT_DONE
                                                                                 : -1;
}

/* monatt-qemu of the build tree that this program stands in, else of the installation. */
static char *find_launcher(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self != NULL ? g_path_get_dirname(self) : g_strdup(".");
    char *near = g_build_filename(folder, "..", "hw-attest", "launcher", "monatt-qemu", NULL);
    if (access(near, X_OK) == 0) {
        return near;
    }
    g_free(near);
    near = g_build_filename(folder, "monatt-qemu", NULL);
    if (access(near, X_OK) == 0) {
        return near;
    }
    g_free(near);
    return g_build_filename(MONATT_BINDIR, "monatt-qemu", NULL);
}

static int run(const CommandArguments *arguments, GError **error)
{
    g_autofree char *launcher = find_launcher();
    const char *run_dir = command_value(arguments, "run-dir");
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_ptr_array_add(words, launcher);
    if (run_dir != NULL) {
        g_ptr_array_add(words, (gpointer) "--monatt-run-dir");
        g_ptr_array_add(words, (gpointer)run_dir);
    }
    char **rest = arguments->rest;
    /* "monatt vm run -- qemu-system-x86_64 ..." names the program as one is used to. */
    g_autofree char *base = g_path_get_basename(rest[0]);
    if (g_str_has_prefix(base, "qemu-system-")) {
        if (strchr(rest[0], '/') != NULL) {
            g_ptr_array_add(words, (gpointer) "--monatt-qemu");
            g_ptr_array_add(words, rest[0]);
        }
        rest++;
    }
    for (; *rest != NULL; rest++) {
        g_ptr_array_add(words, *rest);
    }
    g_ptr_array_add(words, NULL);
    execv(launcher, (char **)words->pdata);
    MonattError err = {0};
    monatt_error_set_errno(&err, errno, "monatt-qemu '%s'", launcher);
    err.code = errno == ENOENT ? MONATT_ERROR_MISSING : err.code;
    monatt_error_hint(&err, "it is built with 'ninja' and installed beside monatt");
    monatt_error_to_gerror(&err, error);
    return -1;
}

static const CommandOption list_options[] = {CLIENT_OPTION_RUN_DIR, APPRAISE_OPTION_JSON, {NULL}};
static const CommandOption attest_options[] = {
    {"output", "FILE", "the evidence; left out: stdout", FALSE, FALSE},
    {"nonce-file", "FILE", "write the nonce here, hexadecimal", FALSE, FALSE},
    {"nonce", "HEX", "ask with this nonce; left out: a random one", FALSE, FALSE},
    {"property", "NAME", "measure for this property only; may be given again", FALSE, TRUE},
    CLIENT_OPTION_RUN_DIR,
    {NULL},
};
static const CommandOption run_options[] = {CLIENT_OPTION_RUN_DIR, {NULL}};

const Command command_vm_list = {
    "vm", "list", {NULL}, NULL, "list the VMs of this host", list_options, list,
};
const Command command_vm_show = {
    "vm", "show", {"VM"}, NULL, "show one VM's state and registers", list_options, show,
};
const Command command_vm_attest = {
    "vm", "attest", {"VM"}, NULL, "ask the collector for evidence", attest_options, attest,
};
const Command command_vm_run = {
    "vm", "run", {NULL}, "-- ARGUMENT...", "start QEMU with the attest device", run_options, run,
};
