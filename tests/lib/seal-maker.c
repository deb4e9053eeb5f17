/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seal-maker.c - for tests only: makes checkpoints as a device would, and forged ones
 *
 * All but what is to be broken stays right and signed, so that only the check in question can
 * refuse it.  Aborts when something fails.
 */
#include "tests/lib/seal-maker.h"

#include <string.h>
#include "libmonatt/evidence/suite.h"

#define SELECTION 0xffffffu

static const char *const bad_names[] = {
    "checkpoint-vm",
    "the checkpoint is another VM's",
    "checkpoint-boot",
    "the checkpoint is another boot's, by its count",
    "checkpoint-seed",
    "the checkpoint is another boot's, by its seed",
    "checkpoint-qualifying",
    "the checkpoint's quote is over another body",
    "checkpoint-plain",
    "the checkpoint's quote is one that a collector could ask for",
    "checkpoint-signer",
    "the checkpoint's quote is by another key",
    "checkpoint-magic",
    "the checkpoint's quote was made by no TPM",
    "checkpoint-quote-boot",
    "the checkpoint's quote is of another boot",
    "checkpoint-late",
    "the checkpoint's quote is younger than the evidence",
    "checkpoint-value",
    "the checkpoint names a value that the TPM did not sign",
    "checkpoint-changed",
    "the checkpoint was changed after it was signed",
    "checkpoint-count",
    "the checkpoint's counts do not add up",
    "checkpoint-start",
    "the checkpoint moves a register that was never extended",
    "checkpoint-item",
    "the checkpoint leaves a boot item out",
    "checkpoint-report",
    "the checkpoint gives an older report for the last",
    "checkpoint-finding",
    "the checkpoint retains none of the findings that it counts",
    "checkpoint-cut",
    "the record behind the checkpoint is missing",
    "checkpoint-old",
    "the checkpoint is the one of the segment before",
    "checkpoint-alone",
    "no record follows the checkpoint",
    "checkpoint-middle",
    "a checkpoint in the middle of the log",
    NULL,
};

const char *const *seal_maker_bad_names(void)
{
    return bad_names;
}

static gboolean is_bad(const EvidenceMaker *m, const char *name)
{
    return g_strcmp0(m->bad, name) == 0;
}

gboolean seal_maker_is_bad(const EvidenceMaker *m)
{
    return m->bad != NULL && g_str_has_prefix(m->bad, "checkpoint-");
}

/* Leaves out the first retained entry of a register; report: puts the first of MR22 there. */
static void leave_out(MonattCheckpoint *c, uint8_t *buffer, uint32_t index, GBytes *instead)
{
    MonattReader r;
    g_autoptr(GByteArray) changed = g_byte_array_new();
    gboolean done = FALSE;
    monatt_reader_init(&r, "retained", c->retained, c->retained_size, NULL);
    while (monatt_reader_left(&r) > 0) {
        MonattCelEntry entry;
        size_t start = r.position;
        g_assert_true(monatt_cel_next(&r, &entry));
        if (entry.index != index || done) {
            g_byte_array_append(changed, r.bytes + start, (guint)(r.position - start));
            continue;
        }
        done = TRUE;
        if (instead != NULL) {
            gsize size;
            const void *bytes = g_bytes_get_data(instead, &size);
            g_byte_array_append(changed, bytes, (guint)size);
        } else {
            c->retained_count--;
        }
    }
    g_assert_true(done);
    memcpy(buffer, changed->data, changed->len);
    c->retained = buffer;
    c->retained_size = changed->len;
}

/* The body's fields, with what is wrong in them. */
static void fill(const EvidenceMaker *m, const LogMaker *log, MonattCheckpoint *c, uint8_t *buffer)
{
    log_maker_checkpoint(log, m->boot_seed, c, buffer);
    c->vid[0] ^= is_bad(m, "checkpoint-vm");
    c->reset_count += is_bad(m, "checkpoint-boot");
    c->boot_seed[0] ^= is_bad(m, "checkpoint-seed");
    c->sha256[10][0] ^= is_bad(m, "checkpoint-value");
    c->sha384[10][0] ^= is_bad(m, "checkpoint-value");
    c->records += is_bad(m, "checkpoint-count");
    c->sha256[9][0] ^= is_bad(m, "checkpoint-start");
    if (is_bad(m, "checkpoint-item")) {
        leave_out(c, buffer, MONATT_MR_BOOT, NULL);
    }
    if (is_bad(m, "checkpoint-report")) {
        leave_out(c, buffer, MONATT_MR_REPORTS, log->first_report);
    }
    if (is_bad(m, "checkpoint-finding")) {
        while (c->retained_count > 0 && c->findings > 0) {
            MonattReader r;
            gboolean more = FALSE;
            monatt_reader_init(&r, "retained", c->retained, c->retained_size, NULL);
            while (monatt_reader_left(&r) > 0) {
                MonattCelEntry entry;
                g_assert_true(monatt_cel_next(&r, &entry));
                more = more || entry.index == MONATT_MR_INTROSPECTION;
            }
            if (!more) {
                break;
            }
            leave_out(c, buffer, MONATT_MR_INTROSPECTION, NULL);
        }
    }
}

static MonattQuote *quote(const EvidenceMaker *m, const LogMaker *log, const SoftTpmKey *key,
                          const char *suite, const MonattCheckpoint *c)
{
    uint8_t qualifying[MONATT_CHECKPOINT_QUALIFYING_MAXIMUM];
    size_t size = 0;
    SoftTpmQuote options;
    SoftTpmKey other;
    gsize values_size;
    g_autoptr(GBytes) values = log_maker_values(log, monatt_suite_bank(suite));
    const void *data = g_bytes_get_data(values, &values_size);
    g_assert_true(monatt_checkpoint_qualifying(monatt_suite_bank(suite), c->body, c->body_size,
                                               qualifying, &size, NULL));
    qualifying[size - 1] ^= is_bad(m, "checkpoint-qualifying");
    size_t skip = is_bad(m, "checkpoint-plain") ? MONATT_CHECKPOINT_MAGIC_SIZE : 0;
    soft_tpm_quote_init(&options, suite, SELECTION);
    options.reset_count = (uint32_t)m->boot_count + is_bad(m, "checkpoint-quote-boot");
    options.magic ^= is_bad(m, "checkpoint-magic");
    options.clock_ms += is_bad(m, "checkpoint-late");
    soft_tpm_key_init(&other, suite);
    MonattQuote *made = soft_tpm_quote(is_bad(m, "checkpoint-signer") ? &other : key, &options,
                                       qualifying + skip, size - skip, data, values_size);
    soft_tpm_key_clear(&other);
    return made;
}

static void take(MonattQuote *from, MonattCheckpointQuote *to)
{
    gsize attest;
    gsize signature;
    to->attest = g_bytes_get_data(from->attest, &attest);
    to->signature = g_bytes_get_data(from->signature, &signature);
    to->attest_size = (uint16_t)attest;
    to->signature_size = (uint16_t)signature;
}

void seal_maker_seal(const EvidenceMaker *m, LogMaker *log, const SoftTpmKey *dak)
{
    g_autofree uint8_t *retained = g_malloc(MONATT_CHECKPOINT_RETAINED_BYTES);
    g_autofree uint8_t *body = g_malloc(MONATT_CHECKPOINT_BODY_MAXIMUM);
    g_autofree uint8_t *whole = g_malloc(MONATT_CHECKPOINT_MAXIMUM);
    gboolean is_s384 = strcmp(m->suite, "S384") == 0;
    MonattCheckpoint c;
    SoftTpmKey other; /* the device's key of the other suite, which no claims name */
    size_t size;
    soft_tpm_key_init(&other, is_s384 ? "S256" : "S384");
    fill(m, log, &c, retained);
    g_assert_true(monatt_checkpoint_encode_body(&c, body, MONATT_CHECKPOINT_BODY_MAXIMUM,
                                                &c.body_size, NULL));
    c.body = body;
    g_autoptr(MonattQuote) quote256 = quote(m, log, is_s384 ? &other : dak, "S256", &c);
    g_autoptr(MonattQuote) quote384 = quote(m, log, is_s384 ? dak : &other, "S384", &c);
    take(quote256, &c.quote256);
    take(quote384, &c.quote384);
    body[78] ^= is_bad(m, "checkpoint-changed"); /* hash of the segment before */
    g_assert_true(monatt_checkpoint_encode(&c, whole, MONATT_CHECKPOINT_MAXIMUM, &size, NULL));
    log_maker_begin_segment(log, whole, size);
    soft_tpm_key_clear(&other);
}

GBytes *seal_maker_send(const EvidenceMaker *m, const LogMaker *log)
{
    g_autoptr(GByteArray) sent = g_byte_array_new();
    const uint8_t *records = log->bytes->data + log->start;
    guint size = log->bytes->len - (guint)log->start;
    gsize old_size = 0;
    const void *old = log->older != NULL ? g_bytes_get_data(log->older, &old_size) : NULL;
    if (is_bad(m, "checkpoint-old")) {
        g_byte_array_append(sent, old, (guint)old_size);
    } else {
        g_byte_array_append(sent, log->bytes->data, (guint)log->start);
    }
    if (is_bad(m, "checkpoint-alone")) {
        return g_bytes_new(sent->data, sent->len);
    }
    MonattReader r;
    MonattCelEntry entry;
    monatt_reader_init(&r, "log", records, size, NULL);
    g_assert_true(monatt_cel_next(&r, &entry));
    if (!is_bad(m, "checkpoint-cut")) {
        g_byte_array_append(sent, records, (guint)r.position);
    }
    if (is_bad(m, "checkpoint-middle")) {
        g_byte_array_append(sent, log->bytes->data, (guint)log->start);
    }
    g_byte_array_append(sent, records + r.position, size - (guint)r.position);
    return g_bytes_new(sent->data, sent->len);
}
