/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report-html.c - a result's claims as one self-contained page
 *
 * The policy in the page's head forbids scripts and everything from elsewhere, so that even a
 * text that slipped through could do nothing.  Must never write a text without escape().
 */
#include "verifier/report.h"

#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
    "style-src 'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Monatt report</title>\n<style>\n"
    "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "td,th{border-top:1px solid #bbb;padding:.4rem .6rem;text-align:left;vertical-align:top}\n"
    "code,dd{overflow-wrap:anywhere}\n"
    ".verdict{font-weight:bold;white-space:nowrap}\n"
    ".healthy{color:#14632a}.degraded{color:#7a5200}.unknown{color:#555}.compromised{color:#a11}\n"
    "dt{font-weight:bold}dd{margin:0 0 .4rem 1rem}\n"
    "</style>\n</head>\n<body>\n";

/* Only the five characters of HTML; everything that is not printable ASCII becomes a number, so
 * that no bidirectional override or other invisible character reorders the page. */
static void escape(GString *out, const char *text)
{
    for (const char *p = text != NULL ? text : ""; *p != 0; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char_validated(p, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            g_string_append(out, "?");
            return;
        }
        if (strchr("&<>\"'", (int)c) != NULL && c < 0x80) {
            g_string_append_printf(out, "&#%u;", c);
        } else if (c >= 0x20 && c < 0x7f) {
            g_string_append_c(out, (char)c);
        } else {
            g_string_append_printf(out, "[U+%04X]", c);
        }
    }
}

static void escape_member(GString *out, const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    if (json_is_integer(value)) {
        g_string_append_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else {
        escape(out, json_string_value(value));
    }
}

/* A class name is one of four words, never a text from the claims. */
static const char *verdict_class(const char *verdict)
{
    static const char *const known[] = {"healthy", "degraded", "compromised"};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (verdict != NULL && strcmp(verdict, known[i]) == 0) {
            return known[i];
        }
    }
    return "unknown";
}

static void add_verdict(GString *out, const json_t *object, const char *tag)
{
    const char *verdict = json_string_value(json_object_get(object, "verdict"));
    g_string_append_printf(out, "<%s class=\"verdict %s\">", tag, verdict_class(verdict));
    escape(out, verdict);
    g_string_append_printf(out, "</%s>", tag);
}

static void add_line(GString *out, const char *label, const json_t *object, const char *member)
{
    g_string_append_printf(out, "<dt>%s</dt><dd>", label);
    escape_member(out, object, member);
    g_string_append(out, "</dd>\n");
}

static void add_time(GString *out, const char *label, const json_t *object, const char *member)
{
    json_int_t seconds = json_integer_value(json_object_get(object, member));
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
    g_autofree char *text = time != NULL ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S UTC") : NULL;
    g_string_append_printf(out, "<dt>%s</dt><dd>", label);
    escape(out, text);
    g_string_append(out, "</dd>\n");
}

static void add_property(GString *out, const char *name, const json_t *module)
{
    size_t i;
    json_t *one;
    g_string_append(out, "<tr><td>");
    escape(out, name);
    g_string_append(out, "</td>");
    add_verdict(out, module, "td");
    g_string_append(out, "<td>");
    escape_member(out, module, "reason");
    g_string_append(out, "<dl>");
    add_line(out, "Measured", module, "measured");
    add_line(out, "Reference", module, "reference");
    add_line(out, "Rule", module, "rule");
    json_array_foreach(json_object_get(module, "contradictions"), i, one)
    {
        g_string_append(out, "<dt>");
        escape_member(out, one, "what");
        g_string_append(out, "</dt><dd>expected <code>");
        escape_member(out, one, "expected");
        g_string_append(out, "</code><br>observed <code>");
        escape_member(out, one, "observed");
        g_string_append(out, "</code></dd>\n");
    }
    g_string_append(out, "</dl></td></tr>\n");
}

char *monatt_report_html(const json_t *claims)
{
    GString *out = g_string_new(head);
    const char *name;
    json_t *module;
    g_string_append(out, "<h1>Monatt report</h1>\n<p>Verdict: ");
    add_verdict(out, claims, "span");
    g_string_append(out, "</p>\n<dl>\n");
    add_line(out, "VM", claims, "vid");
    add_line(out, "Boot", claims, "bootcount");
    add_line(out, "Boot id", claims, "bootseed");
    add_time(out, "Judged", claims, "iat");
    add_time(out, "Valid until", claims, "exp");
    add_line(out, "Nonce", claims, "eat_nonce");
    add_line(out, "Q3, hash of the claims", claims, "q3");
    add_line(out, "Policy", json_object_get(claims, "policy"), "id");
    add_line(out, "Reference values", json_object_get(claims, "reference"), "id");
    g_string_append(out,
                    "</dl>\n<table>\n<tr><th>Property</th><th>Verdict</th><th>Why</th></tr>\n");
    json_object_foreach(json_object_get(claims, "submods"), name, module)
    {
        add_property(out, name, module);
    }
    g_string_append(out, "</table>\n</body>\n</html>\n");
    return g_string_free(out, FALSE);
}
