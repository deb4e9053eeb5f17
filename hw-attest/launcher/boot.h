/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.h - measures all that a VM starts from and points QEMU to the sealed copies
 */
#ifndef HW_ATTEST_LAUNCHER_BOOT_H
#define HW_ATTEST_LAUNCHER_BOOT_H

#include "hw-attest/launcher/machine.h"
#include "hw-attest/launcher/measure.h"
#include "hw-attest/launcher/probe.h"

typedef struct Boot {
    Measure measure;
    Words added;       /* options that QEMU gets besides its own, e.g. -bios */
    Words facts;       /* lines for the machine description, e.g. "fw_cfg=opt/x,sha256=…" */
    char *description; /* what the item MONATT_BOOT_MACHINE hashes, owned */
} Boot;

/*
 * Changes words of the arguments in their place.  Errors of measure_file(); MISSING when the
 * firmware that this machine loads by default is in none of QEMU's folders.
 */
bool boot_measure(Arguments *arguments, const Machine *machine, const Probe *probe, Boot *ret,
                  MonattError *err) MONATT_MUST_CHECK;
void boot_clear(Boot *boot);

#endif
