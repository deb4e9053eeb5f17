/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command-ima.c - monatt-guest ima-follow: the IMA list goes to the device
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "guest/command.h"
#include "guest/ima-follow.h"

#define DEFAULT_REGISTER "10"

static bool lock(void *data, MonattError *err)
{
    return guest_device_lock(data, err);
}

static void unlock(void *data)
{
    guest_device_unlock(data);
}

static bool read_value(void *data, uint32_t index, ImaValue *ret, MonattError *err)
{
    RegistersValue value;
    if (!guest_device_read(data, index, &value, err)) {
        return false;
    }
    memcpy(ret->sha256, value.sha256, sizeof(ret->sha256));
    memcpy(ret->sha384, value.sha384, sizeof(ret->sha384));
    return true;
}

static bool submit(void *data, struct monatt_slot *slots, uint32_t count, uint32_t *ret_done,
                   MonattError *err)
{
    return guest_device_submit(data, slots, count, ret_done, err);
}

static bool wait_a_little(void *data, unsigned ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&pause, NULL);
    return true;
}

static bool take_register(const Options *options, uint32_t *ret_index, MonattError *err)
{
    const char *text = options->register_text ? options->register_text : DEFAULT_REGISTER;
    if (!command_parse_index(text, ret_index, err)) {
        return false;
    }
    if (*ret_index >= MONATT_EVIDENCE_FIRST && *ret_index <= MONATT_EVIDENCE_LAST) {
        return command_usage(text, "the register belongs to the host", err);
    }
    return true;
}

static bool check(const Options *options, MonattError *err)
{
    uint32_t index;
    return take_register(options, &index, err);
}

static void print(const Options *options, uint32_t index, const ImaCounts *counts)
{
    if (options->json) {
        printf("{\"register\":%u,\"entries\":%" PRIu64 ",\"known\":%" PRIu64
               ",\"extended\":%" PRIu64 ",\"violations\":%" PRIu64 ",\"others\":%" PRIu64
               ",\"wrong\":%" PRIu64 ",\"anew\":%s}\n",
               index, counts->entries, counts->known, counts->extended, counts->violations,
               counts->others, counts->wrong, counts->anew ? "true" : "false");
    } else {
        printf("MR%u: %" PRIu64 " entries extended, %" PRIu64 " were there; %" PRIu64
               " violations, %" PRIu64 " for other PCRs\n",
               index, counts->extended, counts->known, counts->violations, counts->others);
    }
}

static bool run(const Options *options, GuestDevice *device, MonattError *err)
{
    const ImaTarget target = {.data = device,
                              .lock = lock,
                              .unlock = unlock,
                              .read = read_value,
                              .submit = submit,
                              .pause = wait_a_little};
    char list[PATH_MAX];
    ImaCounts counts;
    ImaOptions ima = {.list = list,
                      .run_dir = options->run_dir,
                      .proc = options->proc,
                      .once = options->once,
                      .begin_anew = options->begin_anew};
    if (options->securityfs) {
        snprintf(list, sizeof(list), "%s/ima/binary_runtime_measurements", options->securityfs);
    } else {
        snprintf(list, sizeof(list), "%s/kernel/security/ima/binary_runtime_measurements",
                 options->sysfs);
    }
    if (!take_register(options, &ima.index, err)) {
        return false;
    }
    guest_device_unlock(device); /* locked for each batch only: others measure too */
    bool good = ima_follow(&target, &ima, &counts, err);
    if (good) {
        print(options, ima.index, &counts);
    }
    return good;
}

const GuestCommand command_ima_follow = {"ima-follow", 0, 0, OPTION_IMA, check, run};
