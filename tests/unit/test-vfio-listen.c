/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-vfio-listen.c - who gets the wire, and that waiting for a QEMU that is gone ends
 */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include "hw-attest/vfio-listen.h"

#define SOON_MS 300     /* a deadline that is to be met */
#define NEVER_MS 600000 /* one that the test's own end would be */

typedef struct Place {
    char folder[40];
    int pair[2]; /* the launcher's connection */
    Device *device;
    VfioListen listening;
    MonattError err;
} Place;

static void place_begin(Place *place)
{
    *place = (Place){.folder = "/tmp/vfio-listen-XXXXXX"};
    g_assert_nonnull(g_mkdtemp(place->folder));
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, place->pair), ==, 0);
    place->device = device_new(NULL);
    vfio_listen_init(&place->listening);
    g_assert_true(vfio_listen_open(&place->listening, place->folder, place->folder, place->pair[0],
                                   &place->err));
}

/* What stands in the socket's place once it is bound; NULL: the socket itself. */
static const char *put_in_place;

/* In libc's place: swtpm, of the same user, is as quick as it can be. */
int bind(int fd, const struct sockaddr *address, socklen_t size)
{
    int rc = (int)syscall(SYS_bind, fd, address, size);
    if (rc == 0 && put_in_place) {
        const char *path = ((const struct sockaddr_un *)(const void *)address)->sun_path;
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_cmpint(symlink(put_in_place, path), ==, 0);
    }
    return rc;
}

static void place_end(Place *place)
{
    vfio_listen_close(&place->listening);
    unlink(place->listening.path);
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    close(place->pair[0]);
    close(place->pair[1]);
    device_free(place->device);
}

static int connect_to(const Place *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, place->listening.path, sizeof(address.sun_path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void test_one_connection(void)
{
    Place place;
    struct stat file;
    int fd = -1;
    place_begin(&place);
    g_assert_cmpint(stat(place.listening.path, &file), ==, 0);
    g_assert_cmphex(file.st_mode & 0777, ==, 0600);
    int qemu = connect_to(&place);
    g_assert_cmpint(qemu, >=, 0);
    g_assert_true(vfio_listen_accept(&place.listening, place.device, device_now_ms() + NEVER_MS,
                                     &fd, &place.err));
    g_assert_cmpint(send(qemu, "x", 1, 0), ==, 1);
    char byte;
    g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 1);
    g_assert_cmpint(connect_to(&place), ==, -1);
    g_assert_cmpint(errno == ECONNREFUSED || errno == ENOENT, ==, true);
    close(fd);
    close(qemu);
    place_end(&place);
}

/* The socket is given to QEMU's user, and nothing that a link in its place leads to. */
static void test_link_in_place(void)
{
    Place place;
    struct stat file;
    char victim[sizeof(place.folder) + 8];
    if (geteuid() != 0) {
        g_test_skip("only root gives files away");
        return;
    }
    place_begin(&place);
    vfio_listen_close(&place.listening);
    g_snprintf(victim, sizeof(victim), "%s/victim", place.folder);
    g_assert_true(g_file_set_contents(victim, "", 0, NULL));
    put_in_place = victim;
    place.listening.user = 65534;
    bool opened = vfio_listen_again(&place.listening, place.folder, place.folder, &place.err);
    put_in_place = NULL;
    g_assert_true(opened); /* nobody reaches it: the VM's own harm */
    g_assert_cmpint(stat(victim, &file), ==, 0);
    g_assert_cmpuint(file.st_uid, ==, 0);
    g_assert_cmpint(unlink(victim), ==, 0);
    place_end(&place);
}

static void refused(Place *place, int64_t deadline_ms, const char *why)
{
    int fd = 77;
    g_assert_false(
        vfio_listen_accept(&place->listening, place->device, deadline_ms, &fd, &place->err));
    g_assert_cmpint(place->err.code, ==, MONATT_ERROR_PEER);
    g_assert_nonnull(strstr(place->err.message, why));
    g_assert_cmpint(fd, ==, 77);
    g_assert_cmpint(connect_to(place), ==, -1);
    place_end(place);
}

static void test_deadline(void)
{
    Place place;
    place_begin(&place);
    refused(&place, device_now_ms() + SOON_MS, "in time");
    /* A monitor that stands, and a QEMU that never comes. */
    place_begin(&place);
    place.listening.monitored = true;
    place.device->qmp_open = true;
    refused(&place, device_now_ms() + SOON_MS, "in time");
}

static gpointer close_monitor(gpointer argument)
{
    Device *device = argument;
    g_usleep(100000);
    pthread_mutex_lock(&device->lock);
    device->qmp_open = false;
    pthread_mutex_unlock(&device->lock);
    return NULL;
}

static void test_monitor_closes(void)
{
    Place place;
    /* Before the device comes to wait: as when the launcher is killed at once. */
    place_begin(&place);
    place.listening.monitored = true;
    refused(&place, device_now_ms() + NEVER_MS, "ended before");
    /* While it waits; and a connection that came is nobody's any more. */
    place_begin(&place);
    place.listening.monitored = true;
    place.device->qmp_open = true;
    GThread *thread = g_thread_new("monitor", close_monitor, place.device);
    int fd = 77;
    g_assert_false(vfio_listen_accept(&place.listening, place.device, device_now_ms() + NEVER_MS,
                                      &fd, &place.err));
    g_assert_cmpint(place.err.code, ==, MONATT_ERROR_PEER);
    g_thread_join(thread);
    place_end(&place);
}

static void test_refuses_long_path(void)
{
    char folder[128];
    Place place;
    VfioListen listening;
    place_begin(&place);
    memset(folder, 'x', sizeof(folder));
    folder[0] = '/';
    folder[sizeof(folder) - 1] = '\0';
    vfio_listen_init(&listening);
    g_assert_false(vfio_listen_open(&listening, folder, place.folder, place.pair[0], &place.err));
    g_assert_true(place.err.code == MONATT_ERROR_LIMIT || place.err.code == MONATT_ERROR_SYSTEM);
    g_assert_cmpint(listening.fd, ==, -1);
    place_end(&place);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vfio-listen/one-connection", test_one_connection);
    g_test_add_func("/vfio-listen/link-in-place", test_link_in_place);
    g_test_add_func("/vfio-listen/deadline", test_deadline);
    g_test_add_func("/vfio-listen/monitor-closes", test_monitor_closes);
    g_test_add_func("/vfio-listen/refuses-long-path", test_refuses_long_path);
    return g_test_run();
}
