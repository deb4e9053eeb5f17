/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-client.h - the collector's side of a VM's introspection worker
 *
 * A worker is one process for one boot of one VM: it holds the guest's RAM read-only, is in a
 * sandbox before it reads the first byte of it, and answers measurements.  It holds no key and
 * may die or lie at any time, as a hostile guest may have taken it: its answers are parsed as
 * foreign bytes, and one that is late, too long or malformed ends it.
 *
 * Start a new one after MONATT_EVENT_RESET and when the device's RAM regions change.  One thread
 * at a time uses a worker; calls block until the answer or the deadline.
 */
#ifndef MONATT_HOST_COLLECTOR_WORKER_WORKER_CLIENT_H
#define MONATT_HOST_COLLECTOR_WORKER_WORKER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "host-collector/sources/introspection/task-report.h"
#include "host-collector/worker/check-report-codec.h"
#include "libmonatt/base/error.h"
#include "libmonatt/control/control.h"
#include "libmonatt/formats/record-payloads.h"
#include "libmonatt/formats/vcpu-registers.h"

typedef struct MonattWorker MonattWorker;

/*
 * Starts worker_path (build/host-collector/worker/monatt-worker) and gives it count regions with
 * a descriptor each, as monatt_device_ram() gives them; the descriptors stay the caller's.
 * threads (monatt_device_vcpus()) are the vCPUs' clocks, by which a stalled guest is told from one
 * that hides a task; with none of them there are no findings, only "unsettled" ones.
 * MISSING, PERMISSION, SYSTEM: it could not be started, or a thread has gone; PEER: it started and
 * refused the regions or did not get ready in time.
 */
bool monatt_worker_start(const char *worker_path, const MonattRamRegion *regions, const int *fds,
                         size_t count, const uint32_t *threads, size_t thread_count,
                         MonattWorker **ret_worker, MonattError *err) MONATT_MUST_CHECK;
/*
 * Notes who runs now, under nonce: a guest's list that is bound to this nonce was taken after
 * this scan, so whoever is here and still there at the measurement must be in it.  Call it before
 * monatt_device_set_nonce().  Only the last one counts.
 */
bool monatt_worker_mark(MonattWorker *worker, const uint8_t nonce[MONATT_NONCE_SIZE],
                        unsigned deadline_ms, MonattError *err) MONATT_MUST_CHECK;
/*
 * Measures: scans all views, again and again while one disagrees, until every difference has
 * vanished, met the rule, or deadline_ms is near (the answer comes before it).  3,000 ms is a good
 * deadline; the first call on a worker also looks for the kernel (0.1 s a GiB).
 * guest_list_fd: what monatt_device_guest_list() gave, or -1; nonce: the one it must bear, or NULL.
 * The report is the caller's.  MONATT_ERROR_PEER: the worker died, hung or answered nonsense; it
 * has been killed, only monatt_worker_free() may follow: the summary to record then is reason
 * MONATT_REASON_WORKER_DIED.
 */
bool monatt_worker_tasks(MonattWorker *worker, int guest_list_fd,
                         const uint8_t nonce[MONATT_NONCE_SIZE], unsigned deadline_ms,
                         MonattTaskReport **ret_report, MonattError *err) MONATT_MUST_CHECK;
/* What the host knows; each part is set anew or left as it was. */
typedef struct MonattWorkerInputs {
    bool set_image;
    int image_fd; /* the kernel file that startup-integrity measured; -1: none */
    bool set_btf;
    int btf_fd; /* a reference BTF; -1: none */
    bool set_vcpus;
    const MonattVcpuRegisters *vcpus;
    size_t vcpu_count; /* 0: QEMU could not be asked */
} MonattWorkerInputs;
/*
 * Gives the worker what its checks compare with; it copies the files.  The descriptors stay the
 * caller's.  LIMIT: a file is larger than a worker takes (64 MiB, BTF 32 MiB); SYSTEM: not a file.
 */
bool monatt_worker_inputs(MonattWorker *worker, const MonattWorkerInputs *inputs,
                          MonattError *err) MONATT_MUST_CHECK;

typedef struct MonattCheckRequest {
    unsigned deadline_ms; /* at most 60,000; 0 with a snapshot */
    uint64_t checks;      /* 1 << MONATT_SUBCHECK_; UINT64_MAX: all there are */
    uint32_t tables;      /* 1 << index in table_forms: wanted, and the checks that fill them */
    bool snapshot;        /* the memory stands still: one look, whose sightings are no findings */
} MonattCheckRequest;
/*
 * Runs the checks until each sighting has vanished or met the rule (check-runner.h), or
 * deadline_ms is near.  A check that is not in the report is one that this worker does not know:
 * whoever requires it has to miss it.  A guest without a kernel that could be found is a report
 * too, with reason UNSUPPORTED.  The report is the caller's: monatt_check_report_free().
 * PEER: as with monatt_worker_tasks().
 */
bool monatt_worker_checks(MonattWorker *worker, const MonattCheckRequest *request,
                          MonattCheckReport **ret_report, MonattError *err) MONATT_MUST_CHECK;
/* False once a call failed with PEER or the process ended. */
bool monatt_worker_alive(MonattWorker *worker);
uint32_t monatt_worker_pid(const MonattWorker *worker);
/* Ends and reaps it; NULL is allowed. */
void monatt_worker_free(MonattWorker *worker);

/* Parses one measurement's answer packets, laid end to end; for the client and its fuzz target. */
bool monatt_worker_answer_parse(const void *bytes, size_t size, MonattTaskReport **ret_report,
                                MonattError *err) MONATT_MUST_CHECK;

#endif
