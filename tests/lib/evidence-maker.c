/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * evidence-maker.c - for tests only: builds evidence in the order of docs/architecture.md
 *
 * Boot items, tasks, report record, claims, then the three signatures over the same claims.
 * Aborts when something fails: a test that cannot make its input has nothing to say.
 */
#include "tests/lib/evidence-maker.h"

#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/key.h"
#include "libmonatt/evidence/quote.h"
#include "libmonatt/evidence/session.h"
#include "tests/lib/log-maker.h"
#include "tests/lib/seal-maker.h"
#include "tests/lib/soft-tpm.h"

#define DEVICE_SELECTION 0xffffffu
#define HOST_SELECTION 0x7fffu
#define HOST_REGISTERS 15

static const char *const bad_names[] = {
    "device-qualifying",
    "device quote over another question",
    "host-qualifying",
    "host quote over another question",
    "device-magic",
    "device quote's magic is not TPM_GENERATED",
    "host-magic",
    "host quote's magic is not TPM_GENERATED",
    "device-type",
    "device attested a key, not registers",
    "host-type",
    "host TPM attested a key, not registers",
    "device-selection",
    "device quote leaves MR23 out",
    "host-selection",
    "host quote leaves PCR 14 out",
    "device-value",
    "a register value that the device did not sign",
    "host-value",
    "a host PCR value that the TPM did not sign",
    "device-more-values",
    "a value outside the signed selection",
    "device-signer",
    "device quote by another key",
    "host-signer",
    "host quote by another key",
    "device-unrestricted",
    "the device's key is not restricted",
    "host-unrestricted",
    "the session key was changed after it was certified",
    "device-boot",
    "device quote of another boot",
    "jws-signer",
    "claims signed by another key",
    "chain-stranger",
    "session certificate by another CA",
    "chain-cut",
    "session certificate without the CA above it",
    "opening",
    "opening that does not fit the certificate",
    "log-cut",
    "the log lacks its last record",
    "log-vm",
    "the log's records are another VM's",
    "log-boot",
    "the log's records are another boot's",
    "log-digest",
    "a record's digest is not its own",
    "log-guest",
    "a guest's extend in MR19",
    "log-hidden-record",
    "a record that no register holds",
    "report-missing",
    "no report record in MR22",
    "report-nonce",
    "report record of another nonce",
    "report-number",
    "report record of another number",
    "report-previous",
    "report record names another earlier report",
    "measurement-digest",
    "claims name other records of MR19",
    "measurement-range",
    "claims name another range of MR19",
    "claims-nonce",
    "claims of another nonce",
    "claims-log",
    "claims name another log",
    "claims-records",
    "claims name another number of records",
    "claims-host-log",
    "claims name another host log",
    NULL,
};

const char *const *evidence_maker_bad_names(void)
{
    return bad_names;
}

void evidence_maker_init(EvidenceMaker *m, const char *directory, const char *suite)
{
    memset(m, 0, sizeof(*m));
    m->directory = directory;
    m->suite = suite;
    m->host_id = "host-1";
    memset(m->nonce, 0x11, sizeof(m->nonce));
    memset(m->vid, 0x22, sizeof(m->vid));
    memset(m->boot_seed, 0x33, sizeof(m->boot_seed));
    m->boot_count = 1;
    m->rm = MONATT_MEASURE_BOOT | MONATT_MEASURE_TASKS;
    m->items[0] = "firmware";
    m->items[1] = "kernel";
    m->items[2] = "initrd";
    m->items[3] = "console=ttyS0";
    m->items[4] = "qemu";
    m->guest_extends = 2;
    m->coverage_ppm = 1000000;
    m->host_state = "good host";
    uint32_t views = MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR) |
                     MONATT_VIEW_BIT(MONATT_VIEW_SLAB);
    m->tasks = (MonattTasksSummaryPayload){
        .sub_check = MONATT_SUBCHECK_HIDDEN_TASK,
        .views_wanted = views,
        .views_read = views,
        .scans = 1,
        .total_forks = 240,
        .view_count = 3,
        .views = {{.view = MONATT_VIEW_LIST, .tasks = 58},
                  {.view = MONATT_VIEW_PID_IDR, .tasks = 58},
                  {.view = MONATT_VIEW_SLAB, .tasks = 58}},
    };
}

void evidence_maker_clear(EvidenceMaker *m)
{
    g_clear_pointer(&m->claims_octets, g_bytes_unref);
}

static gboolean is_bad(const EvidenceMaker *m, const char *name)
{
    return g_strcmp0(m->bad, name) == 0;
}

static void add_items(const EvidenceMaker *m, LogMaker *log)
{
    static const uint16_t kinds[EVIDENCE_MAKER_ITEMS] = {
        MONATT_BOOT_FIRMWARE, MONATT_BOOT_KERNEL, MONATT_BOOT_INITRD, MONATT_BOOT_COMMAND_LINE,
        MONATT_BOOT_QEMU};
    static const char *const names[EVIDENCE_MAKER_ITEMS] = {
        "bios-256k.bin", "vmlinuz", "initrd.img", "command line", "qemu-system-x86_64"};
    for (size_t i = 0; i < EVIDENCE_MAKER_ITEMS; i++) {
        if (m->items[i] != NULL) {
            log_maker_boot_item(log, kinds[i], names[i], m->items[i]);
        }
    }
}

static void add_findings(LogMaker *log, unsigned hidden)
{
    for (unsigned i = 0; i < hidden; i++) {
        MonattFindingPayload finding = {
            .sub_check = MONATT_SUBCHECK_HIDDEN_TASK,
            .address = 0xffff888003a40000ull + i * 0x2000,
            .pid = 4000 + i,
            .tgid = 4000 + i,
            .start_ns = 2000000000,
            .views_present = MONATT_VIEW_BIT(MONATT_VIEW_SLAB),
            .views_absent =
                MONATT_VIEW_BIT(MONATT_VIEW_LIST) | MONATT_VIEW_BIT(MONATT_VIEW_PID_IDR),
            .scans = 3,
            .command = "cryptominer",
            .text = "unlinked from the task list",
        };
        log_maker_finding(log, &finding);
    }
}

static void add_measurements(const EvidenceMaker *m, LogMaker *log, unsigned number)
{
    static const MonattLocksPayload locks = {
        .vcpus = 1, .windows = 100, .window_ns = 1000000, .lock_total = 5000, .split_total = 3};
    if (m->with_locks) {
        log_maker_locks(log, &locks);
    }
    if (m->without_tasks) {
        return;
    }
    MonattTasksSummaryPayload tasks = m->tasks;
    gboolean is_clean = m->hidden_in != 0 && m->hidden_in != number;
    unsigned hidden = is_clean ? 0 : m->hidden;
    tasks.findings = is_clean ? 0 : tasks.findings + hidden;
    log->flags = m->flags;
    log->coverage_ppm = m->coverage_ppm;
    log->wrong_digest = is_bad(m, "log-digest");
    log_maker_tasks(log, &tasks);
    add_findings(log, hidden);
    log->flags = 0;
    log->coverage_ppm = 1000000;
}

static void add_report(const EvidenceMaker *m, LogMaker *log, unsigned number)
{
    static const uint8_t registers[] = {MONATT_MR_PLUGIN, MONATT_MR_INTROSPECTION, MONATT_MR_BOOT};
    MonattReportPayload report = {.number = number, .measurements = m->rm};
    gboolean is_last = number == m->earlier + 1;
    memcpy(report.nonce, m->nonce, sizeof(report.nonce));
    if (is_last) {
        memcpy(report.previous, m->previous, sizeof(report.previous));
        report.nonce[0] ^= is_bad(m, "report-nonce");
        report.number += is_bad(m, "report-number");
        report.previous[0] ^= is_bad(m, "report-previous");
    } else {
        report.nonce[31] ^= 0x80 ^ (uint8_t)number;
    }
    for (size_t i = 0; i < sizeof(registers); i++) {
        if (log->some[registers[i]]) {
            report.ranges[report.range_count].index = registers[i];
            report.ranges[report.range_count].first = log->first[registers[i]];
            report.ranges[report.range_count].last = log->last[registers[i]];
            report.range_count++;
        }
    }
    if (!is_last || !is_bad(m, "report-missing")) {
        log_maker_report(log, &report);
    }
}

static void make_log(const EvidenceMaker *m, LogMaker *log, const SoftTpmKey *dak)
{
    uint8_t vid[MONATT_UUID_SIZE];
    memcpy(vid, m->vid, sizeof(vid));
    vid[0] ^= is_bad(m, "log-vm");
    log_maker_init(log, vid, m->boot_count + is_bad(m, "log-boot"));
    add_items(m, log);
    for (unsigned i = 0; i < m->guest_extends; i++) {
        log_maker_guest(log, 10, "guest measurement");
    }
    if (is_bad(m, "log-guest")) {
        log_maker_guest(log, MONATT_MR_INTROSPECTION, "guest measurement");
    }
    for (unsigned number = 1; number <= m->earlier + 1; number++) {
        /* Boot items are of every report of the boot, the others of theirs alone. */
        log->some[MONATT_MR_INTROSPECTION] = FALSE;
        log->some[MONATT_MR_PLUGIN] = FALSE;
        add_measurements(m, log, number);
        add_report(m, log, number);
        if (m->seal_after > 0 && number <= m->earlier &&
            (number == m->seal_after || number == m->seal_after + 1)) {
            log_maker_guest(log, 10, "guest measurement");
            seal_maker_seal(m, log, dak);
            log_maker_guest(log, 10, "guest measurement");
        }
    }
}

static void add_measurement(const EvidenceMaker *m, const LogMaker *log, MonattClaims *c,
                            const char *kind, uint8_t index)
{
    MonattMeasurement *one = &c->m[c->m_count++];
    g_strlcpy(one->kind, kind, sizeof(one->kind));
    one->index = index;
    one->first = log->some[index] ? log->first[index] : 1;
    one->last = log->some[index] ? log->last[index] : 0;
    log_maker_digest(log, m->suite, index, one->first, one->last, one->digest);
    if (index == MONATT_MR_INTROSPECTION) {
        one->digest[0] ^= is_bad(m, "measurement-digest");
        one->last += is_bad(m, "measurement-range");
    }
}

static void put_name(const SoftTpmKey *key, uint8_t *name, size_t *size, GBytes **ret_public)
{
    g_autoptr(GBytes) public = soft_tpm_key_public(key);
    g_assert_true(monatt_public_name(public, name, size, NULL));
    if (ret_public != NULL) {
        *ret_public = g_steal_pointer(&public);
    }
}

static void put_digest(const EvidenceMaker *m, GBytes *bytes, uint64_t *ret_size, uint8_t *ret,
                       const char *bad)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    *ret_size = size;
    g_assert_true(monatt_suite_hash(m->suite, data, size, ret));
    ret[0] ^= is_bad(m, bad);
}

static GBytes *make_claims(EvidenceMaker *m, const LogMaker *log, const MonattEvidence *evidence,
                           const SoftTpmKey *dek, const SoftTpmKey *dak, const SoftTpmKey *sk)
{
    g_autoptr(MonattClaims) c = g_new0(MonattClaims, 1);
    GError *error = NULL;
    g_strlcpy(c->suite, m->suite, sizeof(c->suite));
    memcpy(c->nonce, m->nonce, sizeof(c->nonce));
    c->nonce[0] ^= is_bad(m, "claims-nonce");
    c->iat = m->iat != 0 ? m->iat : g_get_real_time() / G_USEC_PER_SEC;
    memcpy(c->vid, m->vid, sizeof(c->vid));
    memcpy(c->boot_seed, m->boot_seed, sizeof(c->boot_seed));
    c->boot_count = m->boot_count;
    c->uptime_ns = m->uptime_ns != 0 ? m->uptime_ns : log->now_ns + 1000000;
    c->rm = m->rm;
    add_measurement(m, log, c, "boot", MONATT_MR_BOOT);
    if (!m->without_tasks) {
        add_measurement(m, log, c, "tasks", MONATT_MR_INTROSPECTION);
    }
    if (m->with_locks) {
        add_measurement(m, log, c, "plugin", MONATT_MR_PLUGIN);
    }
    put_name(dek, c->dek_name, &c->dek_name_size, NULL);
    put_name(dak, c->dak_name, &c->dak_name_size, &c->dak_pub);
    put_name(sk, c->sk_name, &c->sk_name_size, &c->sk_pub);
    c->log_records = log->records + is_bad(m, "claims-records") - is_bad(m, "log-cut");
    put_digest(m, evidence->log, &c->log_bytes, c->log_digest, "claims-log");
    put_digest(m, evidence->host_log, &c->host_log_bytes, c->host_log_digest, "claims-host-log");
    memcpy(c->previous, m->previous, sizeof(c->previous));
    c->number = m->earlier + 1;
    GBytes *octets = monatt_claims_serialize(c, &error);
    g_assert_no_error(error);
    return octets;
}

typedef struct Session {
    SoftTpmKey sk;
    EVP_PKEY *jws_key;
    STACK_OF(X509) * chain;
    GBytes *opening;
} Session;

static char *path_in(const EvidenceMaker *m, const char *name)
{
    return g_strdup_printf("%s/%s-%s", m->directory, name, m->suite);
}

static void make_authority(const EvidenceMaker *m, const char *ca)
{
    g_autofree char *directory = path_in(m, ca);
    g_autofree char *root = g_build_filename(directory, "root.pem", NULL);
    GError *error = NULL;
    if (!g_file_test(root, G_FILE_TEST_EXISTS)) {
        gboolean made = monatt_ca_init(directory, m->suite, &error);
        g_assert_no_error(error);
        g_assert_true(made);
    }
}

static STACK_OF(X509) * certify(const EvidenceMaker *m, const char *ca,
                                MonattSessionRequest *request, EVP_PKEY *jws_key,
                                GBytes **ret_opening)
{
    uint8_t nonce[MONATT_NONCE_SIZE] = {0x44};
    g_autoptr(GBytes) nonce_bytes = g_bytes_new(nonce, sizeof(nonce));
    g_autofree char *directory = path_in(m, ca);
    GError *error = NULL;
    STACK_OF(X509) *chain = NULL;
    g_assert_true(monatt_session_request_prove(request, jws_key, nonce_bytes, NULL));
    gboolean issued =
        monatt_ca_issue_session(directory, nonce_bytes, request, &chain, ret_opening, &error);
    g_assert_no_error(error);
    g_assert_true(issued);
    return chain;
}

static void make_session(const EvidenceMaker *m, Session *s)
{
    g_autofree char *sk_path = path_in(m, "sk.key");
    g_autofree char *jws_path = path_in(m, "jws.key");
    g_autoptr(MonattSessionRequest) request = g_new0(MonattSessionRequest, 1);
    soft_tpm_key_keep(&s->sk, m->suite, sk_path);
    s->jws_key = soft_tpm_keep(jws_path, m->suite);
    request->host_id = g_strdup(m->host_id);
    request->sk_public = soft_tpm_key_public(&s->sk);
    EVP_PKEY_up_ref(s->jws_key);
    request->jws_key = s->jws_key;
    make_authority(m, "ca");
    make_authority(m, "stranger");
    s->chain = certify(m, is_bad(m, "chain-stranger") ? "stranger" : "ca", request, s->jws_key,
                       &s->opening);
    if (is_bad(m, "chain-cut")) {
        X509_free(sk_X509_pop(s->chain));
    }
    if (is_bad(m, "host-unrestricted")) {
        s->sk.public.objectAttributes &= ~TPMA_OBJECT_RESTRICTED;
    }
}

static void session_clear(Session *s)
{
    soft_tpm_key_clear(&s->sk);
    EVP_PKEY_free(s->jws_key);
    sk_X509_pop_free(s->chain, X509_free);
    g_clear_pointer(&s->opening, g_bytes_unref);
}

static GBytes *host_values(const EvidenceMaker *m)
{
    size_t size = monatt_suite_digest_size(m->suite);
    GByteArray *values = g_byte_array_new();
    for (unsigned i = 0; i < HOST_REGISTERS; i++) {
        uint8_t digest[MONATT_SUITE_DIGEST_MAXIMUM];
        g_autofree char *text = g_strdup_printf("%s PCR %u", m->host_state, i);
        g_assert_true(monatt_suite_hash(m->suite, text, strlen(text), digest));
        g_byte_array_append(values, digest, (guint)size);
    }
    return g_byte_array_free_to_bytes(values);
}

/* who: "device" or "host", the first word of what is_bad() is asked. */
static gboolean is_bad_quote(const EvidenceMaker *m, const char *who, const char *what)
{
    g_autofree char *name = g_strdup_printf("%s-%s", who, what);
    return is_bad(m, name);
}

static MonattQuote *make_quote(const EvidenceMaker *m, const char *who, const SoftTpmKey *key,
                               uint32_t selection, GBytes *values)
{
    size_t digest_size = monatt_suite_digest_size(m->suite);
    gsize size;
    const uint8_t *data = g_bytes_get_data(values, &size);
    uint8_t qualifying[MONATT_SUITE_DIGEST_MAXIMUM];
    SoftTpmQuote o;
    SoftTpmKey other;
    soft_tpm_quote_init(&o, m->suite, selection);
    o.reset_count = (uint32_t)m->boot_count + is_bad_quote(m, who, "boot");
    memcpy(qualifying, m->q3, m->q3_size);
    qualifying[0] ^= is_bad_quote(m, who, "qualifying");
    if (is_bad_quote(m, who, "magic")) {
        o.magic ^= 1;
    }
    if (is_bad_quote(m, who, "type")) {
        o.type = TPM2_ST_ATTEST_CERTIFY;
    }
    if (is_bad_quote(m, who, "selection")) {
        o.selection &= selection >> 1; /* the highest register is left out */
        size -= digest_size;
    }
    soft_tpm_key_init(&other, m->suite);
    MonattQuote *quote = soft_tpm_quote(is_bad_quote(m, who, "signer") ? &other : key, &o,
                                        qualifying, m->q3_size, data, size);
    soft_tpm_key_clear(&other);
    if (is_bad_quote(m, who, "value") || is_bad_quote(m, who, "more-values")) {
        GByteArray *changed = g_byte_array_new();
        g_byte_array_append(changed, data, (guint)size);
        if (is_bad_quote(m, who, "value")) {
            changed->data[0] ^= 1;
        } else {
            g_byte_array_append(changed, data, (guint)digest_size);
        }
        g_bytes_unref(quote->values);
        quote->values = g_byte_array_free_to_bytes(changed);
    }
    return quote;
}

static GBytes *make_jws(const EvidenceMaker *m, const Session *s)
{
    gsize size;
    const void *octets = g_bytes_get_data(m->claims_octets, &size);
    GError *error = NULL;
    EVP_PKEY *other = monatt_key_generate(m->suite, NULL);
    char *jws = monatt_jws_sign(octets, size, "eat+jwt",
                                is_bad(m, "jws-signer") ? other : s->jws_key, s->chain, &error);
    g_assert_no_error(error);
    EVP_PKEY_free(other);
    return g_bytes_new_take(jws, strlen(jws));
}

/* The log as sent; "log-cut" and "log-hidden-record" differ from what the registers hold. */
static GBytes *send_log(const EvidenceMaker *m, const LogMaker *log)
{
    if (seal_maker_is_bad(m)) {
        return seal_maker_send(m, log);
    }
    if (!is_bad(m, "log-cut")) {
        return g_bytes_new(log->bytes->data, log->bytes->len);
    }
    MonattReader r;
    size_t start = 0;
    monatt_reader_init(&r, "log", log->bytes->data + log->start, log->bytes->len - log->start,
                       NULL);
    while (monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        start = r.position;
        g_assert_true(monatt_cel_next(&r, &entry));
    }
    return g_bytes_new(log->bytes->data, log->start + start);
}

static GBytes *make_host_log(const EvidenceMaker *m)
{
    char *text =
        g_strdup_printf("{\"host_id\":\"%s\"}", m->logged_host ? m->logged_host : m->host_id);
    return g_bytes_new_take(text, strlen(text));
}

MonattEvidence *evidence_maker_make(EvidenceMaker *m)
{
    MonattEvidence *e = g_new0(MonattEvidence, 1);
    LogMaker log;
    Session session = {0};
    SoftTpmKey dek;
    SoftTpmKey dak;
    char vid[MONATT_UUID_TEXT_SIZE];
    gsize size;

    g_assert_cmpint(g_mkdir_with_parents(m->directory, 0700), ==, 0);
    monatt_text_from_uuid(m->vid, vid);
    g_autofree char *dek_path = g_strdup_printf("%s/dek-%s-%s", m->directory, vid, m->suite);
    g_autofree char *dak_path = g_strdup_printf("%s/dak-%s-%s", m->directory, vid, m->suite);
    soft_tpm_key_keep(&dek, m->suite, dek_path);
    soft_tpm_key_keep(&dak, m->suite, dak_path);
    if (is_bad(m, "device-unrestricted")) {
        dak.public.objectAttributes &= ~TPMA_OBJECT_RESTRICTED;
    }
    make_session(m, &session);
    if (seal_maker_is_bad(m)) {
        m->earlier = 3;
        m->seal_after = 2;
        m->hidden = m->hidden_in = is_bad(m, "checkpoint-finding");
    }
    make_log(m, &log, &dak);
    g_autoptr(GBytes) device_values = log_maker_values(&log, monatt_suite_bank(m->suite));
    g_autoptr(GBytes) host_pcrs = host_values(m);
    if (is_bad(m, "log-hidden-record")) {
        log_maker_guest(&log, 10, "what the guest's register does not hold");
    }
    e->log = send_log(m, &log);
    e->host_log = make_host_log(m);
    evidence_maker_clear(m);
    m->claims_octets = make_claims(m, &log, e, &dek, &dak, &session.sk);
    const void *octets = g_bytes_get_data(m->claims_octets, &size);
    m->q3_size = monatt_suite_digest_size(m->suite);
    g_assert_true(monatt_suite_hash(m->suite, octets, size, m->q3));
    e->claims = make_jws(m, &session);
    e->device_quote = make_quote(m, "device", &dak, DEVICE_SELECTION, device_values);
    e->host_quote = make_quote(m, "host", &session.sk, HOST_SELECTION, host_pcrs);
    if (!m->without_opening) {
        uint8_t other[32] = {0x55};
        e->opening =
            is_bad(m, "opening") ? g_bytes_new(other, sizeof(other)) : g_bytes_ref(session.opening);
    }
    session_clear(&session);
    log_maker_clear(&log);
    soft_tpm_key_clear(&dek);
    soft_tpm_key_clear(&dak);
    return e;
}
