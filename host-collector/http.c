/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http.c - libmicrohttpd's callbacks, turned into one call a request
 */
#include "host-collector/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S 30 /* of a connection that says nothing; not of a measurement */
#define CONNECTION_MEMORY (32 * 1024)

struct HttpServer {
    struct MHD_Daemon *daemon;
    char *path;
    HttpHandler handler;
    void *data;
};

typedef struct Upload {
    GByteArray *body;
    bool too_long;
} Upload;

const char *http_query(const HttpRequest *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

void http_answer_json(HttpAnswer *answer, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(json);
    answer->status = status;
    answer->media_type = "application/json";
    answer->body = g_bytes_new(text ? text : "{}", text ? strlen(text) : 2);
    free(text);
}

void http_answer_error(HttpAnswer *answer, unsigned status, const MonattError *err)
{
    json_t *inside = json_object();
    json_t *outside = json_object();
    json_object_set_new(inside, "code", json_string(monatt_error_code_name(err->code)));
    json_object_set_new(inside, "message", json_string(err->message));
    json_object_set_new(inside, "hint", json_string(err->hint));
    json_object_set_new(outside, "error", inside);
    http_answer_json(answer, status, outside);
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, HttpAnswer *answer)
{
    gsize size;
    const void *bytes = g_bytes_get_data(answer->body, &size);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)bytes, MHD_RESPMEM_MUST_COPY);
    g_bytes_unref(answer->body);
    if (!response) {
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->media_type);
    enum MHD_Result sent = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return sent;
}

static enum MHD_Result refuse_body(struct MHD_Connection *connection)
{
    MonattError err = {0};
    HttpAnswer answer = {0};
    monatt_error_set(&err, MONATT_ERROR_LIMIT, "body: over %d bytes", HTTP_BODY_MAXIMUM);
    http_answer_error(&answer, MHD_HTTP_CONTENT_TOO_LARGE, &err);
    return send_answer(connection, &answer);
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_size, void **state)
{
    HttpServer *server = data;
    Upload *upload = *state;
    if (!upload) {
        upload = g_new0(Upload, 1);
        upload->body = g_byte_array_new();
        *state = upload;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        if (upload->body->len + *upload_size > HTTP_BODY_MAXIMUM) {
            upload->too_long = true;
        } else {
            g_byte_array_append(upload->body, (const guint8 *)upload_data, (guint)*upload_size);
        }
        *upload_size = 0;
        return MHD_YES;
    }
    if (upload->too_long) {
        return refuse_body(connection);
    }
    HttpRequest request = {
        .method = method, .path = url, .body = upload->body, .connection = connection};
    HttpAnswer answer = {0};
    server->handler(&request, &answer, server->data);
    return send_answer(connection, &answer);
}

static void on_end(void *data, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode code)
{
    Upload *upload = *state;
    if (upload) {
        g_byte_array_unref(upload->body);
        g_free(upload);
        *state = NULL;
    }
}

static int listen_on(const char *path, MonattError *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof(address.sun_path)) {
        monatt_error_set(err, MONATT_ERROR_LIMIT, "socket '%.80s': path is too long", path);
        monatt_error_hint(err, "choose a shorter --run-dir: %zu bytes are allowed",
                          sizeof(address.sun_path) - sizeof("/collector.sock"));
        return -1;
    }
    memcpy(address.sun_path, path, length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* What a killed collector left; a living one holds the store's lock, taken before. */
    unlink(path);
    mode_t old = umask(0117); /* root and its group ask */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, HTTP_CONNECTIONS) != 0) {
        monatt_error_set_errno(err, errno, "socket '%s'", path);
        monatt_error_hint(err, "choose a folder you may write to with --run-dir");
        umask(old);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    umask(old);
    return fd;
}

HttpServer *http_serve(const char *socket_path, HttpHandler handler, void *data, MonattError *err)
{
    int fd = listen_on(socket_path, err);
    if (fd < 0) {
        return NULL;
    }
    HttpServer *server = g_new0(HttpServer, 1);
    server->path = g_strdup(socket_path);
    server->handler = handler;
    server->data = data;
    server->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL,
        NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_end,
        NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    if (!server->daemon) {
        monatt_error_set(err, MONATT_ERROR_SYSTEM, "HTTP on '%s': cannot be served", socket_path);
        close(fd);
        http_stop(server);
        return NULL;
    }
    return server;
}

void http_stop(HttpServer *server)
{
    if (!server) {
        return;
    }
    unlink(server->path);
    if (server->daemon) {
        MHD_stop_daemon(server->daemon);
    }
    g_free(server->path);
    g_free(server);
}
