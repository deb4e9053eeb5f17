/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe.h - the QEMU that will be executed: where it is, its version, what it can do
 */
#ifndef HW_ATTEST_LAUNCHER_PROBE_H
#define HW_ATTEST_LAUNCHER_PROBE_H

#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>
#include "hw-attest/launcher/words.h"
#include "libmonatt/control/control.h"

typedef struct Probe {
    char path[PATH_MAX];
    struct stat status; /* of the file, before it was asked */
    unsigned major;
    unsigned minor;
    unsigned micro;
    bool has_proxy;  /* x-pci-proxy-dev */
    bool has_vfio;   /* vfio-user-pci */
    bool has_plugin; /* -plugin */
    char *help;      /* -help's output, owned */
    char *data_dirs; /* -L help's output: a folder a line, in the order of search, owned */
} Probe;

/*
 * Finds a program by name in PATH or by path: wanted, or else $MONATT_QEMU, or else
 * qemu-system-x86_64.  Must not be this program itself.  MISSING, PERMISSION, USAGE.
 */
bool probe_find(const char *wanted, Probe *ret, MonattError *err) MONATT_MUST_CHECK;
/* Runs it for its version, device and folders (-L given by the user first). */
bool probe_run(Probe *probe, const Words *library_folders, MonattError *err) MONATT_MUST_CHECK;
/*
 * Chooses the wire: mpqemu wherever it works, as QEMU's main loop never waits for it; else
 * vfio-user.  wanted: "mpqemu" or "vfio-user" as the operator said, or NULL.  MISSING with what and
 * why when this QEMU cannot, USAGE for another word.  tcg: the accelerator is TCG.
 */
bool probe_wire(const Probe *probe, bool tcg, const char *wanted, MonattAttachWire *ret,
                MonattError *err) MONATT_MUST_CHECK;
/* Whether it can have the plugin under TCG: MISSING with what and why. */
bool probe_plugin(const Probe *probe, MonattError *err) MONATT_MUST_CHECK;
/* Still the file that was measured?  PEER when somebody replaced it. */
bool probe_unchanged(const Probe *probe, MonattError *err) MONATT_MUST_CHECK;
void probe_clear(Probe *probe);

#endif
