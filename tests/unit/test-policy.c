/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-policy.c - policies that are accepted, and which error refuses the others
 */
#include <glib.h>
#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "verifier/policy.h"
#include "verifier/property.h"

#define HEAD "{\"profile\":\"tag:github.com,2026:monatt/policy#1\""

static MonattPolicy *parse(const char *text)
{
    GError *error = NULL;
    MonattPolicy *policy = monatt_policy_parse("policy", text, strlen(text), &error);
    g_assert_no_error(error);
    g_assert_nonnull(policy);
    return policy;
}

static void test_defaults(void)
{
    g_autoptr(MonattPolicy) empty = parse(HEAD "}");
    g_autoptr(MonattPolicy) none = monatt_policy_new();
    g_assert_cmpuint(none->required, ==,
                     1u << MONATT_PROPERTY_STARTUP | 1u << MONATT_PROPERTY_RUNTIME);
    g_assert_cmpuint(empty->required, ==, none->required);
    g_assert_cmpint(empty->expires_s, ==, 60);
    g_assert_cmpint(empty->max_age_s, ==, 300);
    g_assert_true(empty->accept_s256 && empty->accept_s384);
    g_assert_cmpuint(empty->required_items, ==, none->required_items);
    g_assert_cmpuint(empty->required_views, ==, none->required_views);
}

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_accepts_all(void)
{
    g_autoptr(MonattPolicy) policy =
        parse(HEAD ",\"id\":\"strict\",\"required\":[\"host-integrity\"],\"expires_s\":86400,"
                   "\"max_age_s\":1,\"accept_suites\":[\"S384\"],"
                   "\"startup\":{\"required_items\":[\"kernel\",\"machine\"]},"
                   "\"runtime\":{\"required_views\":[\"task list\"],"
                   "\"required_checks\":[\"strings\",\"control-registers\"],"
                   "\"allow\":{\"bpf\":[\"" DIGEST "\"],\"hooks\":[\"nf_agent\"]}}}");
    g_assert_cmpstr(policy->id, ==, "strict");
    g_assert_cmpuint(policy->required, ==, 1u << MONATT_PROPERTY_HOST);
    g_assert_cmpint(policy->expires_s, ==, 86400);
    g_assert_false(policy->accept_s256);
    g_assert_true(policy->accept_s384);
    g_assert_cmpuint(policy->required_items, ==,
                     1u << MONATT_BOOT_KERNEL | 1u << MONATT_BOOT_MACHINE);
    g_assert_cmpuint(policy->required_views, ==, MONATT_VIEW_BIT(MONATT_VIEW_LIST));
    g_assert_cmpuint(policy->required_checks, ==,
                     1u << MONATT_SUBCHECK_STRINGS | 1u << MONATT_SUBCHECK_CONTROL_REGISTERS);
    g_assert_true(policy->checks_listed);
    g_assert_cmpuint(policy->allowed_bpf->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(policy->allowed_bpf, 0), ==, DIGEST);
    g_assert_cmpuint(policy->allowed_hooks->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(policy->allowed_hooks, 0), ==, "nf_agent");
}

static const struct {
    const char *text;
    MonattErrorCode code;
    const char *names; /* what the message must name */
} refused[] = {
    {"", MONATT_ERROR_FORMAT, "line"},
    {"[]", MONATT_ERROR_FORMAT, "not a JSON object"},
    {"{}", MONATT_ERROR_FORMAT, "profile"},
    {"{\"profile\":\"tag:github.com,2026:monatt/policy#2\"}", MONATT_ERROR_FORMAT, "profile"},
    {"{\"profile\":7}", MONATT_ERROR_FORMAT, "profile"},
    {HEAD, MONATT_ERROR_FORMAT, "line"},
    {HEAD "}x", MONATT_ERROR_FORMAT, "line"},
    {HEAD ",\"profile\":\"tag:github.com,2026:monatt/policy#1\"}", MONATT_ERROR_FORMAT,
     "duplicate"},
    {HEAD ",\"colour\":1}", MONATT_ERROR_FORMAT, "colour"},
    {HEAD ",\"id\":\"a\\u001b[2J\"}", MONATT_ERROR_FORMAT, "id"},
    {HEAD ",\"id\":\"\"}", MONATT_ERROR_FORMAT, "id"},
    {HEAD ",\"required\":[]}", MONATT_ERROR_FORMAT, "required"},
    {HEAD ",\"required\":[\"startup\"]}", MONATT_ERROR_FORMAT, "element 0"},
    {HEAD ",\"required\":\"startup-integrity\"}", MONATT_ERROR_FORMAT, "required"},
    {HEAD ",\"expires_s\":0}", MONATT_ERROR_LIMIT, "expires_s"},
    {HEAD ",\"expires_s\":86401}", MONATT_ERROR_LIMIT, "expires_s"},
    {HEAD ",\"expires_s\":60.5}", MONATT_ERROR_FORMAT, "expires_s"},
    {HEAD ",\"max_age_s\":-1}", MONATT_ERROR_LIMIT, "max_age_s"},
    {HEAD ",\"max_age_s\":31536001}", MONATT_ERROR_LIMIT, "max_age_s"},
    {HEAD ",\"max_age_s\":9223372036854775808}", MONATT_ERROR_FORMAT, "line"},
    {HEAD ",\"accept_suites\":[]}", MONATT_ERROR_FORMAT, "accept_suites"},
    {HEAD ",\"accept_suites\":[\"none\"]}", MONATT_ERROR_FORMAT, "accept_suites"},
    {HEAD ",\"startup\":{\"items\":[]}}", MONATT_ERROR_FORMAT, "items"},
    {HEAD ",\"startup\":[]}", MONATT_ERROR_FORMAT, "startup"},
    {HEAD ",\"startup\":{\"required_items\":[\"bios\"]}}", MONATT_ERROR_FORMAT, "element 0"},
    {HEAD ",\"runtime\":{\"required_views\":[]}}", MONATT_ERROR_FORMAT, "required_views"},
    {HEAD ",\"runtime\":{\"required_views\":[\"task list\",8]}}", MONATT_ERROR_FORMAT, "element 1"},
    {HEAD ",\"runtime\":{\"required_checks\":[\"no-such\"]}}", MONATT_ERROR_FORMAT, "element 0"},
    {HEAD ",\"runtime\":{\"required_checks\":[\"hidden-tasks\"]}}", MONATT_ERROR_FORMAT,
     "required_checks"},
    {HEAD ",\"runtime\":{\"allow\":{\"all\":[]}}}", MONATT_ERROR_FORMAT, "all"},
    {HEAD ",\"runtime\":{\"allow\":{\"bpf\":[\"0011\"]}}}", MONATT_ERROR_FORMAT, "bpf"},
    {HEAD ",\"runtime\":{\"allow\":{\"hooks\":[\"*\"]}}}", MONATT_ERROR_FORMAT, "hooks"},
    {HEAD ",\"runtime\":{\"allow\":{\"hooks\":[\"\"]}}}", MONATT_ERROR_FORMAT, "hooks"},
    {"[[[[[[[[[[[[[[[[[", MONATT_ERROR_LIMIT, "deeper"},
};

static void test_refuses(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        GError *error = NULL;
        MonattPolicy *policy =
            monatt_policy_parse("policy", refused[i].text, strlen(refused[i].text), &error);
        g_test_message("%s", refused[i].text);
        g_assert_null(policy);
        g_assert_error(error, MONATT_GERROR, (int)refused[i].code);
        g_assert_nonnull(strstr(error->message, refused[i].names));
        g_error_free(error);
    }
}

static void test_size(void)
{
    GError *error = NULL;
    g_autoptr(GString) text = g_string_new(HEAD "}");
    while (text->len < MONATT_POLICY_SIZE_MAXIMUM) {
        g_string_append_c(text, ' ');
    }
    g_autoptr(MonattPolicy) policy = monatt_policy_parse("policy", text->str, text->len, &error);
    g_assert_no_error(error);
    g_assert_nonnull(policy);
    g_string_append_c(text, ' ');
    g_assert_null(monatt_policy_parse("policy", text->str, text->len, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT);
    g_error_free(error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/defaults", test_defaults);
    g_test_add_func("/policy/accepts-all-members", test_accepts_all);
    g_test_add_func("/policy/refuses-each-fault", test_refuses);
    g_test_add_func("/policy/size-limit", test_size);
    return g_test_run();
}
