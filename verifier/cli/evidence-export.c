/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence-export.c - monatt evidence export: each native part as a file of its own
 *
 * tpm2_checkquote, openssl and jose then decide without us.  The evidence is parsed where the files
 * are written, so before that the process gives up writing anywhere but in DIR (Landlock, where
 * the kernel has it) and gaining privileges.  Must hold no key.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/evidence/export.h"
#include "libmonatt/evidence/jose.h"
#include "verifier/cli/command.h"
#include "verifier/json.h"

/* Every right of Landlock's first version that changes something; reading stays. */
#define WRITES                                                                                     \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |   \
     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_EXECUTE)

/* TRUE also where the kernel has no Landlock: then the user's own rights are the bound. */
static gboolean enter(const char *directory, GError **error)
{
    MonattError err = {0};
    struct landlock_ruleset_attr all = {.handled_access_fs = WRITES};
    int folder MONATT_CLEANUP_CLOSE = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        monatt_error_set_errno(&err, errno, "folder '%s'", directory);
        return monatt_error_to_gerror(&err, error);
    }
    int rules MONATT_CLEANUP_CLOSE =
        (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
    if (rules < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
        return TRUE;
    }
    struct landlock_path_beneath_attr beneath = {.allowed_access = WRITES, .parent_fd = folder};
    if (rules < 0 ||
        syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) != 0 ||
        syscall(SYS_landlock_restrict_self, rules, 0) != 0) {
        monatt_error_set_errno(&err, errno, "landlock");
        return monatt_error_to_gerror(&err, error);
    }
    return TRUE;
}

static MonattClaims *read_claims(const MonattEvidence *evidence, GError **error)
{
    gsize size;
    const void *bytes = g_bytes_get_data(evidence->claims, &size);
    g_autoptr(MonattJws) jws = monatt_jws_parse(bytes, size, "eat+jwt", TRUE, error);
    if (jws == NULL) {
        return NULL;
    }
    bytes = g_bytes_get_data(jws->payload, &size);
    return monatt_claims_parse(bytes, size, error);
}

static int run(const CommandArguments *arguments, GError **error)
{
    const char *path = arguments->positionals[0];
    const char *directory = arguments->positionals[1];
    g_autoptr(GBytes) bytes =
        monatt_json_read_file("evidence", path, MONATT_EVIDENCE_MAXIMUM, error);
    if (bytes == NULL) {
        return -1;
    }
    if (g_mkdir_with_parents(directory, 0755) != 0) {
        MonattError err = {0};
        monatt_error_set_errno(&err, errno, "folder '%s'", directory);
        monatt_error_to_gerror(&err, error);
        return -1;
    }
    if (!enter(directory, error)) {
        return -1;
    }
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    g_autoptr(MonattEvidence) evidence = monatt_evidence_parse(data, size, error);
    g_autoptr(MonattClaims) claims = evidence != NULL ? read_claims(evidence, error) : NULL;
    if (claims == NULL) {
        g_prefix_error(error, "evidence '%s': ", path);
        if (error != NULL && *error != NULL && (*error)->code != MONATT_ERROR_INTERNAL) {
            (*error)->code = MONATT_ERROR_REFUSED;
        }
        return -1;
    }
    if (!monatt_evidence_export(evidence, claims, directory, error)) {
        return -1;
    }
    printf("parts of '%s' are in %s, not verified; README.txt there says how to check them\n", path,
           directory);
    return MONATT_EXIT_DONE;
}

static const CommandOption options[] = {{NULL}};

const Command command_evidence_export = {
    "evidence", "export", {"FILE", "DIR"}, NULL, "write each part for tpm2_checkquote and jose",
    options,    run,
};
