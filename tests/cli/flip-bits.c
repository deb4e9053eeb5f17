/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flip-bits.c - for tests only: flips bits of an evidence file and appraises each result
 *
 *   flip-bits EVIDENCE NONCE ANCHOR REFERENCE SAMPLES SEED [AT]
 *
 * Every bit outside of base64url values, every bit of the JWS header, then SAMPLES others with a
 * fixed seed, in this process: starting the CLI 20,000 times would take an hour.  Prints one JSON
 * object; exits 0 when the file as it is was accepted and every flip refused.
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "libmonatt/base/text.h"
#include "verifier/appraisal/appraisal.h"
#include "verifier/signing-key.h"

#define VALUE_MINIMUM 64 /* a quoted text this long is a value, not a name or media type */
#define SHOWN 10

static struct {
    MonattAppraisalInput input;
    uint8_t *bytes;
    gsize size;
    GHashTable *refusals; /* step -> count */
    unsigned tried, header, accepted, other;
    gsize first_accepted[SHOWN];
} state;

static gboolean appraise(const char **ret_step, GError **error)
{
    state.input.evidence = state.bytes;
    state.input.evidence_size = state.size;
    g_autoptr(MonattAppraisal) appraisal = monatt_appraisal_run(&state.input, ret_step, error);
    return appraisal != NULL;
}

static void flip(gsize bit)
{
    GError *error = NULL;
    const char *step = "";
    state.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (appraise(&step, &error)) {
        if (state.accepted < SHOWN) {
            state.first_accepted[state.accepted] = bit;
        }
        state.accepted++;
    } else if (!g_error_matches(error, MONATT_GERROR, MONATT_ERROR_REFUSED)) {
        state.other++;
    }
    gpointer count = g_hash_table_lookup(state.refusals, step);
    g_hash_table_insert(state.refusals, (gpointer)step,
                        GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + 1));
    g_clear_error(&error);
    state.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    state.tried++;
}

/* Marks with 1 what is structure, or the header of the first value that has dots (the JWS). */
static uint8_t *find_header(void)
{
    uint8_t *marks = g_malloc(state.size);
    memset(marks, 1, state.size);
    for (gsize i = 0; i < state.size; i++) {
        if (state.bytes[i] != '"') {
            continue;
        }
        gsize end = i + 1;
        while (end < state.size && state.bytes[end] != '"') {
            end++;
        }
        if (end - i > VALUE_MINIMUM) {
            const uint8_t *dot = memchr(state.bytes + i, '.', end - i);
            gsize from = dot != NULL ? (gsize)(dot - state.bytes) + 1 : i + 1;
            memset(marks + from, 0, end - from);
        }
        i = end;
    }
    return marks;
}

static void print_result(double seconds)
{
    GHashTableIter iter;
    gpointer step, count;
    const char *comma = "";
    printf("{\"tried\":%u,\"header\":%u,\"accepted\":%u,\"other\":%u,\"seconds\":%.1f,\"steps\":{",
           state.tried, state.header, state.accepted, state.other, seconds);
    g_hash_table_iter_init(&iter, state.refusals);
    while (g_hash_table_iter_next(&iter, &step, &count)) {
        printf("%s\"%s\":%u", comma, (const char *)step, GPOINTER_TO_UINT(count));
        comma = ",";
    }
    printf("},\"accepted_bits\":[");
    for (unsigned i = 0; i < MIN(state.accepted, SHOWN); i++) {
        printf("%s%zu", i > 0 ? "," : "", (size_t)state.first_accepted[i]);
    }
    printf("]}\n");
}

static int fail(const char *what, GError *error)
{
    fprintf(stderr, "flip-bits: %s: %s\n", what, error != NULL ? error->message : "usage");
    g_clear_error(&error);
    return 2;
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    MonattError err = {0};
    uint8_t nonce[MONATT_NONCE_SIZE];
    char *reference_bytes;
    gsize reference_size;
    guint64 samples, seed, at = (guint64)time(NULL);
    if (argc < 7 || argc > 8 || !monatt_text_to_bytes(argv[2], nonce, sizeof(nonce), &err) ||
        !g_ascii_string_to_unsigned(argv[5], 10, 0, 10000000, &samples, &error) ||
        !g_ascii_string_to_unsigned(argv[6], 10, 0, G_MAXUINT32, &seed, &error) ||
        (argc == 8 && !g_ascii_string_to_unsigned(argv[7], 10, 0, 253402300799u, &at, &error))) {
        return fail("EVIDENCE NONCE ANCHOR REFERENCE SAMPLES SEED [AT]", error);
    }
    if (!g_file_get_contents(argv[1], (char **)&state.bytes, &state.size, &error) ||
        !g_file_get_contents(argv[4], &reference_bytes, &reference_size, &error)) {
        return fail("files", error);
    }
    X509 *anchor = monatt_certificate_load("anchor", argv[3], &error);
    MonattReference *reference =
        anchor != NULL
            ? monatt_reference_parse("reference", reference_bytes, reference_size, &error)
            : NULL;
    if (reference == NULL) {
        return fail("reference or anchor", error);
    }
    MonattPolicy *policy = monatt_policy_new();
    state.input = (MonattAppraisalInput){.nonce = nonce,
                                         .anchor = anchor,
                                         .reference = reference,
                                         .policy = policy,
                                         .at = (int64_t)at};
    /* Without this the test would pass on a verifier that refuses everything. */
    if (!appraise(NULL, &error)) {
        return fail("the file as it is", error);
    }
    state.refusals = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GTimer) timer = g_timer_new();
    g_autofree uint8_t *marks = find_header();
    for (gsize i = 0; i < state.size; i++) {
        for (unsigned bit = 0; marks[i] != 0 && bit < 8; bit++) {
            flip(i * 8 + bit);
        }
    }
    state.header = state.tried;
    GRand *random = g_rand_new_with_seed((guint32)seed);
    for (guint64 done = 0; done < samples;) {
        gsize byte = (gsize)(g_rand_double(random) * (double)state.size);
        if (marks[byte] == 0) {
            flip(byte * 8 + (gsize)g_rand_int_range(random, 0, 8));
            done++;
        }
    }
    g_rand_free(random);
    print_result(g_timer_elapsed(timer, NULL));
    g_hash_table_unref(state.refusals);
    monatt_policy_free(policy);
    monatt_reference_free(reference);
    X509_free(anchor);
    g_free(reference_bytes);
    g_free(state.bytes);
    return state.accepted == 0 && state.other == 0 ? 0 : 1;
}
