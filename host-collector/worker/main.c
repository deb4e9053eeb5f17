/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - monatt-worker: one for each VM, started by monatt-collectord and by nobody else
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "host-collector/worker/worker-protocol.h"
#include "host-collector/worker/worker-service.h"
#include "libmonatt/base/log.h"

int main(int argc, char **argv)
{
    MonattError err = {0};
    int type = 0;
    socklen_t size = sizeof(type);

    monatt_log_init("monatt-worker");
    if (argc != 1 || getsockopt(WORKER_SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        type != SOCK_SEQPACKET) {
        monatt_error_set(&err, MONATT_ERROR_USAGE, "descriptor %d: is not the collector's socket",
                         WORKER_SOCKET);
        monatt_error_hint(&err, "monatt-collectord starts this program by itself");
        monatt_log_failure(&err);
        return MONATT_EXIT_USAGE;
    }
    /* In the sandbox nothing may be written, so a failure there ends quietly: the client was
     * told, or sees that we are gone. */
    _exit(worker_service_run(WORKER_SOCKET, &err) ? MONATT_EXIT_DONE : MONATT_EXIT_FAILED);
}
