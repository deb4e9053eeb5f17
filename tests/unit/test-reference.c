/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-reference.c - reference values: reading, writing, matching, and what is refused
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "verifier/reference.h"

#define HEAD "{\"profile\":\"tag:github.com,2026:monatt/reference#1\",\"id\":\"r\""
#define CLASS "\"class\":{\"vendor\":\"monatt\",\"model\":\"vm\",\"instance\":\"*\"}"
#define D32 "1111111111111111111111111111111111111111111111111111111111111111"
#define ONE(value) HEAD ",\"environments\":[{" CLASS ",\"measurements\":[" value "]}]}"
#define KERNEL "\"key\":\"boot/kernel\",\"digests\":{\"sha-256\":\"" D32 "\"}"

static MonattReference *parse(const char *text)
{
    GError *error = NULL;
    MonattReference *reference = monatt_reference_parse("reference", text, strlen(text), &error);
    g_assert_no_error(error);
    g_assert_nonnull(reference);
    return reference;
}

static const struct {
    const char *text;
    MonattErrorCode code;
    const char *names;
} refused[] = {
    {"", MONATT_ERROR_FORMAT, "line"},
    {"{}", MONATT_ERROR_FORMAT, "profile"},
    {"{\"profile\":\"tag:github.com,2026:monatt/policy#1\",\"id\":\"r\"}", MONATT_ERROR_FORMAT,
     "profile"},
    {HEAD "}", MONATT_ERROR_FORMAT, "environments"},
    {HEAD ",\"environments\":{}}", MONATT_ERROR_FORMAT, "environments"},
    {HEAD ",\"environments\":[{}]}", MONATT_ERROR_FORMAT, "class"},
    {HEAD ",\"environments\":[{" CLASS "}]}", MONATT_ERROR_FORMAT, "measurements"},
    {HEAD ",\"environments\":[{\"class\":{\"vendor\":\"x\",\"model\":\"vm\",\"instance\":\"*\"},"
          "\"measurements\":[]}]}",
     MONATT_ERROR_FORMAT, "vendor"},
    {HEAD ",\"environments\":[{\"class\":{\"vendor\":\"monatt\",\"model\":\"vm\",\"instance\":"
          "\"web\"},\"measurements\":[]}]}",
     MONATT_ERROR_FORMAT, "instance"},
    {ONE("{}"), MONATT_ERROR_FORMAT, "key"},
    {ONE("{\"key\":\"boot/kernel\"}"), MONATT_ERROR_FORMAT, "digests"},
    {ONE("{\"key\":\"boot/kernel\",\"digests\":{}}"), MONATT_ERROR_FORMAT, "digests"},
    {ONE("{\"key\":\"boot/kernel\",\"digests\":{\"md5\":\"00\"}}"), MONATT_ERROR_FORMAT, "md5"},
    {ONE("{\"key\":\"boot/kernel\",\"digests\":{\"sha-256\":\"11\"}}"), MONATT_ERROR_FORMAT,
     "sha-256"},
    {ONE("{\"key\":\"boot/kernel\",\"digests\":{\"sha-384\":\"" D32 "\"}}"), MONATT_ERROR_FORMAT,
     "sha-384"},
    {ONE("{\"key\":\"host/id\"}"), MONATT_ERROR_FORMAT, "text"},
    {ONE("{" KERNEL ",\"state\":\"old\"}"), MONATT_ERROR_FORMAT, "state"},
    {ONE("{" KERNEL ",\"state\":\"superseded\"}"), MONATT_ERROR_FORMAT, "until"},
    {ONE("{" KERNEL ",\"until\":5}"), MONATT_ERROR_FORMAT, "until"},
    {ONE("{" KERNEL ",\"state\":\"superseded\",\"until\":-1}"), MONATT_ERROR_LIMIT, "until"},
    {ONE("{" KERNEL ",\"state\":\"superseded\",\"until\":1.0}"), MONATT_ERROR_FORMAT, "until"},
    {ONE("{" KERNEL ",\"weight\":1}"), MONATT_ERROR_FORMAT, "weight"},
    {HEAD ",\"learned_from\":{\"q3\":\"00\",\"vid\":\"x\",\"iat\":1},\"environments\":[]}",
     MONATT_ERROR_FORMAT, "learned_from"},
};

static void test_refuses(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        GError *error = NULL;
        g_test_message("%s", refused[i].text);
        g_assert_null(
            monatt_reference_parse("reference", refused[i].text, strlen(refused[i].text), &error));
        g_assert_error(error, MONATT_GERROR, (int)refused[i].code);
        g_assert_nonnull(strstr(error->message, refused[i].names));
        g_error_free(error);
    }
}

/* What is written is read again as the same. */
static void test_round_trip(void)
{
    g_autoptr(MonattReference) first = monatt_reference_new("round");
    first->learned = TRUE;
    first->learned_iat = 1790000000;
    memset(first->learned_q3, 'a', 64);
    MonattEnvironment *environment = monatt_reference_add_environment(first);
    environment->vid[0] = 7;
    MonattReferenceValue *value = monatt_environment_add(environment, "boot/initrd");
    value->has_sha256 = value->has_sha384 = TRUE;
    memset(value->sha256, 0x5a, sizeof(value->sha256));
    value->superseded = TRUE;
    value->until = 1800000000;
    value->name = g_strdup("initrd \"x\" \\");
    value = monatt_environment_add(environment, "host/id");
    value->text = g_strdup("host-1");
    g_autofree char *text = monatt_reference_serialize(first);
    g_autoptr(MonattReference) second = parse(text);
    g_autofree char *again = monatt_reference_serialize(second);
    g_assert_cmpstr(text, ==, again);
    g_assert_cmpint(second->learned_iat, ==, 1790000000);
}

static void test_selects_by_vm(void)
{
    uint8_t vid[MONATT_UUID_SIZE] = {0x4d, 0x6f};
    g_autoptr(MonattReference) reference =
        parse(HEAD ",\"environments\":[{" CLASS ",\"measurements\":[{" KERNEL "}]},{\"class\":{"
                   "\"vendor\":\"monatt\",\"model\":\"vm\",\"instance\":"
                   "\"4d6f0000-0000-0000-0000-000000000000\"},\"measurements\":[{" KERNEL "}]}]}");
    g_autoptr(GPtrArray) both = monatt_reference_select(reference, vid, "boot/kernel");
    g_assert_cmpuint(both->len, ==, 2);
    vid[0] = 0;
    g_autoptr(GPtrArray) any = monatt_reference_select(reference, vid, "boot/kernel");
    g_assert_cmpuint(any->len, ==, 1);
    g_autoptr(GPtrArray) none = monatt_reference_select(reference, vid, "boot/initrd");
    g_assert_cmpuint(none->len, ==, 0);
}

/* Every kind of match; both digests must fit when both sides have them. */
static void test_match(void)
{
    g_autoptr(MonattReference) reference = monatt_reference_new("m");
    MonattEnvironment *environment = monatt_reference_add_environment(reference);
    uint8_t ours[32], other[32], ours384[48] = {9}, other384[48] = {8};
    const MonattReferenceValue *hit;
    memset(ours, 1, sizeof(ours));
    memset(other, 2, sizeof(other));
    g_assert_cmpint(monatt_reference_match(environment->values, ours, NULL, 100, &hit), ==,
                    MONATT_MATCH_NONE);
    MonattReferenceValue *old = monatt_environment_add(environment, "boot/kernel");
    old->has_sha256 = TRUE;
    memcpy(old->sha256, ours, sizeof(ours));
    old->superseded = TRUE;
    old->until = 100;
    g_assert_cmpint(monatt_reference_match(environment->values, ours, NULL, 100, &hit), ==,
                    MONATT_MATCH_SUPERSEDED);
    g_assert_cmpint(monatt_reference_match(environment->values, ours, NULL, 101, &hit), ==,
                    MONATT_MATCH_OVER);
    g_assert_cmpint(monatt_reference_match(environment->values, other, NULL, 1, &hit), ==,
                    MONATT_MATCH_DIFFERS);
    /* No digest in common is no comparison. */
    g_assert_cmpint(monatt_reference_match(environment->values, NULL, ours384, 1, &hit), ==,
                    MONATT_MATCH_NONE);
    MonattReferenceValue *now = monatt_environment_add(environment, "boot/kernel");
    now->has_sha256 = now->has_sha384 = TRUE;
    memcpy(now->sha256, ours, sizeof(ours));
    memcpy(now->sha384, ours384, sizeof(ours384));
    g_assert_cmpint(monatt_reference_match(environment->values, ours, ours384, 101, &hit), ==,
                    MONATT_MATCH_CURRENT);
    g_assert_true(hit == now);
    g_assert_cmpint(monatt_reference_match(environment->values, ours, other384, 101, &hit), ==,
                    MONATT_MATCH_OVER);
    g_assert_cmpint(monatt_reference_match(environment->values, other, other384, 101, &hit), ==,
                    MONATT_MATCH_DIFFERS);
    g_assert_true(hit == now); /* the current value is the one that was expected */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reference/refuses-each-fault", test_refuses);
    g_test_add_func("/reference/round-trip", test_round_trip);
    g_test_add_func("/reference/selects-by-vm", test_selects_by_vm);
    g_test_add_func("/reference/match", test_match);
    return g_test_run();
}
