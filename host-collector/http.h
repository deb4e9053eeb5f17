/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http.h - HTTP on a local UNIX socket, by libmicrohttpd; knows no route
 *
 * A connection has a thread and a time-out of its own, a body a limit: no asker can hold up
 * another, nor make this process grow.
 */
#ifndef MONATT_HOST_COLLECTOR_HTTP_H
#define MONATT_HOST_COLLECTOR_HTTP_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include "libmonatt/base/error.h"

#define HTTP_BODY_MAXIMUM (64 * 1024)
#define HTTP_CONNECTIONS 64

typedef struct HttpRequest {
    const char *method;
    const char *path; /* decoded, without the query */
    GByteArray *body;
    void *connection; /* for http_query() */
} HttpRequest;

typedef struct HttpAnswer {
    unsigned status;
    const char *media_type; /* static */
    GBytes *body;
} HttpAnswer;

/* Fills the answer; called in the connection's thread. */
typedef void (*HttpHandler)(const HttpRequest *request, HttpAnswer *answer, void *data);

typedef struct HttpServer HttpServer;
HttpServer *http_serve(const char *socket_path, HttpHandler handler, void *data,
                       MonattError *err) MONATT_MUST_CHECK;
/* Waits for the requests under way. */
void http_stop(HttpServer *server);

/* The query's value, or NULL; belongs to the request. */
const char *http_query(const HttpRequest *request, const char *name);
/* Takes over the JSON. */
void http_answer_json(HttpAnswer *answer, unsigned status, json_t *json);
/* {"error":{"code","message","hint"}} */
void http_answer_error(HttpAnswer *answer, unsigned status, const MonattError *err);

#endif
