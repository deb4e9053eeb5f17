/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-sandbox.c - work that is allowed answers, work that is not dies; both seen
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "libmonatt/evidence/evidence.h"
#include "verifier/sandbox.h"

/* Chosen by each test. */
static int forbidden;

static gboolean work_answer(void *data, MonattSandboxAnswer *answer, GError **error)
{
    const char *text = data;
    answer->exit_code = MONATT_EXIT_COMPROMISED;
    answer->documents[0] = g_bytes_new(text, strlen(text));
    answer->documents[2] = g_bytes_new("", 0);
    return TRUE;
}

static void test_answer(void)
{
    MonattSandboxAnswer answer = {0};
    GError *error = NULL;
    gsize size;
    g_assert_true(monatt_sandbox_run(work_answer, (void *)"hello", &answer, &error));
    g_assert_no_error(error);
    g_assert_cmpint(answer.exit_code, ==, MONATT_EXIT_COMPROMISED);
    const void *bytes = g_bytes_get_data(answer.documents[0], &size);
    g_assert_cmpmem(bytes, size, "hello", 5);
    g_assert_null(answer.documents[1]);
    g_assert_cmpuint(g_bytes_get_size(answer.documents[2]), ==, 0);
    monatt_sandbox_answer_clear(&answer);
}

static gboolean work_refuse(void *data, MonattSandboxAnswer *answer, GError **error)
{
    g_set_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED, "not believed\nhint: ask again");
    return FALSE;
}

static void test_error(void)
{
    MonattSandboxAnswer answer = {0};
    GError *error = NULL;
    g_assert_false(monatt_sandbox_run(work_refuse, NULL, &answer, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_REFUSED);
    g_assert_cmpstr(monatt_gerror_hint(error), ==, "ask again");
    g_error_free(error);
}

static gboolean work_large(void *data, MonattSandboxAnswer *answer, GError **error)
{
    gsize size = *(const gsize *)data;
    answer->documents[0] = g_bytes_new_take(g_malloc0(size), size);
    return TRUE;
}

/* Larger than a pipe holds, and larger than the parent takes. */
static void test_large(void)
{
    MonattSandboxAnswer answer = {0};
    GError *error = NULL;
    gsize size = 8 * 1024 * 1024;
    g_assert_true(monatt_sandbox_run(work_large, &size, &answer, &error));
    g_assert_cmpuint(g_bytes_get_size(answer.documents[0]), ==, size);
    monatt_sandbox_answer_clear(&answer);
    size = MONATT_SANDBOX_ANSWER_MAXIMUM;
    g_assert_false(monatt_sandbox_run(work_large, &size, &answer, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_LIMIT);
    g_error_free(error);
}

static gboolean work_forbidden(void *data, MonattSandboxAnswer *answer, GError **error)
{
    switch (forbidden) {
    case 0:
        return open("/dev/null", O_RDONLY) != -2;
    case 1:
        return socket(AF_UNIX, SOCK_STREAM, 0) != -2;
    case 2:
        return fork() != -2;
    case 3:
        return execl("/bin/true", "true", NULL) != -2;
    case 4:
        return unlink("/nonexistent") != -2;
    case 5:
        return kill(getppid(), 0) != -2;
    case 6:
        return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != NULL;
    default: {
        char byte;
        return read(STDIN_FILENO, &byte, 1) != -2;
    }
    }
}

static void test_forbidden(void)
{
    for (forbidden = 0; forbidden < 8; forbidden++) {
        MonattSandboxAnswer answer = {0};
        GError *error = NULL;
        g_test_message("forbidden call %d", forbidden);
        g_assert_false(monatt_sandbox_run(work_forbidden, NULL, &answer, &error));
        g_assert_error(error, MONATT_GERROR, MONATT_ERROR_PEER);
        g_assert_nonnull(strstr(error->message, "forbidden"));
        g_error_free(error);
    }
}

static gboolean work_crash(void *data, MonattSandboxAnswer *answer, GError **error)
{
    signal(SIGABRT, SIG_DFL);
    abort();
}

static void test_crash(void)
{
    MonattSandboxAnswer answer = {0};
    GError *error = NULL;
    g_assert_false(monatt_sandbox_run(work_crash, NULL, &answer, &error));
    g_assert_error(error, MONATT_GERROR, MONATT_ERROR_PEER);
    g_error_free(error);
}

/* A work that answers nonsense of its own is not taken for an answer. */
static gboolean work_nonsense(void *data, MonattSandboxAnswer *answer, GError **error)
{
    static const char text[] = "MSB0 nonsense";
    _exit(write(3, text, sizeof(text)) == sizeof(text) ? 0 : 1);
}

static void test_nonsense(void)
{
    MonattSandboxAnswer answer = {0};
    GError *error = NULL;
    g_assert_false(monatt_sandbox_run(work_nonsense, NULL, &answer, &error));
    g_assert_nonnull(error);
    g_assert_cmpint(error->code, !=, MONATT_ERROR_REFUSED);
    g_error_free(error);
}

static void test_list(void)
{
    g_assert_true(monatt_sandbox_allows("write"));
    g_assert_false(monatt_sandbox_allows("open"));
    g_assert_false(monatt_sandbox_allows("openat"));
    g_assert_false(monatt_sandbox_allows("connect"));
    g_assert_false(monatt_sandbox_allows("ptrace"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/answers", test_answer);
    g_test_add_func("/sandbox/hands-on-errors", test_error);
    g_test_add_func("/sandbox/large-answers", test_large);
    g_test_add_func("/sandbox/kills-forbidden-calls", test_forbidden);
    g_test_add_func("/sandbox/survives-a-crash", test_crash);
    g_test_add_func("/sandbox/refuses-nonsense", test_nonsense);
    g_test_add_func("/sandbox/list", test_list);
    return g_test_run();
}
