/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vms.h - the VMs of this host that run now, found by their devices' folders
 */
#ifndef MONATT_HOST_COLLECTOR_VMS_H
#define MONATT_HOST_COLLECTOR_VMS_H

#include "host-collector/vm.h"

#define VMS_MAXIMUM 1024 /* as many as the attach service serves, and more */

typedef struct Vms Vms;

/* Looks for devices in RUN_DIR/vm from now on, in a thread of its own.  reporter: copied. */
Vms *vms_new(const char *run_dir, const char *worker_path, VmReporter reporter);
/* Ends everything; askers that hold a VM keep it until they let go. */
void vms_free(Vms *vms);
/* By UUID or name; a reference, or NULL with MISSING. */
Vm *vms_find(Vms *vms, const char *name_or_uuid, MonattError *err) MONATT_MUST_CHECK;
/* References of all, by name; free with g_ptr_array_unref(). */
GPtrArray *vms_list(Vms *vms);

#endif
