/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * suite.c - the two suites in one table; must never guess: an unknown name gives nothing
 */
#include "libmonatt/evidence/suite.h"

#include <string.h>
#include "libmonatt/formats/limits.h"

typedef struct Suite {
    const char *name;
    const char *alg;   /* RFC 7518, 3.4 */
    const char *curve; /* as libcrypto calls it */
    uint16_t bank;     /* TPM_ALG_ID */
    size_t digest_size;
} Suite;

static const Suite suites[] = {
    {"S256", "ES256", "prime256v1", MONATT_ALG_SHA256, MONATT_SHA256_SIZE},
    {"S384", "ES384", "secp384r1", MONATT_ALG_SHA384, MONATT_SHA384_SIZE},
};

static const Suite *find(const char *name)
{
    for (size_t i = 0; name != NULL && i < G_N_ELEMENTS(suites); i++) {
        if (strcmp(name, suites[i].name) == 0) {
            return &suites[i];
        }
    }
    return NULL;
}

size_t monatt_suite_digest_size(const char *suite)
{
    const Suite *found = find(suite);
    return found ? found->digest_size : 0;
}

const EVP_MD *monatt_suite_md(const char *suite)
{
    const Suite *found = find(suite);
    if (!found) {
        return NULL;
    }
    return found->bank == MONATT_ALG_SHA256 ? EVP_sha256() : EVP_sha384();
}

const char *monatt_suite_alg(const char *suite)
{
    const Suite *found = find(suite);
    return found ? found->alg : NULL;
}

uint16_t monatt_suite_bank(const char *suite)
{
    const Suite *found = find(suite);
    return found ? found->bank : 0;
}

const char *monatt_suite_of_bank(uint16_t alg)
{
    for (size_t i = 0; i < G_N_ELEMENTS(suites); i++) {
        if (alg == suites[i].bank) {
            return suites[i].name;
        }
    }
    return NULL;
}

const char *monatt_suite_of_key(EVP_PKEY *key)
{
    char group[32];
    size_t length = 0;
    if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, group, sizeof(group), &length) != 1) {
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(suites); i++) {
        if (strcmp(group, suites[i].curve) == 0) {
            return suites[i].name;
        }
    }
    return NULL;
}

gboolean monatt_suite_hash(const char *suite, const void *bytes, size_t size, uint8_t *ret)
{
    const EVP_MD *md = monatt_suite_md(suite);
    unsigned length = 0;
    return md != NULL && EVP_Digest(size > 0 ? bytes : "", size, ret, &length, md, NULL) == 1;
}
