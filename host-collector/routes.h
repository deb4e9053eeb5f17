/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * routes.h - what the collector's socket answers (docs/architecture.md, "The collector's socket")
 */
#ifndef MONATT_HOST_COLLECTOR_ROUTES_H
#define MONATT_HOST_COLLECTOR_ROUTES_H

#include "host-collector/attest.h"
#include "host-collector/http.h"
#include "host-collector/vms.h"

typedef struct Routes {
    AttestHost host;
    Vms *vms;
} Routes;

/* An HttpHandler; data: Routes. */
void routes_handle(const HttpRequest *request, HttpAnswer *answer, void *data);

#endif
