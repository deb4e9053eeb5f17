/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rule-startup.c - startup-integrity: did the VM start from exactly what was vouched for?
 *
 * properties.md 1: an item in the reference set is healthy, one that is superseded degrades until
 * its overlap ends, one that is not in the set is a compromise; nothing to compare is unknown.
 */
#include "verifier/appraisal/appraisal.h"

#include <string.h>
#include "libmonatt/base/text.h"

static char *show_digest(const uint8_t *sha256, const char *name)
{
    char text[2 * MONATT_SHA256_SIZE + 1];
    monatt_text_from_bytes(sha256, MONATT_SHA256_SIZE, text);
    return name != NULL && name[0] != 0 ? g_strdup_printf("sha-256 %s (%s)", text, name)
                                        : g_strdup_printf("sha-256 %s", text);
}

static char *show_value(const MonattReferenceValue *value)
{
    const char *name = value->text != NULL ? value->text : value->name;
    if (value->has_sha256) {
        return show_digest(value->sha256, name);
    }
    char text[2 * MONATT_SHA384_SIZE + 1];
    monatt_text_from_bytes(value->sha384, MONATT_SHA384_SIZE, text);
    return name != NULL ? g_strdup_printf("sha-384 %s (%s)", text, name)
                        : g_strdup_printf("sha-384 %s", text);
}

/* Items whose absence from the reference is not itself a change of what the guest runs. */
static gboolean is_optional(uint16_t kind)
{
    return kind == MONATT_BOOT_QEMU || kind == MONATT_BOOT_MACHINE;
}

static void judge_item(const MonattAppraisal *a, const MonattBootItemPayload *item,
                       MonattPropertyResult *result, unsigned *equal)
{
    const char *kind = monatt_boot_item_kind_name(item->kind);
    g_autofree char *key = g_strdup_printf("boot/%s", kind);
    g_autofree char *observed = show_digest(item->sha256, item->name);
    g_autofree char *expected = NULL;
    g_autoptr(GPtrArray) values = monatt_reference_select(a->input->reference, a->claims->vid, key);
    const MonattReferenceValue *value = NULL;
    gboolean required = (item->kind < 32) && (a->input->policy->required_items & 1u << item->kind);
    switch (monatt_reference_match(values, item->sha256, item->sha384, a->input->at, &value)) {
    case MONATT_MATCH_CURRENT:
        (*equal)++;
        return;
    case MONATT_MATCH_SUPERSEDED:
        expected = g_strdup("a current value");
        monatt_property_result_contradict(result, kind, expected, observed);
        monatt_property_result_raise(result, MONATT_VERDICT_DEGRADED, "item-superseded",
                                     "%s is an older version that is still allowed", kind);
        (*equal)++;
        return;
    case MONATT_MATCH_OVER:
        expected = g_strdup("a current value; the overlap of this one has ended");
        monatt_property_result_contradict(result, kind, expected, observed);
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "item-outdated",
                                     "%s is an older version that is no longer allowed", kind);
        return;
    case MONATT_MATCH_DIFFERS:
        expected = show_value(value);
        monatt_property_result_contradict(result, kind, expected, observed);
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "item-differs",
                                     "%s is not the one of the reference", kind);
        return;
    case MONATT_MATCH_NONE:
        break;
    }
    if (required) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "no-reference",
                                     "the reference has no value for the %s of this VM", kind);
    } else if (!is_optional(item->kind)) {
        monatt_property_result_contradict(result, kind, "no such item", observed);
        monatt_property_result_raise(result, MONATT_VERDICT_COMPROMISED, "item-added",
                                     "%s was added: the reference has none", kind);
    }
}

static gboolean has_item(const MonattLogFacts *facts, uint16_t kind)
{
    for (guint i = 0; i < facts->boot->len; i++) {
        if (g_array_index(facts->boot, MonattBootFact, i).item.kind == kind) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean has_reference(const MonattAppraisal *a)
{
    for (uint16_t kind = MONATT_BOOT_FIRMWARE; kind <= MONATT_BOOT_MACHINE; kind++) {
        g_autofree char *key = g_strdup_printf("boot/%s", monatt_boot_item_kind_name(kind));
        g_autoptr(GPtrArray) values =
            monatt_reference_select(a->input->reference, a->claims->vid, key);
        if (values->len > 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static void judge_missing(const MonattAppraisal *a, MonattPropertyResult *result)
{
    for (uint16_t kind = MONATT_BOOT_FIRMWARE; kind <= MONATT_BOOT_MACHINE; kind++) {
        const char *name = monatt_boot_item_kind_name(kind);
        if (has_item(&a->facts, kind)) {
            continue;
        }
        g_autofree char *key = g_strdup_printf("boot/%s", name);
        g_autoptr(GPtrArray) values =
            monatt_reference_select(a->input->reference, a->claims->vid, key);
        if (values->len > 0 || (a->input->policy->required_items & 1u << kind)) {
            monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "item-missing",
                                         "no %s was measured", name);
        }
    }
}

void rule_startup(const MonattAppraisal *a, MonattPropertyResult *result)
{
    const MonattLogFacts *facts = &a->facts;
    unsigned equal = 0;
    result->rule = "each measured boot item equals a reference value";
    g_free(result->measured);
    result->measured = g_strdup_printf("%" G_GUINT64_FORMAT " boot items", facts->boot_total);
    g_free(result->reference);
    result->reference = g_strdup(a->input->reference->id);
    if (facts->boot_total == 0) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "not-measured",
                                     "no boot item was measured in this boot");
        return;
    }
    if (!has_reference(a)) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "no-reference",
                                     "the reference has no boot values for this VM");
        return;
    }
    if (facts->unreadable[MONATT_MR_BOOT] > 0 || facts->boot_total > facts->boot->len) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "unreadable",
                                     "MR%d holds records that this version cannot judge",
                                     MONATT_MR_BOOT);
    }
    for (guint i = 0; i < facts->boot->len; i++) {
        const MonattBootItemPayload *item = &g_array_index(facts->boot, MonattBootFact, i).item;
        judge_item(a, item, result, &equal);
    }
    judge_missing(a, result);
    if (equal == 0) {
        monatt_property_result_raise(result, MONATT_VERDICT_UNKNOWN, "no-comparison",
                                     "nothing could be compared");
    }
    monatt_property_result_raise(result, MONATT_VERDICT_HEALTHY, "equals-reference",
                                 "%u boot items equal the reference", equal);
}
