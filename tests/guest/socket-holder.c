/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket-holder.c - holds one socket of each kind that it is asked for, in a test's guest
 *
 *   socket-holder KIND…     prints "ready" and waits
 *
 * KIND: tcp=PORT, tcp6=PORT, pair=PORT (a listener and both ends of a connection), udp=PORT, raw,
 * packet, filter (a packet socket with a classic filter), netlink, unix=NAME ("@" first: abstract),
 * storm (opens and closes sockets of all kinds without end), pid (a process in a PID namespace of
 * its own), deleted (runs itself from a file without a name).
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

static int check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static int inet_socket(int family, int type, int protocol, unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 address6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    int sock = check(socket(family, type, protocol), "socket");

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (port != 0) {
        check(family == AF_INET6 ? bind(sock, (struct sockaddr *)&address6, sizeof(address6))
                                 : bind(sock, (struct sockaddr *)&address, sizeof(address)),
              "bind");
        if (type == SOCK_STREAM) {
            check(listen(sock, 4), "listen");
        }
    }
    return sock;
}

static void hold_pair(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int listener = inet_socket(AF_INET, SOCK_STREAM, 0, port);
    int client = inet_socket(AF_INET, SOCK_STREAM, 0, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(connect(client, (struct sockaddr *)&address, sizeof(address)), "connect");
    check(accept(listener, NULL, NULL), "accept");
}

static void hold_packet(int filtered)
{
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)};
    struct sock_fprog program = {1, all};
    int sock = check(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), "packet socket");

    if (filtered) {
        check(setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), "filter");
    }
}

static void hold_unix(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int sock = check(socket(AF_UNIX, SOCK_STREAM, 0), "unix socket");
    size_t size = strlen(name);

    memcpy(address.sun_path, name, size < sizeof(address.sun_path) ? size : 0);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    check(bind(sock, (struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)),
          "bind");
    check(listen(sock, 4), "listen");
}

static void hold_netlink(void)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    int sock = check(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "netlink socket");
    check(bind(sock, (struct sockaddr *)&address, sizeof(address)), "bind");
}

/* Everything at once, again and again, by several processes. */
static void storm(void)
{
    unsigned port = 20000;

    check(fork(), "fork");
    check(fork(), "fork");
    for (port += (unsigned)getpid() % 1000 * 20;; port = port < 60000 ? port + 1 : 20000) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int sockets[6], pair[2];

        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        sockets[0] = socket(AF_INET, SOCK_STREAM, 0);
        sockets[1] = socket(AF_INET, SOCK_STREAM, 0);
        sockets[2] = socket(AF_INET, SOCK_DGRAM, 0);
        sockets[3] = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
        sockets[4] = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        sockets[5] = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP));
        (void)!bind(sockets[2], (struct sockaddr *)&address, sizeof(address));
        if (bind(sockets[0], (struct sockaddr *)&address, sizeof(address)) == 0 &&
            listen(sockets[0], 4) == 0 &&
            connect(sockets[1], (struct sockaddr *)&address, sizeof(address)) == 0) {
            close(accept(sockets[0], NULL, NULL));
        }
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
            close(pair[0]);
            close(pair[1]);
        }
        for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
            close(sockets[i]);
        }
    }
}

static void run_deleted(void)
{
    char *const words[] = {(char *)"from-memory", (char *)"raw", NULL};
    char bytes[65536];
    int from = check(open("/proc/self/exe", O_RDONLY), "itself");
    int to = check(memfd_create("nameless", MFD_CLOEXEC), "memfd");
    ssize_t size;

    while ((size = read(from, bytes, sizeof(bytes))) > 0) {
        check((int)write(to, bytes, (size_t)size), "write");
    }
    fexecve(to, words, environ);
    check(-1, "exec");
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        unsigned port = 0;
        if (value) {
            *value++ = '\0';
            port = (unsigned)strtoul(value, NULL, 10);
        }
        if (strcmp(argv[i], "tcp") == 0) {
            inet_socket(AF_INET, SOCK_STREAM, 0, port);
        } else if (strcmp(argv[i], "tcp6") == 0) {
            inet_socket(AF_INET6, SOCK_STREAM, 0, port);
        } else if (strcmp(argv[i], "pair") == 0) {
            hold_pair(port);
        } else if (strcmp(argv[i], "udp") == 0) {
            inet_socket(AF_INET, SOCK_DGRAM, 0, port);
        } else if (strcmp(argv[i], "raw") == 0) {
            inet_socket(AF_INET, SOCK_RAW, IPPROTO_UDP, 0);
        } else if (strcmp(argv[i], "packet") == 0 || strcmp(argv[i], "filter") == 0) {
            hold_packet(argv[i][0] == 'f');
        } else if (strcmp(argv[i], "netlink") == 0) {
            hold_netlink();
        } else if (strcmp(argv[i], "unix") == 0 && value) {
            hold_unix(value);
        } else if (strcmp(argv[i], "storm") == 0) {
            storm();
        } else if (strcmp(argv[i], "deleted") == 0) {
            run_deleted();
        } else if (strcmp(argv[i], "pid") == 0) {
            check(unshare(CLONE_NEWPID), "unshare");
            if (check(fork(), "fork") == 0) {
                continue;
            }
            pause();
        } else {
            fprintf(stderr, "socket-holder: no such kind: %s\n", argv[i]);
            return 2;
        }
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        pause();
    }
}
