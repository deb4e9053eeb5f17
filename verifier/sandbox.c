/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox.c - prepare, fork, close, lock up, work, answer
 *
 * prepare: everything that libraries load lazily is loaded, so that the child opens nothing.
 * child: dies with its parent, closes every descriptor but the answer's, takes limits, enters the
 * filter; only then the work begins.  Must never begin the work when one of these failed.
 */
#include "verifier/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "libmonatt/base/macros.h"
#include "libmonatt/base/reader.h"
#include "libmonatt/base/writer.h"
#include "libmonatt/evidence/evidence.h"

#define ANSWER_FD 3
#define MAGIC 0x4d534231u /* "MSB1" */
#define NO_DOCUMENT 0xffffffffu
#define MESSAGE_MAXIMUM 4096

/* Each call with who makes it; anything else kills the process. */
static const struct {
    const char *name;
} allowed[] = {
    {"write"},          /* answer() */
    {"exit_group"},     /* the end */
    {"exit"},           /* the end */
    {"brk"},            /* malloc */
    {"munmap"},         /* free */
    {"mremap"},         /* realloc of large blocks */
    {"madvise"},        /* malloc trims; sanitizers */
    {"futex"},          /* libcrypto's once and locks */
    {"clock_gettime"},  /* when the vDSO cannot */
    {"gettimeofday"},   /* likewise */
    {"getrandom"},      /* libcrypto, glib's hash tables */
    {"getpid"},         /* libcrypto's fork check */
    {"gettid"},         /* glib, sanitizers */
    {"rt_sigprocmask"}, /* abort() */
    {"rt_sigaction"},   /* abort() */
    {"rt_sigreturn"},   /* likewise */
    {"sigaltstack"},    /* sanitizers */
    {"tgkill"},         /* abort() */
    {"sched_yield"},    /* sanitizers' spin locks */
};

gboolean monatt_sandbox_allows(const char *system_call)
{
    for (size_t i = 0; i < G_N_ELEMENTS(allowed); i++) {
        if (strcmp(allowed[i].name, system_call) == 0) {
            return TRUE;
        }
    }
    return FALSE;
}

void monatt_sandbox_answer_clear(MonattSandboxAnswer *answer)
{
    for (size_t i = 0; i < MONATT_SANDBOX_DOCUMENTS; i++) {
        g_clear_pointer(&answer->documents[i], g_bytes_unref);
    }
}

static gboolean fail_errno(GError **error, const char *what)
{
    MonattError err = {0};
    monatt_error_set_errno(&err, errno, "sandbox: %s", what);
    return monatt_error_to_gerror(&err, error);
}

/* What would otherwise be read from disk at its first use, inside the sandbox. */
static void prepare(void)
{
    time_t zero = 0;
    struct tm tm;
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_ADD_ALL_CIPHERS |
                            OPENSSL_INIT_ADD_ALL_DIGESTS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS,
                        NULL);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size;
    if (EVP_Digest("", 0, digest, &size, EVP_sha256(), NULL) != 1 ||
        EVP_Digest("", 0, digest, &size, EVP_sha384(), NULL) != 1) {
        return; /* the work will say so */
    }
    EVP_PKEY_free(EVP_EC_gen("P-256"));
    json_object_seed(0);
    tzset();
    gmtime_r(&zero, &tm);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_free(g_date_time_format(now, "%Y"));
}

static bool add_rules(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < G_N_ELEMENTS(allowed); i++) {
        int number = seccomp_syscall_resolve_name(allowed[i].name);
        if (number == __NR_SCMP_ERROR || seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) != 0) {
            return false;
        }
    }
    /* Memory, but never memory to run. */
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                            SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
}

static bool enter(void)
{
    struct rlimit none = {0, 0};
    struct rlimit cpu = {MONATT_SANDBOX_CPU_S, MONATT_SANDBOX_CPU_S};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool good = filter != NULL && setrlimit(RLIMIT_CORE, &none) == 0 &&
                setrlimit(RLIMIT_FSIZE, &none) == 0 && setrlimit(RLIMIT_NPROC, &none) == 0 &&
                setrlimit(RLIMIT_CPU, &cpu) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && add_rules(filter) &&
                seccomp_load(filter) == 0;
    seccomp_release(filter);
    return good;
}

static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

static bool write_number(int fd, uint32_t value)
{
    uint8_t bytes[4];
    MonattWriter w;
    monatt_writer_init(&w, bytes, sizeof(bytes));
    monatt_writer_u32_be(&w, value);
    return write_all(fd, bytes, sizeof(bytes));
}

static bool write_document(int fd, const void *bytes, size_t size)
{
    return write_number(fd, (uint32_t)size) && write_all(fd, bytes, size);
}

/* magic | exit code | error code | error text | documents, each u32 length and bytes. */
static bool answer(const MonattSandboxAnswer *answer, const GError *error)
{
    const char *message = error != NULL ? error->message : "";
    bool good = write_number(ANSWER_FD, MAGIC) &&
                write_number(ANSWER_FD, (uint32_t)answer->exit_code) &&
                write_number(ANSWER_FD, error != NULL ? (uint32_t)error->code : 0) &&
                write_document(ANSWER_FD, message, strlen(message));
    for (size_t i = 0; good && i < MONATT_SANDBOX_DOCUMENTS; i++) {
        gsize size;
        if (answer->documents[i] == NULL) {
            good = write_number(ANSWER_FD, NO_DOCUMENT);
        } else {
            const void *bytes = g_bytes_get_data(answer->documents[i], &size);
            good = size <= MONATT_SANDBOX_ANSWER_MAXIMUM && write_document(ANSWER_FD, bytes, size);
        }
    }
    return good;
}

static G_GNUC_NORETURN void be_child(int fd, pid_t parent, MonattSandboxWork work, void *data)
{
    MonattSandboxAnswer result = {0};
    GError *error = NULL;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent) {
        _exit(1);
    }
    signal(SIGPIPE, SIG_DFL);
    if ((fd != ANSWER_FD && dup2(fd, ANSWER_FD) != ANSWER_FD) ||
        close_range(ANSWER_FD + 1, ~0u, 0) != 0) {
        _exit(1);
    }
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
#ifndef __SANITIZE_ADDRESS__
    close(STDERR_FILENO); /* a sanitizer's report must be seen */
#endif
    if (!enter()) {
        _exit(1);
    }
    if (!work(data, &result, &error) && error == NULL) {
        _exit(1);
    }
    _exit(answer(&result, error) ? 0 : 1);
}

static GByteArray *read_all(int fd, GError **error)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    uint8_t part[65536];
    for (;;) {
        ssize_t got = read(fd, part, sizeof(part));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            fail_errno(error, "the answer cannot be read");
            return NULL;
        }
        if (got == 0) {
            return g_steal_pointer(&all);
        }
        if ((size_t)got > MONATT_SANDBOX_ANSWER_MAXIMUM - all->len) {
            g_set_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT,
                        "sandbox: the answer is larger than %u bytes",
                        MONATT_SANDBOX_ANSWER_MAXIMUM);
            return NULL;
        }
        g_byte_array_append(all, part, (guint)got);
    }
}

static gboolean take_documents(MonattReader *r, MonattSandboxAnswer *ret)
{
    for (size_t i = 0; i < MONATT_SANDBOX_DOCUMENTS; i++) {
        uint32_t size;
        const uint8_t *bytes;
        if (!monatt_reader_u32_be(r, &size)) {
            return FALSE;
        }
        if (size == NO_DOCUMENT) {
            continue;
        }
        if (!monatt_reader_bytes(r, size, &bytes)) {
            return FALSE;
        }
        ret->documents[i] = g_bytes_new(bytes, size);
    }
    return monatt_reader_finish(r);
}

static gboolean take_answer(const GByteArray *all, MonattSandboxAnswer *ret, GError **error)
{
    MonattReader r;
    MonattError err = {0};
    MonattSandboxAnswer result = {0};
    uint32_t magic, exit_code, error_code, message_size;
    const uint8_t *message;
    monatt_reader_init(&r, "sandbox: answer", all->data, all->len, &err);
    if (!monatt_reader_u32_be(&r, &magic) ||
        !monatt_reader_count(&r, MONATT_EXIT_UNKNOWN, &exit_code) ||
        !monatt_reader_count(&r, MONATT_ERROR_COUNT - 1, &error_code) ||
        !monatt_reader_count(&r, MESSAGE_MAXIMUM, &message_size) ||
        !monatt_reader_bytes(&r, message_size, &message)) {
        return monatt_error_to_gerror(&err, error);
    }
    if (magic != MAGIC) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_PEER, "sandbox: the answer is not one");
        return FALSE;
    }
    if (error_code != 0) {
        g_autofree char *text = g_strndup((const char *)message, message_size);
        g_set_error_literal(error, MONATT_GERROR, (int)error_code, text);
        return FALSE;
    }
    if (!take_documents(&r, &result)) {
        monatt_sandbox_answer_clear(&result);
        return monatt_error_to_gerror(&err, error);
    }
    result.exit_code = (int)exit_code;
    *ret = result;
    return TRUE;
}

static gboolean check_end(pid_t child, GError **error)
{
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return fail_errno(error, "waitpid");
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return TRUE;
    }
    if (WIFSIGNALED(status)) {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_PEER,
                    "sandbox: the parser was ended by signal %d%s", WTERMSIG(status),
                    WTERMSIG(status) == SIGSYS ? ": it made a forbidden system call" : "");
    } else {
        g_set_error(error, MONATT_GERROR, MONATT_ERROR_PEER,
                    "sandbox: the parser could not be locked up or did not answer\n"
                    "hint: the kernel must have seccomp");
    }
    return FALSE;
}

gboolean monatt_sandbox_run(MonattSandboxWork work, void *data, MonattSandboxAnswer *ret_answer,
                            GError **error)
{
    int ends[2];
    pid_t parent = getpid();
    prepare();
    fflush(NULL); /* the child must not print what is buffered here again */
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return fail_errno(error, "pipe");
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        be_child(ends[1], parent, work, data);
    }
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return fail_errno(error, "fork");
    }
    g_autoptr(GByteArray) all = read_all(ends[0], error);
    close(ends[0]); /* a child that still writes ends by SIGPIPE */
    GError *end = NULL;
    if (!check_end(child, all != NULL ? &end : NULL) || all == NULL) {
        if (end != NULL) {
            g_propagate_error(error, end);
        }
        return FALSE;
    }
    return take_answer(all, ret_answer, error);
}
