/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registers.c - extends by the rule of a TPM; must never move a register of the other party
 */
#include "hw-attest/registers.h"

#include <openssl/evp.h>
#include <string.h>

void registers_init(Registers *registers)
{
    memset(registers, 0, sizeof(*registers));
    for (size_t i = MONATT_EVIDENCE_FIRST; i <= MONATT_EVIDENCE_LAST; i++) {
        memset(registers->mr[i].sha256, 0xff, sizeof(registers->mr[i].sha256));
        memset(registers->mr[i].sha384, 0xff, sizeof(registers->mr[i].sha384));
    }
}

bool registers_check(uint32_t index, RegistersParty party, MonattError *err)
{
    if (index >= MONATT_REGISTER_COUNT) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "register: MR%u: there is none", index);
    }
    bool evidence = index >= MONATT_EVIDENCE_FIRST && index <= MONATT_EVIDENCE_LAST;
    if (evidence != (party == REGISTERS_HOST)) {
        return monatt_error_set(err, MONATT_ERROR_PERMISSION, "register: MR%u: belongs to the %s",
                                index, evidence ? "host" : "guest");
    }
    return true;
}

bool registers_sha256(const void *bytes, size_t size, uint8_t ret[MONATT_SHA256_SIZE])
{
    return EVP_Digest(bytes, size, ret, NULL, EVP_sha256(), NULL) == 1;
}

bool registers_sha384(const void *bytes, size_t size, uint8_t ret[MONATT_SHA384_SIZE])
{
    return EVP_Digest(bytes, size, ret, NULL, EVP_sha384(), NULL) == 1;
}

bool registers_extend(Registers *registers, uint32_t index, RegistersParty party,
                      const uint8_t *sha256, const uint8_t *sha384, MonattError *err)
{
    if (!registers_check(index, party, err)) {
        return false;
    }
    Register next = registers->mr[index];
    uint8_t input[2 * MONATT_SHA384_SIZE];
    bool ok = true;
    if (sha256) {
        memcpy(input, next.sha256, MONATT_SHA256_SIZE);
        memcpy(input + MONATT_SHA256_SIZE, sha256, MONATT_SHA256_SIZE);
        ok = registers_sha256(input, (size_t)2 * MONATT_SHA256_SIZE, next.sha256);
    }
    if (ok && sha384) {
        memcpy(input, next.sha384, MONATT_SHA384_SIZE);
        memcpy(input + MONATT_SHA384_SIZE, sha384, MONATT_SHA384_SIZE);
        ok = registers_sha384(input, (size_t)2 * MONATT_SHA384_SIZE, next.sha384);
    }
    if (!ok) {
        return monatt_error_set(err, MONATT_ERROR_INTERNAL, "register: MR%u: libcrypto failed",
                                index);
    }
    next.extends++;
    registers->mr[index] = next;
    return true;
}

bool registers_reset(Registers *registers, uint32_t index, MonattError *err)
{
    if (index >= MONATT_REGISTER_COUNT) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "register: MR%u: there is none", index);
    }
    if (index != MONATT_REGISTER_DEBUG && index != MONATT_REGISTER_APPLICATION) {
        return monatt_error_set(err, MONATT_ERROR_PERMISSION, "register: MR%u: has no reset",
                                index);
    }
    memset(registers->mr[index].sha256, 0, sizeof(registers->mr[index].sha256));
    memset(registers->mr[index].sha384, 0, sizeof(registers->mr[index].sha384));
    registers->mr[index].extends++;
    return true;
}
