/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu-job.c - the control registers of the vCPUs, asked of QEMU's monitor one after the other
 *
 * One vCPU a command: an answer for all of a big guest would not fit the monitor's longest line.
 * Must never wait for QEMU longer than it says, and never stop the guest.
 */
#include "hw-attest/vcpu-job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "hw-attest/device.h"

#define ID_START "vcpu-"

static void write_id(const VcpuJob *job, char *ret, size_t size)
{
    snprintf(ret, size, ID_START "%u-%zu", job->generation, job->count);
}

static void write_command(const Device *device, char *ret, size_t size)
{
    char id[64];
    write_id(&device->vcpu_job, id, sizeof(id));
    snprintf(ret, size,
             "{\"execute\":\"human-monitor-command\",\"id\":\"%s\",\"arguments\":"
             "{\"command-line\":\"info registers\",\"cpu-index\":%u}}\n",
             id, device->vcpu_indices[device->vcpu_job.count]);
}

bool vcpu_job_is_answer(const char *id)
{
    return strncmp(id, ID_START, strlen(ID_START)) == 0;
}

const char *vcpu_job_answer(Device *device, const char *id, json_t *value)
{
    VcpuJob *job = &device->vcpu_job;
    char wanted[64];
    size_t read;
    write_id(job, wanted, sizeof(wanted));
    if (job->state != VCPU_JOB_ASKED || strcmp(id, wanted) != 0) {
        return NULL; /* nobody waits for it any more */
    }
    if (!json_is_string(value) ||
        !monatt_vcpu_registers_parse(json_string_value(value), json_string_length(value),
                                     &job->registers[job->count], 1, &read, NULL)) {
        job->state = VCPU_JOB_FAILED;
    } else if (++job->count == job->wanted) {
        job->state = VCPU_JOB_DONE;
    }
    if (job->state == VCPU_JOB_ASKED && job->count < device->vcpu_count) {
        write_command(device, job->command, sizeof(job->command));
        return job->command;
    }
    if (job->state == VCPU_JOB_ASKED) {
        job->state = VCPU_JOB_FAILED; /* there are fewer vCPUs now: who asks, asks again */
    }
    pthread_cond_broadcast(&device->changed);
    return NULL;
}

static bool ask(Device *device, MonattError *err)
{
    char command[sizeof(device->vcpu_job.command)];
    write_command(device, command, sizeof(command));
    size_t size = strlen(command);
    ssize_t sent = send(device->vcpu_job.fd, command, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent == (ssize_t)size ||
           monatt_error_set(err, MONATT_ERROR_PEER,
                            "vCPU registers: '%s': QEMU does not take commands", device->name);
}

bool vcpu_job_run(Device *device, size_t *ret_count, MonattError *err)
{
    VcpuJob *job = &device->vcpu_job;
    int64_t deadline = device_now_ms() + VCPU_JOB_WAIT_MS;
    if (job->fd < 0 || !device->reset.monitor || device->vcpu_count == 0) {
        return monatt_error_set(err, MONATT_ERROR_MISSING, "vCPU registers: '%s': no monitor",
                                device->name);
    }
    job->generation++;
    job->count = 0;
    job->wanted = device->vcpu_count;
    job->state = VCPU_JOB_ASKED;
    if (!ask(device, err)) {
        job->state = VCPU_JOB_IDLE;
        return false;
    }
    while (job->state == VCPU_JOB_ASKED && !device->ending && device->vcpu_job.fd >= 0 &&
           device_wait_until(device, deadline)) {
        /* the qmp thread takes the answers */
    }
    bool done = job->state == VCPU_JOB_DONE;
    bool failed = job->state == VCPU_JOB_FAILED;
    job->state = VCPU_JOB_IDLE;
    if (!done) {
        return monatt_error_set(err, failed ? MONATT_ERROR_PEER : MONATT_ERROR_BUSY,
                                "vCPU registers: '%s': %s", device->name,
                                failed ? "QEMU's monitor does not show them"
                                       : "QEMU's monitor does not answer");
    }
    *ret_count = job->count;
    return true;
}
