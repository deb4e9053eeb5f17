/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * key-new.c - monatt key new: the verifier's key for signing results
 */
#include <stdio.h>
#include "verifier/cli/command.h"
#include "verifier/signing-key.h"

static int run(const CommandArguments *arguments, GError **error)
{
    const char *directory = arguments->positionals[0];
    if (!monatt_signing_key_new(directory, error)) {
        return -1;
    }
    printf("key          %s/key.pem (keep it)\n"
           "certificate  %s/certificate.pem (give it to who checks results)\n"
           "public key   %s/public.jwk (the same, for jose)\n",
           directory, directory, directory);
    return MONATT_EXIT_DONE;
}

static const CommandOption options[] = {{NULL}};

const Command command_key_new = {
    "key", "new", {"DIR"}, NULL, "make a key for signing results", options, run,
};
