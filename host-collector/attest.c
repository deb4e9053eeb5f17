/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attest.c - the order of one attestation
 *
 * Must never sign what was measured for another question, nor hand out evidence that is not on
 * disk: a verifier counts the reports of a boot.
 */
#include "host-collector/attest.h"

#include <string.h>
#include <time.h>
#include <unistd.h>
#include "host-collector/errors.h"
#include "host-collector/measure.h"
#include "libmonatt/eventlog/checkpoint.h"
#include "libmonatt/evidence/jose.h"
#include "libmonatt/evidence/quote.h"

#define TAKE_DEADLINE_US (20 * G_TIME_SPAN_SECOND)
#define HOLD_MS 1000
#define MEASURE_TRIES 5
#define QUOTE_TRIES 5 /* docs/architecture.md, step 6 */

/* One attestation under way. */
typedef struct Attest {
    const AttestHost *host;
    Vm *vm;
    SessionKeys *keys;
    const uint8_t *nonce;
    uint32_t measurements;
    uint64_t number;
    uint8_t previous[MONATT_SHA256_SIZE];
    LedgerRange boot, plugin, tasks; /* as of the report record */
    MonattDeviceStatus status;
    GBytes *dak_public;
    uint8_t dek_name[64], dak_name[64], sk_name[64];
    size_t dek_name_size, dak_name_size, sk_name_size;
    GBytes *host_log;
    bool moved; /* the log was cut behind what was measured: measure again */
} Attest;

static const struct {
    const char *name;
    uint32_t bits;
} properties[] = {
    {"startup-integrity", MONATT_MEASURE_BOOT},
    {"runtime-integrity", MONATT_MEASURE_TASKS},
    {"confidentiality.cpu", 0}, /* nothing is measured for these yet: the verdict says so */
    {"confidentiality.membus", MONATT_MEASURE_PLUGIN},
    {"confidentiality.cache", MONATT_MEASURE_PLUGIN},
    {"availability.cpu", 0},
    {"host-integrity", 0},
};

bool attest_measurements_of(const char *property, uint32_t *ret_bits)
{
    for (size_t i = 0; i < G_N_ELEMENTS(properties); i++) {
        if (strcmp(properties[i].name, property) == 0) {
            *ret_bits = properties[i].bits;
            return true;
        }
    }
    return false;
}

static void encode_report(MonattWriter *w, const void *payload)
{
    monatt_report_encode(w, payload);
}

static void add_range(MonattReportPayload *report, uint8_t index, const LedgerRange *range)
{
    if (range->first <= range->last) {
        size_t at = report->range_count++;
        report->ranges[at].index = index;
        report->ranges[at].first = range->first;
        report->ranges[at].last = range->last;
    }
}

/* What the device has cut off since the last report cannot be part of this one. */
static bool forget_cut(Attest *a, MonattError *err)
{
    int log_fd MONATT_CLEANUP_CLOSE = -1;
    uint64_t bytes;
    uint64_t records;
    gsize size;
    MonattCheckpoint checkpoint;
    if (!monatt_device_log(a->vm->control, &log_fd, &bytes, &records, err)) {
        return false;
    }
    g_autoptr(GBytes) start = vm_read_log(log_fd, MIN(bytes, MONATT_CHECKPOINT_MAXIMUM), err);
    const void *data = start ? g_bytes_get_data(start, &size) : NULL;
    if (!start) {
        return false;
    }
    if (monatt_checkpoint_is_there(data, size)) {
        if (!monatt_checkpoint_parse(data, size, &checkpoint, err)) {
            return false;
        }
        ledger_forget_before(&a->vm->ledger, checkpoint.records);
    }
    return true;
}

static bool measure(Attest *a, MonattError *err)
{
    static const LedgerRange none = {.first = 1, .last = 0};
    uint32_t wanted = a->measurements;
    if (!forget_cut(a, err)) {
        return false;
    }
    if ((wanted & MONATT_MEASURE_PLUGIN) && !measure_plugin_drain(a->vm, true, err)) {
        return false;
    }
    if ((wanted & MONATT_MEASURE_TASKS) && !measure_tasks(a->vm, err)) {
        return false;
    }
    a->boot = wanted & MONATT_MEASURE_BOOT ? a->vm->ledger.boot : none;
    a->plugin = wanted & MONATT_MEASURE_PLUGIN ? a->vm->ledger.plugin : none;
    a->tasks = wanted & MONATT_MEASURE_TASKS ? a->vm->ledger.tasks : none;
    return true;
}

static bool report(Attest *a, MonattError *err)
{
    uint64_t now = vm_now_ns();
    MonattReportPayload payload = {.number = (uint32_t)a->number, .measurements = a->measurements};
    VmRecord record = {
        .index = MONATT_MR_REPORTS,
        .type = MONATT_RECORD_REPORT,
        .source = VM_SOURCE_COLLECTOR,
        .t0_ns = now,
        .t1_ns = now,
        .coverage_ppm = MONATT_COVERAGE_WHOLE,
        .encode = encode_report,
        .payload = &payload,
    };
    memcpy(payload.previous, a->previous, sizeof(payload.previous));
    memcpy(payload.nonce, a->nonce, sizeof(payload.nonce));
    add_range(&payload, MONATT_MR_PLUGIN, &a->plugin);
    add_range(&payload, MONATT_MR_INTROSPECTION, &a->tasks);
    add_range(&payload, MONATT_MR_BOOT, &a->boot);
    return vm_record(a->vm, &record, err);
}

/* TPM2B_PUBLIC as the device gives it, to the TPMT_PUBLIC inside. */
static GBytes *read_public(const uint8_t *bytes, size_t size, MonattError *err)
{
    MonattReader r;
    uint16_t inside;
    const uint8_t *area;
    monatt_reader_init(&r, "device's key", bytes, size, err);
    if (!monatt_reader_sized_u16_be(&r, MONATT_PUBLIC_MAXIMUM, &area, &inside) ||
        !monatt_reader_finish(&r)) {
        return NULL;
    }
    return g_bytes_new(area, inside);
}

/* Name of a key that only has to be named, not to sign: u16 nameAlg | H(public area) (TPM 2.0
 * Part 1, 16).  monatt_public_name() takes quoting keys only. */
static bool name_storage_key(GBytes *public, uint8_t *ret_name, size_t *ret_size, MonattError *err)
{
    MonattReader r;
    uint16_t type;
    uint16_t alg = 0;
    gsize size;
    const void *bytes = g_bytes_get_data(public, &size);
    monatt_reader_init(&r, "device's EK", bytes, size, err);
    if (!monatt_reader_u16_be(&r, &type) || !monatt_reader_u16_be(&r, &alg)) {
        return false;
    }
    const char *suite = monatt_suite_of_bank(alg);
    if (!suite || !monatt_suite_hash(suite, bytes, size, ret_name + sizeof(alg))) {
        return monatt_reader_fail(&r, "name algorithm %#x", alg);
    }
    ret_name[0] = (uint8_t)(alg >> 8);
    ret_name[1] = (uint8_t)alg;
    *ret_size = sizeof(alg) + monatt_suite_digest_size(suite);
    return true;
}

static bool name_keys(Attest *a, GBytes *ek, MonattError *err)
{
    GError *error = NULL;
    return name_storage_key(ek, a->dek_name, &a->dek_name_size, err) &&
           ((monatt_public_name(a->dak_public, a->dak_name, &a->dak_name_size, &error) &&
             monatt_public_name(a->keys->sk_public, a->sk_name, &a->sk_name_size, &error)) ||
            errors_take(err, error));
}

static bool read_keys(Attest *a, MonattError *err)
{
    uint8_t ek[MONATT_PUBLIC_MAXIMUM];
    uint8_t ak[MONATT_PUBLIC_MAXIMUM];
    size_t ek_size;
    size_t ak_size;
    if (!monatt_device_keys(a->vm->control, MONATT_ALG_SHA256, ek, &ek_size, ak, &ak_size, err)) {
        return false;
    }
    g_autoptr(GBytes) ek_public = read_public(ek, ek_size, err);
    a->dak_public = ek_public ? read_public(ak, ak_size, err) : NULL;
    return a->dak_public && name_keys(a, ek_public, err) &&
           store_note_ek(a->host->store, a->vm->vid, a->dek_name, a->dek_name_size, err);
}

static bool hash(GBytes *bytes, uint8_t *ret, MonattError *err)
{
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    return monatt_suite_hash(SESSION_SUITE, data, size, ret) ||
           monatt_error_set(err, MONATT_ERROR_INTERNAL, "libcrypto cannot hash");
}

/* H over the encoded log entries of one register within a range (docs/formats/evidence.md). */
static bool add_measurement(MonattClaims *claims, const char *kind, uint8_t index,
                            const LedgerRange *range, GBytes *log, MonattError *err)
{
    MonattMeasurement *m = &claims->m[claims->m_count++];
    gsize size;
    const void *data = g_bytes_get_data(log, &size);
    g_strlcpy(m->kind, kind, sizeof(m->kind));
    m->index = index;
    m->first = range->first;
    m->last = range->last;
    return monatt_cel_range_digest(data, size, index, range->first, range->last,
                                   monatt_suite_bank(SESSION_SUITE), m->digest, err);
}

static GBytes *build_claims(Attest *a, GBytes *log, uint64_t records, MonattError *err)
{
    g_autoptr(MonattClaims) claims = g_new0(MonattClaims, 1);
    GError *error = NULL;
    g_strlcpy(claims->suite, SESSION_SUITE, sizeof(claims->suite));
    memcpy(claims->nonce, a->nonce, sizeof(claims->nonce));
    claims->iat = time(NULL);
    memcpy(claims->vid, a->vm->vid, sizeof(claims->vid));
    memcpy(claims->boot_seed, a->status.boot_seed, sizeof(claims->boot_seed));
    claims->boot_count = a->status.boot_count;
    claims->uptime_ns = vm_since_start_ns(a->vm, vm_now_ns());
    claims->rm = a->measurements;
    if (((a->measurements & MONATT_MEASURE_BOOT) &&
         !add_measurement(claims, "boot", MONATT_MR_BOOT, &a->boot, log, err)) ||
        ((a->measurements & MONATT_MEASURE_TASKS) &&
         !add_measurement(claims, "tasks", MONATT_MR_INTROSPECTION, &a->tasks, log, err)) ||
        ((a->measurements & MONATT_MEASURE_PLUGIN) &&
         !add_measurement(claims, "plugin", MONATT_MR_PLUGIN, &a->plugin, log, err))) {
        return NULL;
    }
    memcpy(claims->dek_name, a->dek_name, a->dek_name_size);
    claims->dek_name_size = a->dek_name_size;
    memcpy(claims->dak_name, a->dak_name, a->dak_name_size);
    claims->dak_name_size = a->dak_name_size;
    claims->dak_pub = g_bytes_ref(a->dak_public);
    memcpy(claims->sk_name, a->sk_name, a->sk_name_size);
    claims->sk_name_size = a->sk_name_size;
    claims->sk_pub = g_bytes_ref(a->keys->sk_public);
    claims->log_records = records;
    claims->log_bytes = g_bytes_get_size(log);
    claims->host_log_bytes = g_bytes_get_size(a->host_log);
    if (!hash(log, claims->log_digest, err) || !hash(a->host_log, claims->host_log_digest, err)) {
        return NULL;
    }
    memcpy(claims->previous, a->previous, sizeof(a->previous));
    claims->number = a->number;
    GBytes *octets = monatt_claims_serialize(claims, &error);
    if (!octets) {
        errors_take(err, error);
    }
    return octets;
}

static MonattQuote *wrap_quote(const MonattDeviceQuote *quote)
{
    MonattQuote *wrapped = g_new0(MonattQuote, 1);
    g_autoptr(GByteArray) values = g_byte_array_new();
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        g_byte_array_append(values, quote->values[i], MONATT_SHA256_SIZE);
    }
    wrapped->attest = g_bytes_new(quote->attest, quote->attest_size);
    wrapped->signature = g_bytes_new(quote->signature, quote->signature_size);
    wrapped->alg = quote->alg;
    wrapped->selection = (1u << MONATT_REGISTER_COUNT) - 1;
    wrapped->values = g_bytes_new(values->data, values->len);
    return wrapped;
}

/* Signs the claims and puts the parts into one file. */
static GBytes *assemble(Attest *a, GBytes *octets, GBytes *log, MonattQuote *device_quote,
                        MonattQuote *host_quote, MonattError *err)
{
    GError *error = NULL;
    gsize size;
    const void *bytes = g_bytes_get_data(octets, &size);
    g_autofree char *jws =
        monatt_jws_sign(bytes, size, "eat+jwt", a->keys->jws_key, a->keys->chain, &error);
    if (!jws) {
        errors_take(err, error);
        return NULL;
    }
    g_autoptr(GBytes) claims = g_bytes_new(jws, strlen(jws));
    MonattEvidence evidence = {
        .claims = claims,
        .device_quote = device_quote,
        .host_quote = host_quote,
        .log = log,
        .host_log = a->host_log,
        .opening = a->keys->opening,
    };
    GBytes *file = monatt_evidence_serialize(&evidence, &error);
    if (!file) {
        errors_take(err, error);
    }
    return file;
}

static bool is_behind(const LedgerRange *range, uint64_t first)
{
    return range->first <= range->last && range->first < first;
}

/* The held prefix of the segment that is written: no other one begins while it is held. */
static GBytes *read_held_log(Attest *a, uint64_t size, MonattError *err)
{
    int log_fd MONATT_CLEANUP_CLOSE = -1;
    uint64_t now_bytes;
    uint64_t now_records;
    uint64_t first;
    gsize read;
    if (!monatt_device_log(a->vm->control, &log_fd, &now_bytes, &now_records, err)) {
        return NULL;
    }
    g_autoptr(GBytes) log = vm_read_log(log_fd, size, err);
    const void *data = log ? g_bytes_get_data(log, &read) : NULL;
    if (!log || !ledger_check_log(&a->vm->ledger, data, read, &first, err)) {
        return NULL;
    }
    a->moved = is_behind(&a->plugin, first) || is_behind(&a->tasks, first);
    return g_steal_pointer(&log);
}

/* Claims over exactly the log's prefix that the device then quotes.  NULL with code NONE: the hold
 * ran out in between, try again; or with a->moved, measure again. */
static GBytes *quote_once(Attest *a, uint8_t ret_q3[MONATT_SHA256_SIZE], MonattError *err)
{
    uint64_t records;
    uint64_t size;
    g_autofree MonattDeviceQuote *device = g_new(MonattDeviceQuote, 1);
    g_autoptr(MonattQuote) host_quote = NULL;
    if (!monatt_device_hold(a->vm->control, HOLD_MS, &records, &size, err)) {
        return NULL;
    }
    g_autoptr(GBytes) log = read_held_log(a, size, err);
    if (log && a->moved) {
        /* A hold ends with its quote, and the next one must not find it there; nobody sees this. */
        MonattError ignored = {0};
        bool ended = monatt_device_quote(a->vm->control, MONATT_ALG_SHA256, a->nonce,
                                         MONATT_NONCE_SIZE, device, &ignored);
        (void)ended;
        return NULL;
    }
    g_autoptr(GBytes) octets = log ? build_claims(a, log, records, err) : NULL;
    if (!octets || !hash(octets, ret_q3, err)) {
        return NULL;
    }
    HostTpmJob *job =
        host_tpm_quote_start(a->host->tpm, a->keys->tpm_key, ret_q3, MONATT_SHA256_SIZE);
    MonattError device_err = {0};
    bool quoted = monatt_device_quote(a->vm->control, MONATT_ALG_SHA256, ret_q3, MONATT_SHA256_SIZE,
                                      device, &device_err);
    bool host_quoted = host_tpm_quote_finish(job, &host_quote, err);
    if (!quoted) {
        if (err) {
            *err = device_err;
        }
        return NULL;
    }
    if (!host_quoted || device->log_records != records || device->log_bytes != size) {
        return NULL;
    }
    g_autoptr(MonattQuote) device_quote = wrap_quote(device);
    return assemble(a, octets, log, device_quote, host_quote, err);
}

static GBytes *quote(Attest *a, uint8_t ret_q3[MONATT_SHA256_SIZE], MonattError *err)
{
    a->moved = false;
    for (int i = 0; i < QUOTE_TRIES && !a->moved; i++) {
        MonattError why = {0};
        MonattDeviceStatus now;
        GBytes *evidence = quote_once(a, ret_q3, &why);
        if (evidence && monatt_device_status(a->vm->control, &now, &why) &&
            monatt_bytes_equal(now.boot_seed, a->status.boot_seed, sizeof(now.boot_seed))) {
            return evidence;
        }
        if (evidence) {
            g_bytes_unref(evidence);
            if (why.code == MONATT_ERROR_NONE) {
                monatt_error_set(&why, MONATT_ERROR_BUSY, "VM '%.64s': was reset meanwhile",
                                 a->status.name);
                monatt_error_hint(&why, "ask again");
            }
        }
        if (why.code != MONATT_ERROR_NONE) {
            if (err) {
                *err = why;
            }
            return NULL;
        }
    }
    if (a->moved) {
        return NULL;
    }
    monatt_error_set(err, MONATT_ERROR_BUSY, "VM '%.64s': its registers moved on during %d quotes",
                     a->status.name, QUOTE_TRIES);
    monatt_error_hint(err, "ask again; the host may be overloaded");
    return NULL;
}

static bool keep(const Attest *a, GBytes *evidence, const uint8_t q3[MONATT_SHA256_SIZE],
                 MonattError *err)
{
    StoreReport row = {.number = a->number, .time_s = time(NULL)};
    StoreVm seen = {.seen_s = row.time_s};
    memcpy(row.vid, a->vm->vid, sizeof(row.vid));
    memcpy(row.boot_seed, a->status.boot_seed, sizeof(row.boot_seed));
    memcpy(row.nonce, a->nonce, sizeof(row.nonce));
    memcpy(row.q3, q3, sizeof(row.q3));
    memcpy(seen.vid, a->vm->vid, sizeof(seen.vid));
    memcpy(seen.boot_seed, a->status.boot_seed, sizeof(seen.boot_seed));
    g_strlcpy(seen.name, a->status.name, sizeof(seen.name));
    return store_add_report(a->host->store, &row, evidence, err) &&
           store_note_vm(a->host->store, &seen, err);
}

static GBytes *run_taken(Attest *a, MonattError *err)
{
    uint8_t q3[MONATT_SHA256_SIZE];
    bool used;
    a->status = a->vm->status;
    /* Another asker may have had it while this one waited for the VM: then MR22 gets no record of a
     * report that can never be stored. */
    if (!store_nonce_used(a->host->store, a->nonce, &used, err)) {
        return NULL;
    }
    if (used) {
        monatt_error_set(err, MONATT_ERROR_USAGE, "nonce: was used before");
        return NULL;
    }
    if (!store_last_report(a->host->store, a->vm->vid, a->status.boot_seed, &a->number, a->previous,
                           err)) {
        return NULL;
    }
    a->number++;
    GBytes *evidence = NULL;
    bool good = read_keys(a, err);
    /* A cut of the log (at most one in 2 s) may fall between measurement and quote. */
    for (int i = 0; good && !evidence && i < MEASURE_TRIES; i++) {
        good = measure(a, err) && report(a, err);
        evidence = good ? quote(a, q3, err) : NULL;
        good = good && a->moved;
    }
    if (good && !evidence) {
        monatt_error_set(err, MONATT_ERROR_BUSY, "VM '%.64s': its log was cut during %d attempts",
                         a->status.name, MEASURE_TRIES);
        monatt_error_hint(err, "ask again");
    }
    if (evidence && !keep(a, evidence, q3, err)) {
        g_clear_pointer(&evidence, g_bytes_unref);
    }
    return evidence;
}

GBytes *attest_run(const AttestHost *host, Vm *vm, const uint8_t nonce[MONATT_NONCE_SIZE],
                   uint32_t measurements, MonattError *err)
{
    Attest a = {.host = host, .vm = vm, .nonce = nonce, .measurements = measurements};
    GBytes *evidence = NULL;
    /* The session first: without one nothing needs to be measured. */
    if (!session_take(host->session, &a.keys, err)) {
        return NULL;
    }
    if (vm_take(vm, g_get_monotonic_time() + TAKE_DEADLINE_US, err)) {
        json_t *head = json_object();
        json_object_set_new(head, "host_id", json_string(session_host_id(host->session)));
        char *text = json_dumps(head, JSON_COMPACT);
        json_decref(head);
        a.host_log = g_bytes_new(text, strlen(text));
        free(text);
        evidence = run_taken(&a, err);
        vm_release(vm);
        g_bytes_unref(a.host_log);
        g_clear_pointer(&a.dak_public, g_bytes_unref);
    }
    session_release(a.keys);
    return evidence;
}
