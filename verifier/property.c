/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * property.c - names of properties and verdicts, and how a verdict only ever gets heavier
 */
#include "verifier/property.h"

#include <string.h>

static const char *const names[] = {
    [MONATT_PROPERTY_STARTUP] = "startup-integrity",
    [MONATT_PROPERTY_RUNTIME] = "runtime-integrity",
    [MONATT_PROPERTY_CPU_CHANNEL] = "confidentiality.cpu",
    [MONATT_PROPERTY_BUS_CHANNEL] = "confidentiality.membus",
    [MONATT_PROPERTY_CACHE_CHANNEL] = "confidentiality.cache",
    [MONATT_PROPERTY_CPU_AVAILABILITY] = "availability.cpu",
    [MONATT_PROPERTY_HOST] = "host-integrity",
};
G_STATIC_ASSERT(G_N_ELEMENTS(names) == MONATT_PROPERTY_COUNT);

const char *monatt_property_name(MonattProperty property)
{
    return (unsigned)property < MONATT_PROPERTY_COUNT ? names[property] : "unknown";
}

int monatt_property_find(const char *name)
{
    for (int i = 0; i < MONATT_PROPERTY_COUNT; i++) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

const char *monatt_verdict_name(MonattVerdict verdict)
{
    static const char *const words[] = {"healthy", "degraded", "unknown", "compromised"};
    return (unsigned)verdict < G_N_ELEMENTS(words) ? words[verdict] : "unknown";
}

static void free_contradiction(gpointer data)
{
    MonattContradiction *contradiction = data;
    g_free(contradiction->what);
    g_free(contradiction->expected);
    g_free(contradiction->observed);
    g_free(contradiction);
}

void monatt_property_result_init(MonattPropertyResult *result, MonattProperty property)
{
    *result = (MonattPropertyResult){.property = property, .code = "", .rule = ""};
    result->measured = g_strdup("");
    result->reference = g_strdup("");
    result->reason = g_strdup("");
    result->contradictions = g_ptr_array_new_with_free_func(free_contradiction);
}

void monatt_property_result_clear(MonattPropertyResult *result)
{
    g_clear_pointer(&result->measured, g_free);
    g_clear_pointer(&result->reference, g_free);
    g_clear_pointer(&result->reason, g_free);
    g_clear_pointer(&result->contradictions, g_ptr_array_unref);
}

void monatt_property_result_raise(MonattPropertyResult *result, MonattVerdict verdict,
                                  const char *code, const char *format, ...)
{
    if (verdict < result->verdict || (verdict == result->verdict && result->code[0] != 0)) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    g_free(result->reason);
    result->reason = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    result->verdict = verdict;
    result->code = code;
}

void monatt_property_result_contradict(MonattPropertyResult *result, const char *what,
                                       const char *expected, const char *observed)
{
    MonattContradiction *contradiction = g_new0(MonattContradiction, 1);
    contradiction->what = g_strdup(what);
    contradiction->expected = g_strdup(expected);
    contradiction->observed = g_strdup(observed);
    g_ptr_array_add(result->contradictions, contradiction);
}
