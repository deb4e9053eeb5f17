/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host-tpm.c - the thread that owns the link to the host TPM, and its queue
 *
 * Jobs are reference counted: an asker whose deadline passed lets go, the thread finishes later
 * and finds nobody waiting.  Keys are known by ids that are never used twice, so a key of before
 * a TPM reset cannot be mistaken for one of after.
 */
#include <string.h>
#include "host-collector/host-tpm.h"
#include "host-collector/tpm-link.h"
#include "libmonatt/base/log.h"

/* A hardware TPM makes a P-256 quote in well under a second; creating keys may take two. */
#define HOST_TPM_DEADLINE_S 10
/* Askers are bounded by HTTP connections; this only catches mistakes. */
#define HOST_TPM_QUEUE 256
#define HOST_TPM_KEYS 8

typedef enum HostTpmKind {
    HOST_TPM_CREATE,
    HOST_TPM_DROP,
    HOST_TPM_QUOTE,
    HOST_TPM_STOP,
} HostTpmKind;

struct HostTpmJob {
    HostTpm *tpm;
    HostTpmKind kind;
    uint64_t id;
    GBytes *qualifying;
    bool finished;
    bool succeeded;
    GBytes *public;
    MonattQuote *quote;
    MonattError err;
};

typedef struct HostTpmKey {
    uint64_t id;
    uint32_t handle;
} HostTpmKey;

struct HostTpm {
    char *tcti;
    GThread *thread;
    GMutex lock;
    GCond changed;
    GQueue queue;
    bool stopping;
    bool stopped;
    uint64_t next_id;
    HostTpmKey keys[HOST_TPM_KEYS]; /* under the lock; handles used by the thread only */
    TpmLink *link;                  /* the thread's own */
};

static void host_tpm_job_clear(void *data)
{
    HostTpmJob *job = data;

    g_clear_pointer(&job->qualifying, g_bytes_unref);
    g_clear_pointer(&job->public, g_bytes_unref);
    g_clear_pointer(&job->quote, monatt_quote_free);
}

static void host_tpm_job_unref(HostTpmJob *job)
{
    g_atomic_rc_box_release_full(job, host_tpm_job_clear);
}

static HostTpmJob *host_tpm_job_new(HostTpm *tpm, HostTpmKind kind, uint64_t id)
{
    HostTpmJob *job = g_atomic_rc_box_new0(HostTpmJob);

    job->tpm = tpm;
    job->kind = kind;
    job->id = id;
    return job;
}

/* The queue holds one reference, the asker the other. */
static void host_tpm_push(HostTpm *tpm, HostTpmJob *job)
{
    g_mutex_lock(&tpm->lock);
    if (tpm->stopping || g_queue_get_length(&tpm->queue) >= HOST_TPM_QUEUE) {
        job->finished = true;
        monatt_error_set(&job->err, MONATT_ERROR_BUSY, "host TPM: %s",
                         tpm->stopping ? "the collector ends" : "too many askers");
    } else {
        g_queue_push_tail(&tpm->queue, g_atomic_rc_box_acquire(job));
        g_cond_broadcast(&tpm->changed);
    }
    g_mutex_unlock(&tpm->lock);
}

static bool host_tpm_find(HostTpm *tpm, uint64_t id, uint32_t *ret_handle)
{
    bool found = false;

    g_mutex_lock(&tpm->lock);
    for (size_t i = 0; i < HOST_TPM_KEYS && !found; i++) {
        if (tpm->keys[i].id == id && id != 0) {
            *ret_handle = tpm->keys[i].handle;
            found = true;
        }
    }
    g_mutex_unlock(&tpm->lock);
    return found;
}

bool host_tpm_has_key(HostTpm *tpm, uint64_t id)
{
    uint32_t handle;

    return host_tpm_find(tpm, id, &handle);
}

/* In the thread: the link is not usable any more, and no key survives it. */
static void host_tpm_lose_link(HostTpm *tpm)
{
    g_mutex_lock(&tpm->lock);
    memset(tpm->keys, 0, sizeof(tpm->keys));
    g_mutex_unlock(&tpm->lock);
    tpm_link_close(tpm->link);
    tpm->link = NULL;
}

static bool host_tpm_do_create(HostTpm *tpm, HostTpmJob *job)
{
    uint32_t handle = 0;
    size_t at = HOST_TPM_KEYS;
    MonattError lost = {0};

    /* A key that is made on a TPM that was reset meanwhile may get a lost key's handle. */
    if (tpm->link && !tpm_link_check(tpm->link, &lost)) {
        monatt_log_warning("%s", lost.message);
        host_tpm_lose_link(tpm);
    }
    if (!tpm->link) {
        tpm->link = tpm_link_open(tpm->tcti, &job->err);
        if (!tpm->link) {
            return false;
        }
    }
    if (!tpm_link_create_key(tpm->link, &handle, &job->public, &job->err)) {
        return false;
    }
    g_mutex_lock(&tpm->lock);
    for (size_t i = 0; i < HOST_TPM_KEYS && at == HOST_TPM_KEYS; i++) {
        if (tpm->keys[i].id == 0) {
            at = i;
        }
    }
    if (at < HOST_TPM_KEYS) {
        job->id = ++tpm->next_id;
        tpm->keys[at] = (HostTpmKey){.id = job->id, .handle = handle};
    }
    g_mutex_unlock(&tpm->lock);
    if (at == HOST_TPM_KEYS) {
        tpm_link_flush_key(tpm->link, handle);
        return monatt_error_set(&job->err, MONATT_ERROR_LIMIT, "host TPM: %d session keys in use",
                                HOST_TPM_KEYS);
    }
    return true;
}

static bool host_tpm_do_drop(HostTpm *tpm, HostTpmJob *job)
{
    uint32_t handle;

    if (tpm->link && host_tpm_find(tpm, job->id, &handle)) {
        tpm_link_flush_key(tpm->link, handle);
        g_mutex_lock(&tpm->lock);
        for (size_t i = 0; i < HOST_TPM_KEYS; i++) {
            if (tpm->keys[i].id == job->id) {
                tpm->keys[i] = (HostTpmKey){0};
            }
        }
        g_mutex_unlock(&tpm->lock);
    }
    return true;
}

static bool host_tpm_do_quote(HostTpm *tpm, HostTpmJob *job)
{
    uint32_t handle;

    if (!tpm->link || !host_tpm_find(tpm, job->id, &handle)) {
        monatt_error_set(&job->err, MONATT_ERROR_BUSY,
                         "host TPM: it was reset or restarted, the session is over");
        return monatt_error_hint(&job->err, "run 'monatt ca enrol' again");
    }
    return tpm_link_quote(tpm->link, handle, job->qualifying, &job->quote, &job->err);
}

static void *host_tpm_thread(void *data)
{
    HostTpm *tpm = data;
    bool running = true;

    while (running) {
        HostTpmJob *job;
        bool succeeded = true;

        g_mutex_lock(&tpm->lock);
        while (g_queue_is_empty(&tpm->queue)) {
            g_cond_wait(&tpm->changed, &tpm->lock);
        }
        job = g_queue_pop_head(&tpm->queue);
        g_mutex_unlock(&tpm->lock);

        switch (job->kind) {
        case HOST_TPM_CREATE:
            succeeded = host_tpm_do_create(tpm, job);
            break;
        case HOST_TPM_DROP:
            succeeded = host_tpm_do_drop(tpm, job);
            break;
        case HOST_TPM_QUOTE:
            succeeded = host_tpm_do_quote(tpm, job);
            break;
        case HOST_TPM_STOP:
            running = false;
            break;
        }
        if (tpm->link && (!running || !tpm_link_alive(tpm->link))) {
            host_tpm_lose_link(tpm);
        }
        g_mutex_lock(&tpm->lock);
        job->succeeded = succeeded;
        job->finished = true;
        tpm->stopped = !running;
        g_cond_broadcast(&tpm->changed);
        g_mutex_unlock(&tpm->lock);
        host_tpm_job_unref(job);
    }
    return NULL;
}

HostTpm *host_tpm_new(const char *tcti)
{
    HostTpm *tpm = g_new0(HostTpm, 1);

    tpm->tcti = g_strdup(tcti);
    g_mutex_init(&tpm->lock);
    g_cond_init(&tpm->changed);
    g_queue_init(&tpm->queue);
    tpm->thread = g_thread_new("host-tpm", host_tpm_thread, tpm);
    return tpm;
}

void host_tpm_free(HostTpm *tpm)
{
    gint64 until = g_get_monotonic_time() + HOST_TPM_DEADLINE_S * G_TIME_SPAN_SECOND;
    HostTpmJob *job;
    bool stopped;

    if (!tpm) {
        return;
    }
    job = host_tpm_job_new(tpm, HOST_TPM_STOP, 0);
    host_tpm_push(tpm, job);
    host_tpm_job_unref(job);
    g_mutex_lock(&tpm->lock);
    tpm->stopping = true;
    while (!tpm->stopped && g_cond_wait_until(&tpm->changed, &tpm->lock, until)) {
    }
    stopped = tpm->stopped;
    g_mutex_unlock(&tpm->lock);
    if (!stopped) {
        g_thread_unref(tpm->thread); /* blocked in the TPM: it still uses all of this */
        return;
    }
    g_thread_join(tpm->thread);
    g_queue_clear_full(&tpm->queue, (GDestroyNotify)host_tpm_job_unref);
    g_mutex_clear(&tpm->lock);
    g_cond_clear(&tpm->changed);
    g_free(tpm->tcti);
    g_free(tpm);
}

/* True when the job was done in time and succeeded. */
static bool host_tpm_wait(HostTpmJob *job, MonattError *err)
{
    HostTpm *tpm = job->tpm;
    gint64 until = g_get_monotonic_time() + HOST_TPM_DEADLINE_S * G_TIME_SPAN_SECOND;
    bool finished;

    g_mutex_lock(&tpm->lock);
    while (!job->finished && g_cond_wait_until(&tpm->changed, &tpm->lock, until)) {
    }
    finished = job->finished;
    g_mutex_unlock(&tpm->lock);
    if (!finished) {
        monatt_error_set(err, MONATT_ERROR_BUSY, "host TPM '%s': no answer in %d s", tpm->tcti,
                         HOST_TPM_DEADLINE_S);
        return monatt_error_hint(err, "is it hung? evidence needs it");
    }
    if (!job->succeeded && err) {
        *err = job->err;
    }
    return job->succeeded;
}

bool host_tpm_create_key(HostTpm *tpm, uint64_t *ret_id, GBytes **ret_public, MonattError *err)
{
    HostTpmJob *job = host_tpm_job_new(tpm, HOST_TPM_CREATE, 0);
    bool done;

    host_tpm_push(tpm, job);
    done = host_tpm_wait(job, err);
    if (done) {
        *ret_id = job->id;
        *ret_public = g_steal_pointer(&job->public);
    }
    host_tpm_job_unref(job);
    return done;
}

void host_tpm_drop_key(HostTpm *tpm, uint64_t id)
{
    HostTpmJob *job = host_tpm_job_new(tpm, HOST_TPM_DROP, id);

    host_tpm_push(tpm, job);
    host_tpm_job_unref(job);
}

HostTpmJob *host_tpm_quote_start(HostTpm *tpm, uint64_t id, const void *qualifying, size_t size)
{
    HostTpmJob *job = host_tpm_job_new(tpm, HOST_TPM_QUOTE, id);

    job->qualifying = g_bytes_new(qualifying, size);
    host_tpm_push(tpm, job);
    return job;
}

bool host_tpm_quote_finish(HostTpmJob *job, MonattQuote **ret_quote, MonattError *err)
{
    bool done = host_tpm_wait(job, err);

    if (done) {
        *ret_quote = g_steal_pointer(&job->quote);
    }
    host_tpm_job_unref(job);
    return done;
}
