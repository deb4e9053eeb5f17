/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake-host.c - for tests only: a program that writes one evidence file, right or wrong, offline
 *
 * Keys, CA and sessions live in a folder of the test's own and are made when they are missing, so
 * two runs with the same folder are two reports of one host.  Software keys: nothing here may ever
 * be trusted outside a test.
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include "libmonatt/base/error.h"
#include "libmonatt/evidence/export.h"
#include "tests/lib/seal-maker.h"

typedef struct Options {
    char *suite, *host, *logged_host, *nonce, *vid, *seed, *previous, *bad, *host_state;
    char *firmware, *kernel, *initrd, *command_line, *qemu, *leave_out;
    char *export_to;
    char *take_claims, *take_log, *take_host_log, *take_device_quote, *take_host_quote;
    gint64 boot, iat, uptime_ns, rm, views, reason, unsettled, findings, coverage, flags;
    gint64 earlier, guest_extends, hidden, hidden_in, seal_after, tasks;
    gboolean without_tasks, locks, without_opening, list_bad;
} Options;

static Options options = {
    .boot = 1, .rm = 3, .views = -1, .coverage = 1000000, .guest_extends = 2, .tasks = 58};

#define TEXT(name, field, help, argument)                                                          \
    {                                                                                              \
        name, 0, 0, G_OPTION_ARG_STRING, &options.field, help, argument                            \
    }
#define NUMBER(name, field, help)                                                                  \
    {                                                                                              \
        name, 0, 0, G_OPTION_ARG_INT64, &options.field, help, "N"                                  \
    }
#define FLAG(name, field, help)                                                                    \
    {                                                                                              \
        name, 0, 0, G_OPTION_ARG_NONE, &options.field, help, NULL                                  \
    }

static const GOptionEntry entries[] = {
    TEXT("suite", suite, "S256 (default) or S384; each has its own CA and keys", "NAME"),
    TEXT("host", host, "host id that the CA certifies (host-1)", "ID"),
    TEXT("logged-host", logged_host, "host id that the host log names (as --host)", "ID"),
    TEXT("nonce", nonce, "64 hex digits (1111…)", "HEX"),
    TEXT("vid", vid, "the VM (22222222-2222-2222-2222-222222222222)", "UUID"),
    TEXT("boot-seed", seed, "64 hex digits (3333…)", "HEX"),
    TEXT("previous", previous, "Q3 of the report before, as hex (zeros)", "HEX"),
    NUMBER("boot", boot, "boot count, and the device quote's reset count (1)"),
    NUMBER("earlier", earlier, "reports of this boot before this one (0)"),
    NUMBER("iat", iat, "when it was made, UNIX seconds (now)"),
    NUMBER("uptime-ns", uptime_ns, "since the VM's start (a little after the last record)"),
    NUMBER("rm", rm, "what was asked: 1 boot, 2 tasks, 4 plugin (3)"),
    TEXT("firmware", firmware, "content that is hashed (firmware)", "TEXT"),
    TEXT("kernel", kernel, "content that is hashed (kernel)", "TEXT"),
    TEXT("initrd", initrd, "content that is hashed (initrd)", "TEXT"),
    TEXT("command-line", command_line, "content that is hashed (console=ttyS0)", "TEXT"),
    TEXT("qemu", qemu, "content that is hashed (qemu)", "TEXT"),
    TEXT("leave-out", leave_out, "firmware, kernel, initrd, command-line or qemu; or 'all'",
         "ITEM"),
    FLAG("without-tasks", without_tasks, "tasks were not measured"),
    NUMBER("tasks", tasks, "how many each view shows (58)"),
    NUMBER("views", views, "bits of the views that were read (list, pid IDR, slab)"),
    NUMBER("hidden", hidden, "hidden processes, pid 4000 and on (0)"),
    NUMBER("hidden-in", hidden_in, "the report of this boot that found them (0: all)"),
    NUMBER("seal-after", seal_after, "report after which the log is cut, twice (0: never)"),
    NUMBER("findings", findings, "findings that the summary counts and nothing describes (0)"),
    NUMBER("reason", reason, "MonattReason of the task summary (0)"),
    NUMBER("unsettled", unsettled, "tasks that changed too fast (0)"),
    NUMBER("coverage", coverage, "millionths of the task records (1000000)"),
    NUMBER("flags", flags, "MONATT_RECORD_ bits of the task records (0)"),
    FLAG("locks", locks, "a plugin record too"),
    NUMBER("guest-extends", guest_extends, "extends of MR10 by the guest (2)"),
    TEXT("host-state", host_state, "what the host's PCR values are made from (good host)", "TEXT"),
    FLAG("without-opening", without_opening, "leave the opening out"),
    TEXT("take-claims", take_claims, "take the claims' JWS from another evidence file", "FILE"),
    TEXT("take-log", take_log, "take the event log from another evidence file", "FILE"),
    TEXT("take-host-log", take_host_log, "take the host log from another evidence file", "FILE"),
    TEXT("take-device-quote", take_device_quote, "take the device quote from there", "FILE"),
    TEXT("take-host-quote", take_host_quote, "take the host quote from there", "FILE"),
    TEXT("export", export_to, "write the parts into this folder too", "FOLDER"),
    TEXT("bad", bad, "break one thing, all else stays right and signed (see --list-bad)", "NAME"),
    FLAG("list-bad", list_bad, "list what --bad can break"),
    {NULL},
};

static int usage(const char *why)
{
    fprintf(stderr, "fake-host: %s (see --help)\n", why);
    return MONATT_EXIT_USAGE;
}

static gboolean put_hex(const char *text, uint8_t *bytes, size_t size)
{
    return text == NULL || monatt_text_to_bytes(text, bytes, size, NULL);
}

static void put_items(EvidenceMaker *m)
{
    static const char *const names[] = {"firmware", "kernel", "initrd", "command-line", "qemu"};
    const char *const contents[] = {options.firmware, options.kernel, options.initrd,
                                    options.command_line, options.qemu};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        if (contents[i] != NULL) {
            m->items[i] = contents[i];
        }
        if (g_strcmp0(options.leave_out, names[i]) == 0 ||
            g_strcmp0(options.leave_out, "all") == 0) {
            m->items[i] = NULL;
        }
    }
}

static gboolean put_options(EvidenceMaker *m)
{
    m->host_id = options.host ? options.host : m->host_id;
    m->logged_host = options.logged_host;
    m->host_state = options.host_state ? options.host_state : m->host_state;
    m->boot_count = (uint64_t)options.boot;
    m->earlier = (unsigned)options.earlier;
    m->iat = options.iat;
    m->uptime_ns = (uint64_t)options.uptime_ns;
    m->rm = (uint32_t)options.rm;
    m->without_tasks = options.without_tasks;
    m->with_locks = options.locks;
    m->without_opening = options.without_opening;
    m->hidden = (unsigned)options.hidden;
    m->hidden_in = (unsigned)options.hidden_in;
    m->seal_after = (unsigned)options.seal_after;
    m->guest_extends = (unsigned)options.guest_extends;
    m->coverage_ppm = (uint32_t)options.coverage;
    m->flags = (uint32_t)options.flags;
    m->tasks.findings = (uint32_t)options.findings;
    m->tasks.reason = (uint32_t)options.reason;
    m->tasks.unsettled = (uint32_t)options.unsettled;
    m->bad = options.bad;
    for (size_t i = 0; i < m->tasks.view_count; i++) {
        m->tasks.views[i].tasks = (uint32_t)options.tasks;
    }
    if (options.views >= 0) {
        m->tasks.views_read = (uint32_t)options.views;
        m->tasks.view_count = 0;
        for (uint8_t view = 1; view < MONATT_VIEW_COUNT; view++) {
            if (options.views & MONATT_VIEW_BIT(view)) {
                m->tasks.views[m->tasks.view_count].view = view;
                m->tasks.views[m->tasks.view_count++].tasks = (uint32_t)options.tasks;
            }
        }
    }
    put_items(m);
    return put_hex(options.nonce, m->nonce, sizeof(m->nonce)) &&
           put_hex(options.seed, m->boot_seed, sizeof(m->boot_seed)) &&
           put_hex(options.previous, m->previous, monatt_suite_digest_size(m->suite)) &&
           (options.vid == NULL || monatt_text_to_uuid(options.vid, m->vid, NULL));
}

static gboolean is_in(const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i += 2) {
        if (g_strcmp0(options.bad, names[i]) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean is_known_bad(void)
{
    return options.bad == NULL || is_in(evidence_maker_bad_names()) ||
           is_in(seal_maker_bad_names());
}

static void list_bad(const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i += 2) {
        printf("%-20s %s\n", names[i], names[i + 1]);
    }
}

static MonattEvidence *read_other(const char *path)
{
    g_autofree char *text = NULL;
    gsize size;
    GError *error = NULL;
    g_file_get_contents(path, &text, &size, &error);
    g_assert_no_error(error);
    MonattEvidence *other = monatt_evidence_parse(text, size, &error);
    g_assert_no_error(error);
    return other;
}

static void take_bytes(const char *path, GBytes **to, size_t offset)
{
    if (path != NULL) {
        g_autoptr(MonattEvidence) other = read_other(path);
        g_bytes_unref(*to);
        *to = g_bytes_ref(G_STRUCT_MEMBER(GBytes *, other, offset));
    }
}

static void take_quote(const char *path, MonattQuote **to, gboolean device)
{
    if (path != NULL) {
        g_autoptr(MonattEvidence) other = read_other(path);
        MonattQuote **from = device ? &other->device_quote : &other->host_quote;
        monatt_quote_free(*to);
        *to = g_steal_pointer(from);
    }
}

static MonattClaims *parse_claims(const EvidenceMaker *m)
{
    gsize size;
    const void *octets = g_bytes_get_data(m->claims_octets, &size);
    return monatt_claims_parse(octets, size, NULL);
}

static int write_evidence(EvidenceMaker *m, const char *path)
{
    GError *error = NULL;
    gsize size;
    char q3[2 * 48 + 1];
    char nonce[2 * MONATT_NONCE_SIZE + 1];
    char vid[MONATT_UUID_TEXT_SIZE];
    g_autoptr(MonattEvidence) evidence = evidence_maker_make(m);
    take_bytes(options.take_claims, &evidence->claims, offsetof(MonattEvidence, claims));
    take_bytes(options.take_log, &evidence->log, offsetof(MonattEvidence, log));
    take_bytes(options.take_host_log, &evidence->host_log, offsetof(MonattEvidence, host_log));
    take_quote(options.take_device_quote, &evidence->device_quote, TRUE);
    take_quote(options.take_host_quote, &evidence->host_quote, FALSE);
    g_autoptr(GBytes) bytes = monatt_evidence_serialize(evidence, &error);
    g_assert_no_error(error);
    const char *text = g_bytes_get_data(bytes, &size);
    if (!g_file_set_contents(path, text, (gssize)size, &error)) {
        fprintf(stderr, "fake-host: %s\n", error->message);
        g_error_free(error);
        return MONATT_EXIT_FAILED;
    }
    if (options.export_to != NULL) {
        g_autoptr(MonattClaims) claims = parse_claims(m);
        gboolean exported = monatt_evidence_export(evidence, claims, options.export_to, &error);
        g_assert_no_error(error);
        g_assert_true(exported);
    }
    monatt_text_from_bytes(m->q3, m->q3_size, q3);
    monatt_text_from_bytes(m->nonce, sizeof(m->nonce), nonce);
    monatt_text_from_uuid(m->vid, vid);
    printf("{\"q3\":\"%s\",\"nonce\":\"%s\",\"vid\":\"%s\",\"host\":\"%s\",\"ca\":\"%s/ca-%s\","
           "\"root\":\"%s/ca-%s/root.pem\"}\n",
           q3, nonce, vid, m->host_id, m->directory, m->suite, m->directory, m->suite);
    return MONATT_EXIT_DONE;
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    GOptionContext *context = g_option_context_new("DIRECTORY EVIDENCE-FILE");
    g_option_context_set_summary(context,
                                 "Writes one evidence file, as a host would, with software keys.\n"
                                 "Without options it is right, fresh and of a healthy VM.  Prints\n"
                                 "one JSON object: q3, nonce, vid, host, ca, root.");
    g_option_context_add_main_entries(context, entries, NULL);
    gboolean good = g_option_context_parse(context, &argc, &argv, &error);
    g_option_context_free(context);
    if (!good) {
        return usage(error->message);
    }
    if (options.list_bad) {
        list_bad(evidence_maker_bad_names());
        list_bad(seal_maker_bad_names());
        return MONATT_EXIT_DONE;
    }
    EvidenceMaker maker;
    const char *suite = options.suite ? options.suite : "S256";
    if (argc != 3 || monatt_suite_digest_size(suite) == 0) {
        return usage("needs a folder and a file; suites are S256 and S384");
    }
    if (!is_known_bad()) {
        return usage("--bad: no such thing");
    }
    evidence_maker_init(&maker, argv[1], suite);
    if (!put_options(&maker)) {
        return usage("--nonce, --boot-seed, --previous or --vid is not what it must be");
    }
    int status = write_evidence(&maker, argv[2]);
    evidence_maker_clear(&maker);
    return status;
}
