/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * registers.h - MR0 to MR23 in memory: values, counts, and who may extend which
 *
 * The caller holds the device's lock.  Start values and the locality rule are those of a PC
 * client TPM's PCRs (TCG PC Client Platform TPM Profile 1.05, 4.7), which back them one for one.
 */
#ifndef HW_ATTEST_REGISTERS_H
#define HW_ATTEST_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/error.h"
#include "libmonatt/formats/limits.h"

typedef enum RegistersParty {
    REGISTERS_GUEST, /* locality 0: MR0 to MR15, MR16, MR23 */
    REGISTERS_HOST,  /* locality 2: MR17 to MR22 */
} RegistersParty;

typedef struct Register {
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    uint64_t extends; /* since the VM's reset */
    uint64_t synced;  /* of those, confirmed by swtpm */
} Register;

typedef struct Registers {
    Register mr[MONATT_REGISTER_COUNT];
} Registers;

/* Zeros, and all ones for MR17 to MR22. */
void registers_init(Registers *registers);
/* LIMIT: no such register; PERMISSION: it belongs to the other party. */
bool registers_check(uint32_t index, RegistersParty party, MonattError *err) MONATT_MUST_CHECK;
/* MR <- H(MR || digest); NULL leaves that bank alone.  Errors of registers_check(); INTERNAL. */
bool registers_extend(Registers *registers, uint32_t index, RegistersParty party,
                      const uint8_t *sha256, const uint8_t *sha384,
                      MonattError *err) MONATT_MUST_CHECK;
/* MR16 and MR23 become zeros, as TPM2_PCR_Reset at locality 0; PERMISSION otherwise. */
bool registers_reset(Registers *registers, uint32_t index, MonattError *err) MONATT_MUST_CHECK;
/* One-shot hashes; false only when libcrypto fails. */
bool registers_sha256(const void *bytes, size_t size, uint8_t ret[MONATT_SHA256_SIZE]);
bool registers_sha384(const void *bytes, size_t size, uint8_t ret[MONATT_SHA384_SIZE]);

#endif
