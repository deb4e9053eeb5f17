/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * step-host.c - which host answered: the session certificate's commitment, opened
 *
 * hc = H("monatt host 1\0" || r || I) stands in the certificate, r in the evidence; I is the host
 * that the customer, his reference values or the signed host log name.  Evidence without r stays
 * anonymous: that is no fault, and a wrong r is refused.
 */
#include "verifier/appraisal/appraisal.h"

#include <string.h>
#include "libmonatt/base/text.h"
#include "verifier/json.h"

#define HOST_LOG_HEAD_MAXIMUM 65536
#define HOST_ID_MAXIMUM 256

/* The host log is hashed in the claims; its form here is one line {"host_id":"..."} or nothing. */
static char *read_host_log(GBytes *host_log)
{
    gsize size;
    const char *id = NULL;
    const void *bytes = g_bytes_get_data(host_log, &size);
    if (size == 0) {
        return NULL;
    }
    g_autoptr(MonattJson) root =
        monatt_json_load("host log", bytes, size, HOST_LOG_HEAD_MAXIMUM, NULL);
    if (root == NULL ||
        !monatt_json_text(root, "host log", "host_id", TRUE, HOST_ID_MAXIMUM, &id, NULL)) {
        return NULL;
    }
    return g_strdup(id);
}

static gboolean check(MonattAppraisal *a, const char *host_id, gboolean *ret_fits, GError **error)
{
    uint8_t commitment[MONATT_SUITE_DIGEST_MAXIMUM];
    size_t size;
    gsize opening_size;
    const void *opening = g_bytes_get_data(a->evidence->opening, &opening_size);
    if (!monatt_session_commitment(a->suite, opening, opening_size, host_id, commitment, &size)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "host: libcrypto cannot hash");
        return FALSE;
    }
    *ret_fits = size == a->certificate.host_commitment_size &&
                monatt_bytes_equal(commitment, a->certificate.host_commitment, size);
    return TRUE;
}

/* Any of the reference's hosts will do: a VM may move between them. */
static gboolean find_in_reference(MonattAppraisal *a, gboolean *ret_asked, GError **error)
{
    if (a->input->reference == NULL) {
        return TRUE;
    }
    g_autoptr(GPtrArray) values =
        monatt_reference_select(a->input->reference, a->claims->vid, "host/id");
    for (guint i = 0; i < values->len && a->host_id == NULL; i++) {
        const MonattReferenceValue *value = g_ptr_array_index(values, i);
        gboolean fits;
        *ret_asked = TRUE;
        if (!check(a, value->text, &fits, error)) {
            return FALSE;
        }
        if (fits) {
            a->host_id = g_strdup(value->text);
        }
    }
    return TRUE;
}

static gboolean refuse(GError **error, const char *why)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "%s", why);
    return FALSE;
}

gboolean step_host(MonattAppraisal *a, GError **error)
{
    gboolean asked = FALSE;
    gboolean fits = FALSE;
    if (a->evidence->opening == NULL) {
        return a->input->host_id == NULL ||
               refuse(error, "host: a host was asked for, but the evidence has no opening");
    }
    if (a->input->host_id != NULL) {
        asked = TRUE;
        if (!check(a, a->input->host_id, &fits, error)) {
            return FALSE;
        }
        a->host_id = fits ? g_strdup(a->input->host_id) : NULL;
    } else if (!find_in_reference(a, &asked, error)) {
        return FALSE;
    }
    if (a->host_id != NULL) {
        return TRUE;
    }
    if (asked) {
        return refuse(error, "host: the evidence comes from another host than the one asked for");
    }
    g_autofree char *logged = read_host_log(a->evidence->host_log);
    if (logged == NULL) {
        return refuse(error, "host: nothing names the host that the opening could be checked with"
                             "\nhint: give --host ID, or a reference with host/id");
    }
    if (!check(a, logged, &fits, error)) {
        return FALSE;
    }
    if (!fits) {
        return refuse(error, "host: the opening does not fit the host that the host log names");
    }
    a->host_id = g_steal_pointer(&logged);
    return TRUE;
}
