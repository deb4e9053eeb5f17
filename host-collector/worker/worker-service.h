/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * worker-service.h - the worker's life: descriptors, sandbox, then requests until the end
 */
#ifndef MONATT_HOST_COLLECTOR_WORKER_WORKER_SERVICE_H
#define MONATT_HOST_COLLECTOR_WORKER_WORKER_SERVICE_H

#include <stdbool.h>
#include "libmonatt/base/error.h"

/* True when the client went away, which is how a worker ends. */
bool worker_service_run(int fd, MonattError *err) MONATT_MUST_CHECK;

#endif
