/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine.h - what kind of VM a command line makes, and whether it can be attested
 */
#ifndef HW_ATTEST_LAUNCHER_MACHINE_H
#define HW_ATTEST_LAUNCHER_MACHINE_H

#include "hw-attest/launcher/arguments.h"
#include "libmonatt/control/control.h"

#define MACHINE_TYPE_SIZE 128
#define MACHINE_VALUE_SIZE 256 /* of one setting, e.g. a backend's id */

/* As MonattAttachRequest.accelerator. */
typedef enum MachineAccelerator { MACHINE_TCG = 1, MACHINE_KVM = 2 } MachineAccelerator;

typedef struct Machine {
    char name[MONATT_NAME_SIZE];
    uint8_t vid[MONATT_UUID_SIZE];
    bool vid_made; /* no -uuid: made here */
    char type[MACHINE_TYPE_SIZE];
    bool is_q35;
    const char *bus; /* where the device goes, e.g. "pcie.0" */
    unsigned slot;
    MachineAccelerator accelerator;
    uint8_t actions;       /* MONATT_ACTION_* bits */
    MonattAttachWire wire; /* chosen by probe_wire() */
    uint32_t vcpus;
    uint64_t memory_bytes;
    bool add_memory; /* plain -m: give it a shared backend */
} Machine;

/* Refuses with USAGE (words), MISSING or PERMISSION (KVM), LIMIT (vCPUs, name). */
bool machine_read(const Arguments *arguments, Machine *ret, MonattError *err) MONATT_MUST_CHECK;
/*
 * The last value of key in all of an option's values, or "" ; implied as keyval_parse().  USAGE
 * with the option's name when one of them cannot be read.
 */
bool machine_setting(const Arguments *arguments, const char *option, const char *implied,
                     const char *key, char ret_value[MACHINE_VALUE_SIZE],
                     MonattError *err) MONATT_MUST_CHECK;

#endif
