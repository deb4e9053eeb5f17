/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vfio-listen.c - listens for one QEMU; must never give the wire to another user's process
 */
#include "hw-attest/vfio-listen.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "hw-attest/sandbox.h"

#define TICK_MS 200 /* how soon the end of the launcher is noticed */

void vfio_listen_init(VfioListen *listen)
{
    listen->fd = -1;
    listen->monitored = false;
    listen->path[0] = '\0';
}

void vfio_listen_close(VfioListen *listen)
{
    if (listen->fd >= 0) {
        close(listen->fd); /* the path goes with the run folder: nobody answers it any more */
    }
    listen->fd = -1;
}

static bool peer_user(int fd, uint32_t *ret_user)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return false;
    }
    *ret_user = sandbox_peer(peer.uid);
    return true;
}

static bool open_for(VfioListen *listening, const char *run_folder, const char *place,
                     MonattError *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _Static_assert(sizeof(address.sun_path) == sizeof(listening->path), "one path for both");
    int length =
        snprintf(listening->path, sizeof(listening->path), "%s/%s", run_folder, VFIO_LISTEN_NAME);
    if (length < 0 || (size_t)length >= sizeof(listening->path)) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "vfio-user: '%.80s': path is too long",
                                run_folder);
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", place, VFIO_LISTEN_NAME);
    int fd MONATT_CLEANUP_CLOSE = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* The inode's mode decides who may connect, so it must be right before it can be found. */
    if (fd < 0 || fchmod(fd, 0600) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        return monatt_error_set_errno(err, errno, "vfio-user: '%s'", listening->path);
    }
    /* Not through a link: the VM's swtpm can put one there, and may be in the guest's hands. */
    if ((listening->user != 0 && listening->user != geteuid() &&
         lchown(address.sun_path, listening->user, (gid_t)-1) != 0) ||
        listen(fd, 1) != 0) {
        int saved = errno;
        unlink(address.sun_path);
        return monatt_error_set_errno(err, saved, "vfio-user: '%s'", listening->path);
    }
    listening->fd = fd;
    fd = -1;
    return true;
}

bool vfio_listen_open(VfioListen *listening, const char *run_folder, const char *place,
                      int connection, MonattError *err)
{
    if (!peer_user(connection, &listening->user)) {
        return monatt_error_set_errno(err, errno, "vfio-user: the launcher's user");
    }
    return open_for(listening, run_folder, place, err);
}

bool vfio_listen_again(VfioListen *listening, const char *run_folder, const char *place,
                       MonattError *err)
{
    char path[MONATT_WIRE_PATH_SIZE];
    int length = snprintf(path, sizeof(path), "%s/%s", place, VFIO_LISTEN_NAME);
    if (length > 0 && (size_t)length < sizeof(path)) {
        unlink(path); /* a killed process left it, if QEMU had not come yet */
    }
    return open_for(listening, run_folder, place, err);
}

static bool monitor_closed(Device *device)
{
    pthread_mutex_lock(&device->lock);
    bool open = device->qmp_open;
    pthread_mutex_unlock(&device->lock);
    return !open;
}

static int accept_one(const VfioListen *listening)
{
    struct pollfd wait = {.fd = listening->fd, .events = POLLIN};
    if (poll(&wait, 1, TICK_MS) != 1) {
        return -1;
    }
    int fd = accept4(listening->fd, NULL, NULL, SOCK_CLOEXEC);
    uint32_t user;
    if (fd >= 0 && (!peer_user(fd, &user) || (user != 0 && user != listening->user))) {
        close(fd); /* the mode should have kept it away */
        return -1;
    }
    return fd;
}

bool vfio_listen_accept(VfioListen *listening, Device *device, int64_t deadline_ms, int *ret_fd,
                        MonattError *err)
{
    const char *why = NULL;
    int fd = -1;
    while (fd < 0 && !why) {
        /* First whether anybody lives, or its last connection would be served. */
        if (listening->monitored && monitor_closed(device)) {
            why = "QEMU ended before it connected";
        } else if (device_now_ms() >= deadline_ms) {
            why = "QEMU did not connect in time";
        } else {
            fd = accept_one(listening);
        }
    }
    vfio_listen_close(listening);
    if (why) {
        return monatt_error_set(err, MONATT_ERROR_PEER, "vfio-user: '%s': %s", device->name, why);
    }
    *ret_fd = fd;
    return true;
}
