/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main.c - the command line of hw-attest
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hw-attest/sandbox.h"
#include "hw-attest/service.h"
#include "hw-attest/wire.h"
#include "libmonatt/base/log.h"
#include "monatt-version.h"

static const char help[] =
    "usage: hw-attest serve [--private] [--run-dir DIR] [--state-dir DIR] [--allow-uid UID]...\n"
    "                       [--user WHO] [--restarts N] [--ready-fd N]\n"
    "                       [--log-segment-bytes N] [--log-segment-records N]\n"
    "                       [--log-segment-interval-ms N]\n"
    "       hw-attest replay [--wire mpqemu|vfio-user] [--answers] FILE\n"
    "       hw-attest --print-capabilities | --version | --help\n"
    "\n"
    "The attestation devices of this host's VMs, one process a VM; QEMU is started by "
    "monatt-qemu.\n"
    "\n"
    "  --run-dir DIR      sockets (default $MONATT_RUN_DIR or /run/monatt)\n"
    "  --state-dir DIR    event logs and TPM states (default $MONATT_STATE_DIR or "
    "/var/lib/monatt)\n"
    "  --allow-uid UID    this user may attach VMs too; root and the own user always may\n"
    "  --user WHO         devices and swtpms run as this user, or each as one of a range "
    "FIRST-LAST\n"
    "                     (default as root: 2100000000-2100000255; else the own user)\n"
    "  --restarts N       start a VM's device again at most N times in 60 s (default 3; 0: never)\n"
    "  --private          serve one VM and end with it\n"
    "  --log-segment-bytes N, --log-segment-records N, --log-segment-interval-ms N\n"
    "                     the event log is cut into segments, each begun by a signed checkpoint,\n"
    "                     at so many bytes (4194304) or records (50000), not more often than\n"
    "                     that (2000)\n"
    "  --ready-fd N       write one byte to descriptor N when launchers may connect\n"
    "\n"
    "replay feeds the bytes of a connection (mpqemu's), as in a bug report, to a device of its "
    "own;\n"
    "with --answers what the device answers goes to the standard output.\n"
    "Exit: 0 done, 1 could not do it, 2 usage.\n";

static int usage(const char *what, const char *why)
{
    MonattError err = {0};
    monatt_error_set(&err, MONATT_ERROR_USAGE, "'%s': %s", what, why);
    monatt_error_hint(&err, "see 'hw-attest --help'");
    monatt_log_failure(&err);
    return MONATT_EXIT_USAGE;
}

static int print_capabilities(void)
{
    char layers[SANDBOX_TEXT_SIZE];
    sandbox_layers_text(sandbox_probe(), layers);
    printf("{\"type\":\"hw-attest\",\"version\":\"%s\",\"features\":[", MONATT_VERSION);
    for (size_t i = 0; wire_table[i]; i++) {
        printf("\"wire-%s\",", wire_table[i]->name);
    }
    printf(
        "\"sha256\",\"sha384\",\"process-list\",\"private\",\"allow-uid\",\"ready-fd\",\"user\"],"
        "\"sandbox\":\"%s\"}\n",
        layers);
    return 0;
}

static bool number(const char *text, unsigned long maximum, unsigned long *ret)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > maximum) {
        return false;
    }
    *ret = value;
    return true;
}

static int serve(int argc, char **argv)
{
    static const struct option table[] = {{"private", no_argument, NULL, 'p'},
                                          {"run-dir", required_argument, NULL, 'r'},
                                          {"state-dir", required_argument, NULL, 's'},
                                          {"allow-uid", required_argument, NULL, 'u'},
                                          {"ready-fd", required_argument, NULL, 'f'},
                                          {"restarts", required_argument, NULL, 'd'},
                                          {"user", required_argument, NULL, 'w'},
                                          {"log-segment-bytes", required_argument, NULL, 'b'},
                                          {"log-segment-records", required_argument, NULL, 'n'},
                                          {"log-segment-interval-ms", required_argument, NULL, 'i'},
                                          {0}};
    const char *run_dir = getenv("MONATT_RUN_DIR");
    const char *state_dir = getenv("MONATT_STATE_DIR");
    ServiceOptions options = {.ready_fd = -1, .restarts = SERVICE_RESTARTS_DEFAULT};
    const char *user = NULL;
    MonattError err = {0};
    unsigned long value;
    int option;
    options.vm.run_dir = run_dir && *run_dir ? run_dir : "/run/monatt";
    options.vm.state_dir = state_dir && *state_dir ? state_dir : "/var/lib/monatt";
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        switch (option) {
        case 'p':
            options.private_vm = true;
            break;
        case 'r':
            options.vm.run_dir = optarg;
            break;
        case 's':
            options.vm.state_dir = optarg;
            break;
        case 'u':
            if (!number(optarg, UINT32_MAX, &value) || options.uid_count == SERVICE_UIDS_MAXIMUM) {
                return usage(optarg, "--allow-uid: not a user id, or too many");
            }
            options.uids[options.uid_count++] = (uint32_t)value;
            break;
        case 'd':
            if (!number(optarg, SERVICE_RESTARTS_MAXIMUM, &value)) {
                return usage(optarg, "--restarts: not a number from 0 to 1000");
            }
            options.restarts = (unsigned)value;
            break;
        case 'w':
            user = optarg;
            break;
        case 'f':
            if (!number(optarg, INT32_MAX, &value) || fcntl((int)value, F_GETFD) < 0) {
                return usage(optarg, "--ready-fd: not an open descriptor");
            }
            options.ready_fd = (int)value;
            fcntl(options.ready_fd, F_SETFD, FD_CLOEXEC);
            break;
        case 'b':
            if (!number(optarg, MONATT_EVENT_LOG_GUEST_SHARE, &value) || value == 0) {
                return usage(optarg, "--log-segment-bytes: 1 to 25165824");
            }
            options.vm.log_limits.bytes = value;
            break;
        case 'n':
            if (!number(optarg, UINT32_MAX, &value) || value == 0) {
                return usage(optarg, "--log-segment-records: 1 to 4294967295");
            }
            options.vm.log_limits.records = value;
            break;
        case 'i':
            if (!number(optarg, INT32_MAX, &value) || value == 0) {
                return usage(optarg, "--log-segment-interval-ms: 1 to 2147483647");
            }
            options.vm.log_limits.interval_ms = value;
            break;
        default:
            return usage(argv[optind - 1], "unknown option, or without its value");
        }
    }
    if (optind != argc) {
        return usage(argv[optind], "serve takes no arguments");
    }
    if (!user) {
        vm_users_default(&options.users);
    } else if (!vm_users_parse(user, &options.users, &err)) {
        monatt_log_failure(&err);
        return MONATT_EXIT_USAGE;
    }
    if (!service_run(&options, &err)) {
        monatt_log_failure(&err);
        return monatt_error_exit_code(err.code);
    }
    return 0;
}

static int replay(int argc, char **argv)
{
    static const struct option table[] = {
        {"wire", required_argument, NULL, 'w'}, {"answers", no_argument, NULL, 'a'}, {0}};
    MonattError err = {0};
    const char *wire = "mpqemu";
    int answers_fd = -1;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        switch (option) {
        case 'w':
            wire = optarg;
            break;
        case 'a':
            answers_fd = STDOUT_FILENO;
            break;
        default:
            return usage(argv[optind - 1], "unknown option, or without its value");
        }
    }
    if (optind != argc - 1) {
        return usage("replay", "give one file");
    }
    const char *path = argv[optind];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        monatt_error_set_errno(&err, errno, "replay: '%s'", path);
        monatt_log_failure(&err);
        return 1;
    }
    Device *device = device_new(NULL);
    bool ok = device ? wire_replay_run(wire, device, fd, answers_fd, &err)
                     : monatt_error_set(&err, MONATT_ERROR_SYSTEM, "replay: no memory");
    if (!ok) {
        monatt_log_failure(&err);
    }
    device_free(device);
    close(fd);
    return ok ? 0 : monatt_error_exit_code(err.code);
}

int main(int argc, char **argv)
{
    monatt_log_init("hw-attest");
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (strcmp(command, "--version") == 0) {
        printf("hw-attest %s\n", MONATT_VERSION);
        return 0;
    }
    if (strcmp(command, "--print-capabilities") == 0) {
        return print_capabilities();
    }
    if (strcmp(command, "serve") == 0) {
        return serve(argc - 1, argv + 1);
    }
    if (strcmp(command, "replay") == 0) {
        return replay(argc - 1, argv + 1);
    }
    return usage(command, *command ? "unknown command" : "no command given");
}
