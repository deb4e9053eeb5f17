/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.c - libcurl over the collector's UNIX socket, and nowhere else
 *
 * Must never follow a redirect, use a proxy or resolve a name.
 */
#include "verifier/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include "libmonatt/base/text.h"
#include "verifier/json.h"

#define CONNECT_TIMEOUT_S 5
#define ERROR_TEXT_MAXIMUM 512

typedef struct Answer {
    GByteArray *bytes;
    size_t maximum;
    gboolean too_large;
} Answer;

static size_t take(char *data, size_t size, size_t count, void *user)
{
    Answer *answer = user;
    size_t total = size * count; /* curl: size is always 1 */
    if (total > answer->maximum - answer->bytes->len) {
        answer->too_large = TRUE;
        return 0;
    }
    g_byte_array_append(answer->bytes, (const guint8 *)data, (guint)total);
    return total;
}

static MonattErrorCode find_code(const char *name)
{
    for (int code = MONATT_ERROR_USAGE; name != NULL && code < MONATT_ERROR_COUNT; code++) {
        if (strcmp(name, monatt_error_code_name((MonattErrorCode)code)) == 0) {
            return (MonattErrorCode)code;
        }
    }
    return MONATT_ERROR_PEER;
}

static char *printable(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    char out[ERROR_TEXT_MAXIMUM] = "";
    if (text != NULL) {
        monatt_text_printable(text, strlen(text), out, sizeof(out));
    }
    return g_strdup(out);
}

/* {"error":{"code","message","hint"}} */
static void set_collector_error(long status, const GByteArray *bytes, GError **error)
{
    g_autoptr(MonattJson) root =
        monatt_json_load("collector", bytes->data, bytes->len, 64 * 1024, NULL);
    const json_t *inner = root != NULL ? json_object_get(root, "error") : NULL;
    if (!json_is_object(inner)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_PEER,
                    "collector: answered with HTTP status %ld and no reason", status);
        return;
    }
    g_autofree char *message = printable(inner, "message");
    g_autofree char *hint = printable(inner, "hint");
    MonattErrorCode code = find_code(json_string_value(json_object_get(inner, "code")));
    /* A collector cannot say that our own words were wrong or that evidence is refused. */
    if (code == MONATT_ERROR_REFUSED || code == MONATT_ERROR_USAGE) {
        code = MONATT_ERROR_PEER;
    }
    g_set_error(error, MONATT_GERROR, code, "collector: %s%s%s", message,
                hint[0] != 0 ? "\nhint: " : "", hint);
}

static char *socket_path(const char *run_dir, GError **error)
{
    const char *folder = run_dir != NULL ? run_dir : g_getenv("MONATT_RUN_DIR");
    char *path = g_strdup_printf("%s/collector.sock",
                                 folder != NULL && folder[0] != 0 ? folder : "/run/monatt");
    if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                    "socket '%s': the path is longer than %zu bytes\n"
                    "hint: choose a shorter --run-dir",
                    path, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
        g_free(path);
        return NULL;
    }
    if (access(path, R_OK | W_OK) != 0) {
        gboolean missing = errno == ENOENT || errno == ENOTDIR;
        g_set_error(error, MONATT_GERROR, missing ? MONATT_ERROR_MISSING : MONATT_ERROR_PERMISSION,
                    "collector's socket '%s': %s\nhint: %s", path, g_strerror(errno),
                    missing ? "is monatt-collectord running? --run-dir or MONATT_RUN_DIR names "
                              "its folder"
                            : "who may use it: its owner and group");
        g_free(path);
        return NULL;
    }
    return path;
}

static gboolean set_up(CURL *curl, const char *socket, const char *method, const char *url,
                       const char *body, struct curl_slist *headers, Answer *answer)
{
    return curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)CLIENT_TIMEOUT_S) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK &&
           (body == NULL || curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body) == CURLE_OK);
}

GBytes *client_call(const char *run_dir, const char *method, const char *path, const char *body,
                    size_t maximum, GError **error)
{
    g_autofree char *socket = socket_path(run_dir, error);
    if (socket == NULL) {
        return NULL;
    }
    g_autofree char *url = g_strconcat("http://collector", path, NULL);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Answer answer = {.bytes = bytes, .maximum = maximum};
    GBytes *result = NULL;
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (curl == NULL || headers == NULL ||
        !set_up(curl, socket, method, url, body, headers, &answer)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "collector: libcurl cannot ask");
    } else {
        CURLcode code = curl_easy_perform(curl);
        long status = 0;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        if (answer.too_large) {
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                        "collector: its answer is larger than %zu bytes", maximum);
        } else if (code != CURLE_OK) {
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_PEER, "collector at '%s': %s", socket,
                        curl_easy_strerror(code));
        } else if (status < 200 || status > 299) {
            set_collector_error(status, bytes, error);
        } else {
            result = g_byte_array_free_to_bytes(g_steal_pointer(&bytes));
        }
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return result;
}
