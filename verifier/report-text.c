/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report-text.c - the table that 'monatt evidence verify' prints
 *
 * Must never let a byte through that could move a cursor or begin a line of its own.
 */
#include "verifier/report.h"

#include <string.h>
#include "libmonatt/base/text.h"

#define PROPERTY_WIDTH 23
#define VERDICT_WIDTH 12

/* Text of a member as printable ASCII, "" when it is not there; free with g_free(). */
static char *printable(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    size_t size = text != NULL ? strlen(text) : 0;
    char *out = g_malloc(size + 1);
    monatt_text_printable(text != NULL ? text : "", size, out, size + 1);
    return out;
}

static void add_time(GString *out, const char *label, const json_t *value)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(json_integer_value(value));
    g_autofree char *text = time != NULL ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S UTC") : NULL;
    g_string_append_printf(out, "%s%s", label, text != NULL ? text : "?");
}

static void add_contradictions(GString *out, const json_t *module)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(module, "contradictions"), i, one)
    {
        g_autofree char *what = printable(one, "what");
        g_autofree char *expected = printable(one, "expected");
        g_autofree char *observed = printable(one, "observed");
        g_string_append_printf(out, "    %s\n      expected  %s\n      observed  %s\n", what,
                               expected, observed);
    }
}

char *monatt_report_text(const json_t *claims)
{
    GString *out = g_string_new("");
    g_autofree char *vid = printable(claims, "vid");
    g_autofree char *verdict = printable(claims, "verdict");
    const char *name;
    json_t *module;
    g_string_append_printf(out, "VM %s, boot %" JSON_INTEGER_FORMAT, vid,
                           json_integer_value(json_object_get(claims, "bootcount")));
    add_time(out, ", judged ", json_object_get(claims, "iat"));
    add_time(out, ", valid until ", json_object_get(claims, "exp"));
    g_string_append_printf(out, "\n\n%-*s %-*s %s\n", PROPERTY_WIDTH, "PROPERTY", VERDICT_WIDTH,
                           "VERDICT", "WHY");
    json_object_foreach(json_object_get(claims, "submods"), name, module)
    {
        g_autofree char *word = printable(module, "verdict");
        g_autofree char *reason = printable(module, "reason");
        g_autofree char *measured = printable(module, "measured");
        char shown[PROPERTY_WIDTH + 1];
        monatt_text_printable(name, strlen(name), shown, sizeof(shown));
        g_string_append_printf(out, "%-*s %-*s %s%s%s%s\n", PROPERTY_WIDTH, shown, VERDICT_WIDTH,
                               word, reason, measured[0] != 0 ? " (" : "", measured,
                               measured[0] != 0 ? ")" : "");
        add_contradictions(out, module);
    }
    g_string_append_printf(out, "\nverdict: %s\n", verdict);
    return g_string_free(out, FALSE);
}
