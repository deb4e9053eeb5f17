/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ima-base.h - where in its life a register stood when this kernel's IMA list began
 *
 * At a VM's boot that is its start value, and nothing needs to be kept.  After kexec it is a value
 * that only this program knows; it notes it in RUN_DIR/ima-N, which goes with the kernel as it lies
 * in a tmpfs.  The note is a hint: a value counts once the list leads from it to the register.
 */
#ifndef GUEST_IMA_BASE_H
#define GUEST_IMA_BASE_H

#include <stdbool.h>
#include <stdint.h>
#include "libmonatt/base/error.h"
#include "libmonatt/base/text.h"
#include "libmonatt/formats/limits.h"

typedef struct ImaValue {
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
} ImaValue;

/* Written before the record that says that the list begins anew, so that a program killed between
 * the two knows what it was about to do. */
typedef struct ImaBase {
    uint16_t reason; /* MonattImaAnewReason */
    uint8_t boot_id[MONATT_UUID_SIZE];
    ImaValue before; /* the register before that record */
    ImaValue base;   /* and after it */
} ImaBase;

/* The folder, made when missing, and one ima-follow a register: BUSY while another one runs. */
bool ima_base_lock(const char *run_dir, uint32_t index, int *ret_lock,
                   MonattError *err) MONATT_MUST_CHECK;
/* *ret_some false: there is none that can be read. */
void ima_base_load(const char *run_dir, uint32_t index, ImaBase *ret, bool *ret_some);
/* Whole or not at all. */
bool ima_base_store(const char *run_dir, uint32_t index, const ImaBase *base,
                    MonattError *err) MONATT_MUST_CHECK;

/* This kernel's boot id; proc: where it is mounted. */
bool ima_base_boot_id(const char *proc, uint8_t ret[MONATT_UUID_SIZE],
                      MonattError *err) MONATT_MUST_CHECK;
/* Did kexec start this kernel?  Its loader type says so (Linux Documentation/arch/x86/boot.rst,
 * type_of_loader: 0xD is kexec), in proc's sys/kernel/bootloader_type. */
bool ima_base_kexec(const char *proc);

#endif
