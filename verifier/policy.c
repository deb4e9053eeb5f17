/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy.c - reads a policy and knows the defaults
 */
#include "verifier/policy.h"

#include <string.h>
#include "libmonatt/evidence/evidence.h"
#include "verifier/json.h"
#include "verifier/property.h"

#define LIST_MAXIMUM 32         /* properties, items, views and checks are fewer */
#define ALLOW_MAXIMUM 512       /* programs of a fleet: agents load a few dozen each */
#define AGE_MAXIMUM_S 31536000  /* a year: for evidence read from an archive */
#define EXPIRES_MAXIMUM_S 86400 /* a result never outlives a session */
#define WORD_MAXIMUM 64
/* What each supported kernel lets be seen, whatever the host can give for comparison. */
#define CHECKS_DEFAULT                                                                             \
    (1u << MONATT_SUBCHECK_MODULES | 1u << MONATT_SUBCHECK_EXECUTABLE_PAGES |                      \
     1u << MONATT_SUBCHECK_FUNCTION_POINTERS | 1u << MONATT_SUBCHECK_STRINGS |                     \
     1u << MONATT_SUBCHECK_CREDENTIALS | 1u << MONATT_SUBCHECK_BPF |                               \
     1u << MONATT_SUBCHECK_KPROBES | 1u << MONATT_SUBCHECK_FTRACE |                                \
     1u << MONATT_SUBCHECK_NETFILTER | 1u << MONATT_SUBCHECK_SOCKETS)

MonattPolicy *monatt_policy_new(void)
{
    MonattPolicy *policy = g_new0(MonattPolicy, 1);
    policy->id = g_strdup("default");
    if (!monatt_suite_hash("S256", "", 0, policy->digest)) {
        memset(policy->digest, 0, sizeof(policy->digest));
    }
    policy->required = 1u << MONATT_PROPERTY_STARTUP | 1u << MONATT_PROPERTY_RUNTIME;
    policy->expires_s = 60;
    policy->max_age_s = 300;
    policy->accept_s256 = TRUE;
    policy->accept_s384 = TRUE;
    policy->required_items = 1u << MONATT_BOOT_FIRMWARE | 1u << MONATT_BOOT_KERNEL |
                             1u << MONATT_BOOT_INITRD | 1u << MONATT_BOOT_COMMAND_LINE;
    policy->required_views = MONATT_VIEW_BIT(MONATT_VIEW_LIST) |
                             MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR) |
                             MONATT_VIEW_BIT(MONATT_VIEW_SLAB);
    policy->required_checks = CHECKS_DEFAULT;
    policy->allowed_bpf = g_ptr_array_new_with_free_func(g_free);
    policy->allowed_hooks = g_ptr_array_new_with_free_func(g_free);
    return policy;
}

void monatt_policy_free(MonattPolicy *policy)
{
    if (policy != NULL) {
        g_free(policy->id);
        g_ptr_array_unref(policy->allowed_bpf);
        g_ptr_array_unref(policy->allowed_hooks);
        g_free(policy);
    }
}

/* Number of a word, or -1. */
typedef int (*WordLookup)(const char *word);

static int find_item(const char *word)
{
    for (uint16_t kind = MONATT_BOOT_FIRMWARE; kind <= MONATT_BOOT_MACHINE; kind++) {
        if (strcmp(word, monatt_boot_item_kind_name(kind)) == 0) {
            return kind;
        }
    }
    return -1;
}

static int find_view(const char *word)
{
    for (uint8_t view = MONATT_VIEW_LIST; view < MONATT_VIEW_COUNT; view++) {
        if (strcmp(word, monatt_task_view_name(view)) == 0) {
            return view;
        }
    }
    return -1;
}

static int find_check(const char *word)
{
    uint16_t check = monatt_check_by_name(word);
    /* Hidden tasks have a record, and with required_views a member, of their own. */
    return check == 0 || check == MONATT_SUBCHECK_HIDDEN_TASK ? -1 : check;
}

/* A list of known words becomes bits; a missing list leaves *ret_bits alone. */
static gboolean read_words(const json_t *object, const char *where, const char *member,
                           WordLookup lookup, uint32_t *ret_bits, GError **error)
{
    const json_t *list;
    if (!monatt_json_array(object, where, member, TRUE, LIST_MAXIMUM, &list, error)) {
        return FALSE;
    }
    if (list == NULL) {
        return TRUE;
    }
    uint32_t bits = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        int number = word != NULL && strlen(word) <= WORD_MAXIMUM ? lookup(word) : -1;
        if (number < 0) {
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                        "%s: member '%s': element %zu is not a known word", where, member, i);
            return FALSE;
        }
        bits |= 1u << number;
    }
    *ret_bits = bits;
    return TRUE;
}

static gboolean read_suites(MonattPolicy *policy, const json_t *root, const char *name,
                            GError **error)
{
    const json_t *list;
    if (!monatt_json_array(root, name, "accept_suites", TRUE, LIST_MAXIMUM, &list, error)) {
        return FALSE;
    }
    if (list == NULL) {
        return TRUE;
    }
    policy->accept_s256 = policy->accept_s384 = FALSE;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (word != NULL && strcmp(word, "S256") == 0) {
            policy->accept_s256 = TRUE;
        } else if (word != NULL && strcmp(word, "S384") == 0) {
            policy->accept_s384 = TRUE;
        } else {
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                        "%s: member 'accept_suites': only \"S256\" and \"S384\" are known", name);
            return FALSE;
        }
    }
    if (!policy->accept_s256 && !policy->accept_s384) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'accept_suites': is empty, no evidence could pass", name);
        return FALSE;
    }
    return TRUE;
}

/* An optional object within the policy, with no other members; *ret NULL: it is not there. */
static gboolean open_part(const json_t *object, const char *where, const char *part,
                          const char *const *allowed, const json_t **ret, char **ret_where,
                          GError **error)
{
    *ret = json_object_get(object, part);
    *ret_where = g_strdup_printf("%s: %s", where, part);
    return *ret == NULL || monatt_json_check_members(*ret, *ret_where, allowed, error);
}

static gboolean read_startup(MonattPolicy *policy, const json_t *root, const char *name,
                             GError **error)
{
    static const char *const allowed[] = {"required_items", NULL};
    g_autofree char *where = NULL;
    const json_t *part;
    return open_part(root, name, "startup", allowed, &part, &where, error) &&
           (part == NULL ||
            read_words(part, where, "required_items", find_item, &policy->required_items, error));
}

typedef gboolean (*WordCheck)(const char *word);

static gboolean is_digest(const char *word)
{
    return strlen(word) == 64 && strspn(word, "0123456789abcdef") == 64;
}

static gboolean is_module(const char *word)
{
    size_t size = strlen(word);
    return size > 0 && size < WORD_MAXIMUM && strspn(word, "-") == 0 &&
           strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == size;
}

static gboolean read_list(const json_t *object, const char *where, const char *member,
                          WordCheck is_good, GPtrArray *list, GError **error)
{
    const json_t *words;
    if (!monatt_json_array(object, where, member, TRUE, ALLOW_MAXIMUM, &words, error)) {
        return FALSE;
    }
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        if (word == NULL || !is_good(word)) {
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                        "%s: member '%s': element %zu is not what it must name", where, member, i);
            return FALSE;
        }
        g_ptr_array_add(list, g_strdup(word));
    }
    return TRUE;
}

static gboolean read_allow(MonattPolicy *policy, const json_t *runtime, const char *name,
                           GError **error)
{
    static const char *const allowed[] = {"bpf", "hooks", NULL};
    g_autofree char *where = NULL;
    const json_t *part;
    return open_part(runtime, name, "allow", allowed, &part, &where, error) &&
           (part == NULL ||
            (read_list(part, where, "bpf", is_digest, policy->allowed_bpf, error) &&
             read_list(part, where, "hooks", is_module, policy->allowed_hooks, error)));
}

static gboolean read_runtime(MonattPolicy *policy, const json_t *root, const char *name,
                             GError **error)
{
    static const char *const allowed[] = {"required_views", "required_checks", "allow", NULL};
    g_autofree char *where = NULL;
    const json_t *part;
    if (!open_part(root, name, "runtime", allowed, &part, &where, error)) {
        return FALSE;
    }
    if (part == NULL) {
        return TRUE;
    }
    policy->checks_listed = json_object_get(part, "required_checks") != NULL;
    return read_words(part, where, "required_views", find_view, &policy->required_views, error) &&
           read_words(part, where, "required_checks", find_check, &policy->required_checks,
                      error) &&
           read_allow(policy, part, where, error);
}

static gboolean fill(MonattPolicy *policy, const json_t *root, const char *name, GError **error)
{
    static const char *const allowed[] = {"profile",   "id",        "required",
                                          "expires_s", "max_age_s", "accept_suites",
                                          "startup",   "runtime",   NULL};
    const char *profile, *id;
    if (!monatt_json_check_members(root, name, allowed, error) ||
        !monatt_json_text(root, name, "profile", FALSE, 128, &profile, error)) {
        return FALSE;
    }
    if (strcmp(profile, MONATT_POLICY_PROFILE) != 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'profile': must be \"" MONATT_POLICY_PROFILE "\"", name);
        return FALSE;
    }
    if (!monatt_json_text(root, name, "id", TRUE, MONATT_POLICY_ID_MAXIMUM, &id, error)) {
        return FALSE;
    }
    if (id != NULL) {
        g_free(policy->id);
        policy->id = g_strdup(id);
    }
    return read_words(root, name, "required", monatt_property_find, &policy->required, error) &&
           monatt_json_integer(root, name, "expires_s", 1, EXPIRES_MAXIMUM_S, &policy->expires_s,
                               error) &&
           monatt_json_integer(root, name, "max_age_s", 1, AGE_MAXIMUM_S, &policy->max_age_s,
                               error) &&
           read_suites(policy, root, name, error) && read_startup(policy, root, name, error) &&
           read_runtime(policy, root, name, error);
}

MonattPolicy *monatt_policy_parse(const char *name, const void *bytes, size_t size, GError **error)
{
    g_autoptr(MonattJson) root =
        monatt_json_load(name, bytes, size, MONATT_POLICY_SIZE_MAXIMUM, error);
    if (root == NULL) {
        return NULL;
    }
    g_autoptr(MonattPolicy) policy = monatt_policy_new();
    if (!fill(policy, root, name, error)) {
        return NULL;
    }
    /* An empty "required" would make anything exit 0. */
    if (policy->required == 0) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'required': is empty, an empty comparison never passes", name);
        return NULL;
    }
    if (policy->required_views == 0 && (policy->required & 1u << MONATT_PROPERTY_RUNTIME)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_FORMAT,
                    "%s: member 'required_views': is empty, an empty comparison never passes",
                    name);
        return NULL;
    }
    if (!monatt_suite_hash("S256", bytes, size, policy->digest)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_INTERNAL, "%s: libcrypto cannot hash", name);
        return NULL;
    }
    return g_steal_pointer(&policy);
}
