/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.h - one running VM as the collector sees it: its device, its worker, its boot
 *
 * A thread a VM listens for the device's events and hands the plugin's windows on; askers take the
 * VM for themselves while they measure.  A VM that hangs holds up nobody but its own askers, and
 * those only until their deadline.
 */
#ifndef MONATT_HOST_COLLECTOR_VM_H
#define MONATT_HOST_COLLECTOR_VM_H

#include <glib.h>
#include <jansson.h>
#include "host-collector/ledger.h"
#include "host-collector/sources/plugin/plugin-source.h"
#include "host-collector/worker/worker-client.h"
#include "libmonatt/control/control.h"

/* Which of the collector's sources wrote a record (record.h, source id). */
typedef enum VmSource {
    VM_SOURCE_COLLECTOR = 1,
    VM_SOURCE_LAUNCHER = 2,
    VM_SOURCE_PLUGIN = 3,
    VM_SOURCE_INTROSPECTION = 4,
} VmSource;

/* Plugin windows added up that are not in a record yet. */
typedef struct VmPluginSums {
    bool some;
    uint32_t monitors;
    uint64_t t0_ns; /* CLOCK_BOOTTIME */
    uint64_t t1_ns;
    MonattLocksPayload locks;
    MonattSyscallsPayload syscalls;
} VmPluginSums;

typedef struct Vm Vm;

/* Who answers a guest that asks for evidence about itself; NULL answer: nobody.  In the VM's own
 * thread, so it may take its time: no other VM waits. */
typedef struct VmReporter {
    void (*answer)(const void *data, Vm *vm);
    const void *data;
} VmReporter;

struct Vm {
    uint8_t vid[MONATT_UUID_SIZE];
    char uuid[MONATT_UUID_TEXT_SIZE];
    char *folder; /* RUN_DIR/vm/UUID */
    const char *worker_path;
    const VmReporter *reporter;

    GMutex lock; /* of the next five */
    GCond changed;
    bool taken;
    bool gone;
    bool stopping;
    MonattDeviceStatus seen; /* as of the last look, for lists */

    GThread *thread;
    int events; /* the thread's */

    /* Only while taken: */
    int control;
    MonattDeviceStatus status;
    bool had_boot; /* a boot of this VM was seen before the one at hand */
    bool ledger_good;
    Ledger ledger;
    bool boot_recorded; /* all of the launcher's items are in the log */
    PluginSource *plugin;
    VmPluginSums sums;
    MonattWorker *worker;
    bool kernel_given; /* this worker has been told which kernel was measured, or that none was */
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
    size_t region_count;
    bool marked; /* nonce is shown to the guest, and the worker took its mark before */
    uint8_t nonce[MONATT_NONCE_SIZE];
};

/* Connects to the device in folder and starts the VM's thread; the only reference is returned. */
Vm *vm_new(const char *folder, const uint8_t vid[MONATT_UUID_SIZE], const char *worker_path,
           const VmReporter *reporter, MonattError *err) MONATT_MUST_CHECK;
Vm *vm_ref(Vm *vm);
void vm_unref(Vm *vm);
/* Ends the thread and waits for it; askers get PEER from now on. */
void vm_stop(Vm *vm);
bool vm_gone(Vm *vm);
/* The VM's name as last seen; name: MONATT_NAME_SIZE bytes. */
void vm_name(Vm *vm, char *name);
/* A row of GET /v1/vms. */
json_t *vm_describe(Vm *vm);
/* As above with the registers, asked from the device now. */
json_t *vm_describe_whole(Vm *vm, MonattError *err) MONATT_MUST_CHECK;

/* Takes the VM, with a status of now and a ledger of this boot; BUSY after the deadline, PEER when
 * the device is gone, FAULT when it has a fault.  Release it whatever happens. */
bool vm_take(Vm *vm, int64_t deadline_us, MonattError *err) MONATT_MUST_CHECK;
void vm_release(Vm *vm);

/* The rest only while taken. */
/* Appends a record to a register; payload is written by encode(w, payload).  t0, t1 are
 * CLOCK_BOOTTIME ns. */
typedef void (*VmEncode)(MonattWriter *w, const void *payload);
typedef struct VmRecord {
    uint8_t index;
    uint16_t type;
    VmSource source;
    uint64_t t0_ns;
    uint64_t t1_ns;
    uint32_t flags;
    uint32_t coverage_ppm;
    VmEncode encode;
    const void *payload;
} VmRecord;
bool vm_record(Vm *vm, const VmRecord *record, MonattError *err) MONATT_MUST_CHECK;
/* Bytes of the log from its start; NULL when the file is shorter or over the evidence's limit. */
GBytes *vm_read_log(int log_fd, uint64_t bytes, MonattError *err) MONATT_MUST_CHECK;
uint64_t vm_now_ns(void); /* CLOCK_BOOTTIME */
/* CLOCK_BOOTTIME to time from the VM's start, which does not name the host. */
uint64_t vm_since_start_ns(const Vm *vm, uint64_t boottime_ns);

#endif
