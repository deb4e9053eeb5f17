/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - the command line of monatt-collectord, and its life from start to SIGTERM
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "host-collector/guest-report.h"
#include "host-collector/routes.h"
#include "host-collector/sandbox.h"
#include "libmonatt/base/log.h"
#include "monatt-paths.h"
#include "monatt-version.h"

#define HOST_ID_MAXIMUM 256

static const char help[] =
    "usage: monatt-collectord --host-id ID --host-tpm TCTI [--run-dir DIR] [--state-dir DIR]\n"
    "                         [--worker PATH]\n"
    "       monatt-collectord --version | --help\n"
    "\n"
    "Measures the VMs of this host that monatt-qemu started, and signs evidence about them.\n"
    "\n"
    "  --host-id ID       name of this host, as the privacy CA knows it\n"
    "  --host-tpm TCTI    device:/dev/tpmrm0, swtpm:path=SOCKET …\n"
    "  --run-dir DIR      sockets (default $MONATT_RUN_DIR or /run/monatt)\n"
    "  --state-dir DIR    collector.db (default $MONATT_STATE_DIR or /var/lib/monatt)\n"
    "  --worker PATH      monatt-worker, which reads guests' memory\n"
    "\n"
    "It answers on DIR/collector.sock; certify its session with 'monatt ca enrol'.\n"
    "Exit: 0 ended by SIGTERM, 1 could not do it, 2 usage.\n";

typedef struct Options {
    const char *run_dir;
    const char *state_dir;
    const char *host_id;
    const char *host_tpm;
    const char *worker;
} Options;

static int usage(const char *what, const char *why)
{
    MonattError err = {0};
    monatt_error_set(&err, MONATT_ERROR_USAGE, "'%.80s': %s", what, why);
    monatt_error_hint(&err, "see 'monatt-collectord --help'");
    monatt_log_failure(&err);
    return MONATT_EXIT_USAGE;
}

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

/* The build tree's worker beside this program, else the installed one. */
static const char *find_worker(void)
{
    static char *path;
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = self ? g_path_get_dirname(self) : g_strdup(".");
    path = g_build_filename(folder, "worker", "monatt-worker", NULL);
    if (access(path, X_OK) != 0) {
        g_free(path);
        path = g_build_filename(MONATT_LIBEXECDIR, "monatt", "monatt-worker", NULL);
    }
    return path;
}

/* -1: go on. */
static int read_options(int argc, char **argv, Options *options)
{
    static const struct option table[] = {
        {"run-dir", required_argument, NULL, 'r'}, {"state-dir", required_argument, NULL, 's'},
        {"host-id", required_argument, NULL, 'i'}, {"host-tpm", required_argument, NULL, 't'},
        {"worker", required_argument, NULL, 'w'},  {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {0}};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        switch (option) {
        case 'r':
            options->run_dir = optarg;
            break;
        case 's':
            options->state_dir = optarg;
            break;
        case 'i':
            options->host_id = optarg;
            break;
        case 't':
            options->host_tpm = optarg;
            break;
        case 'w':
            options->worker = optarg;
            break;
        case 'v':
            printf("monatt-collectord %s\n", MONATT_VERSION);
            return MONATT_EXIT_DONE;
        case 'h':
            fputs(help, stdout);
            return MONATT_EXIT_DONE;
        default:
            return usage(argv[optind - 1], "unknown option, or without its value");
        }
    }
    if (optind != argc) {
        return usage(argv[optind], "takes no arguments");
    }
    if (!options->host_id || !*options->host_id || strlen(options->host_id) > HOST_ID_MAXIMUM ||
        !g_utf8_validate(options->host_id, -1, NULL)) {
        return usage("--host-id", "must be given, 1 to 256 bytes of UTF-8");
    }
    if (!options->host_tpm) {
        return usage("--host-tpm", "must be given");
    }
    return -1;
}

static bool make_folder(const char *path, mode_t mode, MonattError *err)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        monatt_error_set_errno(err, errno, "folder '%s'", path);
        return monatt_error_hint(err, "choose folders with --run-dir and --state-dir");
    }
    return true;
}

static bool check_worker(const char *path, MonattError *err)
{
    if (access(path, X_OK) == 0) {
        return true;
    }
    monatt_error_set_errno(err, errno, "worker '%s'", path);
    return monatt_error_hint(err, "name it with --worker");
}

static bool serve(const Options *options, const sigset_t *signals, MonattError *err)
{
    g_autofree char *database = g_build_filename(options->state_dir, "collector.db", NULL);
    g_autofree char *socket_path = g_build_filename(options->run_dir, "collector.sock", NULL);
    Routes routes = {0};
    HttpServer *server = NULL;
    if (!make_folder(options->run_dir, 0755, err) || !make_folder(options->state_dir, 0700, err) ||
        !check_worker(options->worker, err)) {
        return false;
    }
    routes.host.store = store_open(database, err);
    if (!routes.host.store) {
        return err->hint[0] ? false
                            : monatt_error_hint(err, "choose another folder with --state-dir");
    }
    routes.host.tpm = host_tpm_new(options->host_tpm);
    routes.host.session = session_new(routes.host.tpm, routes.host.store, options->host_id);
    routes.vms = vms_new(options->run_dir, options->worker,
                         (VmReporter){.answer = guest_report_answer, .data = &routes.host});
    server = http_serve(socket_path, routes_handle, &routes, err);
    if (server) {
        int number;
        monatt_log_info("answers on '%s'", socket_path);
        sigwait(signals, &number);
        http_stop(server);
    }
    vms_free(routes.vms);
    session_free(routes.host.session);
    host_tpm_free(routes.host.tpm);
    store_close(routes.host.store);
    return server != NULL;
}

int main(int argc, char **argv)
{
    Options options = {
        .run_dir = from_environment("MONATT_RUN_DIR", "/run/monatt"),
        .state_dir = from_environment("MONATT_STATE_DIR", "/var/lib/monatt"),
    };
    MonattError err = {0};
    sigset_t signals;
    monatt_log_init("monatt-collectord");
    int done = read_options(argc, argv, &options);
    if (done >= 0) {
        return done;
    }
    if (!options.worker) {
        options.worker = find_worker();
    }
    umask(0077);
    /* What libtss2 would print to stderr is said in our own errors, one line each. */
    setenv("TSS2_LOG", "all+none", 0);
    /* Before any thread: all of them then leave the signals to sigwait(). */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (!sandbox_enter(&err) || !serve(&options, &signals, &err)) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    return MONATT_EXIT_DONE;
}
