/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper.c - takes descriptors over; must never hold one twice or believe a number of the device
 */
#include "hw-attest/keeper.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "libmonatt/base/log.h"

#define SHUTDOWN_WAIT_MS 100

void keeper_init(Keeper *keeper)
{
    *keeper = (Keeper){0};
    for (size_t i = 0; i < KEPT_FILE_COUNT; i++) {
        keeper->files[i] = -1;
    }
    keeper->interrupt_fds[0] = keeper->interrupt_fds[1] = -1;
}

static void clear_ram(Keeper *keeper)
{
    for (size_t i = 0; i < keeper->ram.count; i++) {
        close(keeper->ram_fds[i]);
    }
    keeper->ram = (KeeperRam){0};
}

void keeper_clear(Keeper *keeper)
{
    for (size_t i = 0; i < KEPT_FILE_COUNT; i++) {
        monatt_close_pointer(&keeper->files[i]);
    }
    clear_ram(keeper);
    monatt_close_pointer(&keeper->interrupt_fds[0]);
    monatt_close_pointer(&keeper->interrupt_fds[1]);
    free(keeper->fixed);
    keeper_init(keeper);
}

static bool take_file(Keeper *keeper, const MonattControlMessage *message)
{
    uint8_t which = message->payload[0];
    if (message->payload_size != 1 || message->fd_count != 1 || which >= KEPT_FILE_COUNT ||
        (keeper->complete && which != KEPT_FILE_TPM)) {
        return false;
    }
    monatt_close_pointer(&keeper->files[which]);
    keeper->files[which] = message->fds[0];
    return true;
}

static bool take_ram(Keeper *keeper, const MonattControlMessage *message)
{
    KeeperRam ram;
    if (message->payload_size != sizeof(ram)) {
        return false;
    }
    memcpy(&ram, message->payload, sizeof(ram));
    if (ram.count != message->fd_count || ram.count > MONATT_RAM_REGIONS_MAXIMUM) {
        return false;
    }
    clear_ram(keeper);
    keeper->ram = ram;
    memcpy(keeper->ram_fds, message->fds, ram.count * sizeof(int));
    return true;
}

static bool take_interrupt(Keeper *keeper, const MonattControlMessage *message)
{
    if (message->payload_size != 0 || message->fd_count != 2) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        monatt_close_pointer(&keeper->interrupt_fds[i]);
        keeper->interrupt_fds[i] = message->fds[i];
    }
    return true;
}

static bool complete(Keeper *keeper, const DeviceKept *kept)
{
    static const KeptFile needed[] = {KEPT_FILE_LISTEN, KEPT_FILE_RUN, KEPT_FILE_STATE,
                                      KEPT_FILE_LOCK,   KEPT_FILE_PID, KEPT_FILE_TPM};
    /* A vfio-user wire is not gone on with: QEMU gets a new one (replace.h), for which it is asked.
     */
    KeptFile way = kept->fixed.wire == MONATT_WIRE_VFIO_USER ? KEPT_FILE_QMP : KEPT_FILE_WIRE;
    if (keeper->files[way] < 0) {
        return false;
    }
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(needed); i++) {
        if (keeper->files[needed[i]] < 0) {
            return false;
        }
    }
    keeper->fixed = malloc(sizeof(*keeper->fixed));
    if (keeper->fixed) {
        memcpy(keeper->fixed, &kept->fixed, sizeof(*keeper->fixed));
        keeper->complete = true;
    }
    return keeper->complete;
}

bool keeper_take(Keeper *keeper, const DeviceKept *kept, MonattControlMessage *message)
{
    bool ok = false;
    switch (message->type) {
    case KEEPER_FILE:
        ok = take_file(keeper, message);
        break;
    case KEEPER_RAM:
        ok = take_ram(keeper, message);
        break;
    case KEEPER_INTERRUPT:
        ok = take_interrupt(keeper, message);
        break;
    case KEEPER_COMPLETE:
        return message->payload_size == 0 && !keeper->complete && complete(keeper, kept);
    default:
        break;
    }
    if (ok) {
        message->fd_count = 0; /* they are the keeper's now */
    }
    return ok;
}

void keeper_shut_tpm_down(const Keeper *keeper)
{
    /* TPM 2.0 Part 3, 9.4: TPM_ST_NO_SESSIONS, 12 bytes, TPM_CC_Shutdown, TPM_SU_CLEAR. */
    static const uint8_t command[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 0};
    struct pollfd wait = {.fd = keeper->files[KEPT_FILE_TPM], .events = POLLIN};
    uint8_t answer[64];
    if (wait.fd < 0) {
        return;
    }
    while (recv(wait.fd, answer, sizeof(answer), MSG_DONTWAIT) > 0) {
        /* what the device did not read any more */
    }
    if (send(wait.fd, command, sizeof(command), MSG_NOSIGNAL | MSG_DONTWAIT) ==
        (ssize_t)sizeof(command)) {
        poll(&wait, 1, SHUTDOWN_WAIT_MS);
    }
}

/* The senders that do not wait for an answer: with room now there is room then. */
static void send_now(int link, uint16_t type, const void *payload, size_t size, const int *fds,
                     size_t count)
{
    MonattError err = {0};
    struct pollfd room = {.fd = link, .events = POLLOUT};
    if (link >= 0 && (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT) ||
                      !monatt_control_send(link, type, 0, payload, size, fds, count, &err))) {
        static bool said; /* once: how often is up to the guest */
        if (!said) {
            monatt_log_warning("attach service: does not keep descriptors of the guest");
        }
        said = true;
    }
}

void keeper_send_interrupt(int link, int assert_fd, int resample_fd)
{
    const int fds[2] = {assert_fd, resample_fd};
    send_now(link, KEEPER_INTERRUPT, NULL, 0, fds, 2);
}

void keeper_send_ram(int link, uint64_t messages, const GuestRam *ram)
{
    KeeperRam kept = {.messages = messages, .count = ram->count};
    memcpy(kept.regions, ram->regions, ram->count * sizeof(ram->regions[0]));
    send_now(link, KEEPER_RAM, &kept, sizeof(kept), ram->fds, ram->count);
}
