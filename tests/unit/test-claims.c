/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-claims.c - claims are read back as written; every other JSON is refused with its code
 */
#include <string.h>
#include "libmonatt/evidence/evidence.h"

static void fill(MonattClaims *c, const char *suite)
{
    size_t size = monatt_suite_digest_size(suite);
    uint16_t alg = monatt_suite_bank(suite);
    memset(c, 0, sizeof(*c));
    g_strlcpy(c->suite, suite, sizeof(c->suite));
    for (size_t i = 0; i < 48; i++) {
        c->log_digest[i] = (uint8_t)i;
        c->host_log_digest[i] = (uint8_t)(i + 1);
        c->previous[i] = (uint8_t)(i + 2);
        c->ask[i] = (uint8_t)(i + 3);
        c->m[0].digest[i] = (uint8_t)(i + 4);
    }
    memset(c->nonce, 0xa1, sizeof(c->nonce));
    memset(c->vid, 0xa2, sizeof(c->vid));
    memset(c->boot_seed, 0xa3, sizeof(c->boot_seed));
    c->iat = 1790000000;
    c->boot_count = 7;
    c->uptime_ns = 123456789012345;
    c->rm = 0xffffffff;
    c->m_count = 2;
    g_strlcpy(c->m[0].kind, "boot", sizeof(c->m[0].kind));
    c->m[0].index = 20;
    c->m[0].last = 4;
    g_strlcpy(c->m[1].kind, "tasks", sizeof(c->m[1].kind));
    c->m[1].index = 19;
    c->m[1].first = 1; /* first > last: none */
    uint8_t *const names[] = {c->dek_name, c->dak_name, c->sk_name};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        names[i][1] = (uint8_t)alg;
        names[i][2] = (uint8_t)i;
    }
    c->dek_name_size = c->dak_name_size = c->sk_name_size = 2 + size;
    c->dak_pub = g_bytes_new("device key", 10);
    c->sk_pub = g_bytes_new("session key", 11);
    c->log_records = 1000;
    c->log_bytes = 123456;
    c->host_log_bytes = 9;
    c->host_ima_count = 3;
    c->number = 2;
}

static void release(MonattClaims *c)
{
    g_bytes_unref(c->dak_pub);
    g_bytes_unref(c->sk_pub);
}

static char *write_text(const MonattClaims *c)
{
    GError *error = NULL;
    gsize size;
    g_autoptr(GBytes) bytes = monatt_claims_serialize(c, &error);
    g_assert_no_error(error);
    const char *text = g_bytes_get_data(bytes, &size);
    return g_strndup(text, size);
}

static void test_round(gconstpointer suite)
{
    MonattClaims c;
    GError *error = NULL;
    size_t size = monatt_suite_digest_size(suite);
    fill(&c, suite);
    for (int with_ask = 0; with_ask < 2; with_ask++) {
        c.ask_size = with_ask ? size : 0;
        g_autofree char *text = write_text(&c);
        g_autoptr(MonattClaims) again = monatt_claims_parse(text, strlen(text), &error);
        g_assert_no_error(error);
        g_assert_cmpstr(again->suite, ==, suite);
        g_assert_cmpmem(again->nonce, 32, c.nonce, 32);
        g_assert_cmpmem(again->ask, again->ask_size, c.ask, c.ask_size);
        g_assert_cmpint(again->iat, ==, c.iat);
        g_assert_cmpmem(again->vid, 16, c.vid, 16);
        g_assert_cmpmem(again->boot_seed, 32, c.boot_seed, 32);
        g_assert_cmpuint(again->boot_count, ==, 7);
        g_assert_cmpuint(again->uptime_ns, ==, c.uptime_ns);
        g_assert_cmpuint(again->rm, ==, c.rm);
        g_assert_cmpuint(again->m_count, ==, 2);
        g_assert_cmpstr(again->m[0].kind, ==, "boot");
        g_assert_cmpuint(again->m[0].index, ==, 20);
        g_assert_cmpuint(again->m[0].last, ==, 4);
        g_assert_cmpmem(again->m[0].digest, size, c.m[0].digest, size);
        g_assert_cmpuint(again->m[1].first, ==, 1);
        g_assert_cmpmem(again->dek_name, again->dek_name_size, c.dek_name, c.dek_name_size);
        g_assert_cmpmem(again->dak_name, again->dak_name_size, c.dak_name, c.dak_name_size);
        g_assert_cmpmem(again->sk_name, again->sk_name_size, c.sk_name, c.sk_name_size);
        g_assert_true(g_bytes_equal(again->dak_pub, c.dak_pub));
        g_assert_true(g_bytes_equal(again->sk_pub, c.sk_pub));
        g_assert_cmpuint(again->log_records, ==, 1000);
        g_assert_cmpuint(again->log_bytes, ==, 123456);
        g_assert_cmpmem(again->log_digest, size, c.log_digest, size);
        g_assert_cmpuint(again->host_log_bytes, ==, 9);
        g_assert_cmpuint(again->host_ima_count, ==, 3);
        g_assert_cmpmem(again->host_log_digest, size, c.host_log_digest, size);
        g_assert_cmpmem(again->previous, size, c.previous, size);
        g_assert_cmpuint(again->number, ==, 2);
        g_autofree char *second = write_text(again);
        g_assert_cmpstr(second, ==, text);
    }
    release(&c);
}

static void refuse(const char *text, size_t size, MonattErrorCode code)
{
    GError *error = NULL;
    g_autoptr(MonattClaims) claims = monatt_claims_parse(text, size, &error);
    if (claims != NULL) {
        g_test_message("accepted: %.*s", (int)size, text);
    }
    g_assert_null(claims);
    g_assert_error(error, MONATT_GERROR, (int)code);
    g_error_free(error);
}

/* A claims text with one place changed; from must stand in it. */
static void refuse_change(const char *text, const char *from, const char *to, MonattErrorCode code)
{
    g_auto(GStrv) parts = g_strsplit(text, from, 2);
    if (parts[1] == NULL) {
        g_error("'%s' is not in %s", from, text);
    }
    g_autofree char *bad = g_strjoinv(to, parts);
    refuse(bad, strlen(bad), code);
}

static void test_refuses_changes(void)
{
    static const struct {
        const char *from;
        const char *to;
    } changes[] = {
        {"{\"eat_profile\"", " {\"eat_profile\""}, /* nothing before the profile */
        {"evidence#1\"", "evidence#2\""},
        {"\"ver\":1,", ""},
        {"\"ver\":1,", "\"ver\":2,"},
        {"\"ver\":1,", "\"ver\":1.0,"},
        {"\"ver\":1,", "\"ver\":\"1\","},
        {"\"ver\":1,", "\"ver\":1,\"ver\":1,"},
        {"\"ver\":1,", "\"ver\":1,\"x\":1,"},
        {"\"suite\":\"S256\"", "\"suite\":\"S384\""}, /* sizes are S256's */
        {"\"suite\":\"S256\"", "\"suite\":\"S512\""},
        {"\"suite\":\"S256\"", "\"suite\":256"},
        {"\"iat\":1790000000", "\"iat\":-1"},
        {"\"iat\":1790000000", "\"iat\":1790000000.5"},
        {"\"iat\":1790000000", "\"iat\":1e9"},
        {"\"iat\":1790000000", "\"iat\":253402300800"},
        {"\"iat\":1790000000", "\"iat\":99999999999999999999"},
        {"\"iat\":1790000000", "\"iat\":null"},
        {"\"rm\":4294967295", "\"rm\":4294967296"},
        {"\"bootcount\":7", "\"bootcount\":true"},
        {"\"uptime_ns\":", "\"uptime\":"},
        {"\"n\":2", "\"n\":0"},
        {"\"n\":2", "\"n\":4294967296"},
        {"\"n\":2}", "\"n\":2}}"},
        {"\"n\":2}", "\"n\":2} {}"},
        {"\"n\":2}", "\"n\":2,}"},
        {"\"n\":2}", "\"n\":2,\"m\":[]}"},
        {"\"eat_nonce\":\"o", "\"eat_nonce\":\"="},
        {"\"eat_nonce\":\"o", "\"eat_nonce\":\""},
        {"\"vid\":\"oqKioqKioqKioqKioqKiog\"", "\"vid\":\"oqKioqKioqKioqKioqKioh\""},
        {"\"vid\":\"oqKioqKioqKioqKioqKiog\"", "\"vid\":\"\""},
        {"\"vid\":\"oqKioqKioqKioqKioqKiog\"", "\"vid\":[]"},
        {"\"m\":[{", "\"m\":{\"a\":[{"},
        {"\"m\":[", "\"m\":[7,"},
        {"\"m\":[", "\"m\":[{},"},
        {"\"kind\":\"boot\"", "\"kind\":\"\""},
        {"\"kind\":\"boot\"", "\"kind\":\"Boot\""},
        {"\"kind\":\"boot\"", "\"kind\":\"bo\\u0000ot\""},
        {"\"kind\":\"boot\"", "\"kind\":\"abcdefghijklmnopqrstuvwxyzabcdef\""},
        {"\"kind\":\"boot\"", "\"kind\":\"boot\",\"more\":1"},
        {"\"register\":20", "\"register\":24"},
        {"\"register\":20", "\"register\":-1"},
        {"\"first\":0", "\"first\":-1"},
        {"\"log\":{", "\"log\":{\"more\":1,"},
        {"\"log\":{\"records\":1000", "\"log\":{\"records\":\"1000\""},
        {"\"host_log\":{\"bytes\":9", "\"host_log\":{\"bytes\":67108865"},
        {",\"ima_count\":3", ""},
        {"\"dek\":\"AAs", "\"dek\":\"AAw"}, /* a SHA-384 Name with a SHA-256 digest */
        {"\"dek\":\"AAs", "\"dek\":\"AAQ"},
        {"\"dak_pub\":\"ZGV2aWNlIGtleQ\"", "\"dak_pub\":\"\""},
        {"\"dak_pub\":\"ZGV2aWNlIGtleQ\"", "\"dak_pub\":\"ZGV2aWNlIGtleR\""},
        {"\"sk_pub\":", "\"sk_pub_\":"},
    };
    MonattClaims c;
    fill(&c, "S256");
    g_autofree char *text = write_text(&c);
    for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
        refuse_change(text, changes[i].from, changes[i].to, MONATT_ERROR_FORMAT);
    }
    c.ask_size = 32;
    g_autofree char *with_ask = write_text(&c);
    refuse_change(with_ask, "\"ask\":\"AwQ", "\"ask\":\"AwQ=", MONATT_ERROR_LIMIT);
    refuse_change(with_ask, "\"ask\":\"", "\"ask\":null,\"x\":\"", MONATT_ERROR_FORMAT);
    refuse_change(text, "\"eat_nonce\":\"", "\"eat_nonce\":\"AAAA", MONATT_ERROR_LIMIT);
    release(&c);
}

static void test_refuses_sizes(void)
{
    MonattClaims c;
    fill(&c, "S256");
    g_autofree char *text = write_text(&c);
    for (size_t i = 0; i < strlen(text); i++) {
        refuse(text, i, MONATT_ERROR_FORMAT);
    }
    g_autofree char *large = g_strnfill(MONATT_CLAIMS_MAXIMUM + 1, ' ');
    refuse(large, MONATT_CLAIMS_MAXIMUM + 1, MONATT_ERROR_LIMIT);
    refuse(large, MONATT_CLAIMS_MAXIMUM, MONATT_ERROR_FORMAT);
    /* deep nesting ends in an error, not on the stack's end */
    memset(large, '[', MONATT_CLAIMS_MAXIMUM);
    memcpy(large, text, strlen("{\"eat_profile\":\"" MONATT_EVIDENCE_PROFILE "\","));
    refuse(large, MONATT_CLAIMS_MAXIMUM, MONATT_ERROR_FORMAT);
    release(&c);
}

static void test_limits(void)
{
    MonattClaims c;
    GError *error = NULL;
    fill(&c, "S256");
    c.m_count = MONATT_MEASUREMENTS_MAXIMUM;
    for (size_t i = 0; i < c.m_count; i++) {
        c.m[i] = c.m[0];
        memset(c.m[i].kind, 'a', 31);
    }
    g_autofree char *text = write_text(&c);
    g_autoptr(MonattClaims) again = monatt_claims_parse(text, strlen(text), &error);
    g_assert_no_error(error);
    g_assert_cmpuint(again->m_count, ==, MONATT_MEASUREMENTS_MAXIMUM);
    refuse_change(text, "\"m\":[", "\"m\":[7,", MONATT_ERROR_FORMAT);
    c.m_count++;
    g_assert_null(monatt_claims_serialize(&c, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_USAGE);
    g_clear_error(&error);
    c.m_count = 1;
    /* what the reader would refuse is never written */
    c.number = 0;
    g_assert_null(monatt_claims_serialize(&c, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
    g_clear_error(&error);
    c.number = 1;
    c.uptime_ns = (uint64_t)INT64_MAX + 1;
    g_assert_null(monatt_claims_serialize(&c, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
    g_clear_error(&error);
    c.uptime_ns = INT64_MAX;
    c.iat = -1;
    g_assert_null(monatt_claims_serialize(&c, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT);
    g_clear_error(&error);
    c.iat = 253402300799;
    g_strlcpy(c.m[0].kind, "a\"b", sizeof(c.m[0].kind));
    g_assert_null(monatt_claims_serialize(&c, &error));
    g_clear_error(&error);
    g_strlcpy(c.m[0].kind, "boot", sizeof(c.m[0].kind));
    g_autofree char *extreme = write_text(&c);
    g_assert_nonnull(extreme);
    g_strlcpy(c.suite, "S1", sizeof(c.suite));
    g_assert_null(monatt_claims_serialize(&c, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_USAGE);
    g_clear_error(&error);
    release(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/claims/round/s256", "S256", test_round);
    g_test_add_data_func("/claims/round/s384", "S384", test_round);
    g_test_add_func("/claims/refuses-changes", test_refuses_changes);
    g_test_add_func("/claims/refuses-sizes", test_refuses_sizes);
    g_test_add_func("/claims/limits", test_limits);
    return g_test_run();
}
