/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-control.c - packets and payloads of attach.sock and control.sock, whole and broken
 */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "libmonatt/control/control.h"

static uint8_t buffer[MONATT_CONTROL_MAXIMUM];
static MonattControlMessage message;

static void pair_of(int pair[2])
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
}

static void test_packet(void)
{
    int pair[2];
    int fds[MONATT_CONTROL_FDS];
    MonattError err = {0};
    pair_of(pair);
    for (size_t i = 0; i < MONATT_CONTROL_FDS; i++) {
        fds[i] = pair[0];
    }
    g_assert_true(monatt_control_send(pair[0], 5, 9, "abc", 3, fds, MONATT_CONTROL_FDS, &err));
    g_assert_true(monatt_control_receive(pair[1], 1000, &message, &err));
    g_assert_cmpuint(message.type, ==, 5);
    g_assert_cmpuint(message.id, ==, 9);
    g_assert_cmpmem(message.payload, message.payload_size, "abc", 3);
    g_assert_cmpuint(message.fd_count, ==, MONATT_CONTROL_FDS);
    monatt_control_message_clear(&message);
    g_assert_cmpuint(message.fd_count, ==, 0);
    int size = 4 * MONATT_CONTROL_MAXIMUM;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    g_assert_true(
        monatt_control_send(pair[0], 5, 9, buffer, MONATT_CONTROL_MAXIMUM, NULL, 0, &err));
    g_assert_true(monatt_control_receive(pair[1], 1000, &message, &err));
    g_assert_cmpuint(message.payload_size, ==, MONATT_CONTROL_MAXIMUM);
    close(pair[0]);
    close(pair[1]);
}

static MonattErrorCode receive(const void *bytes, size_t size)
{
    int pair[2];
    MonattError err = {0};
    pair_of(pair);
    int large = 4 * MONATT_CONTROL_MAXIMUM;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
    g_assert_cmpint(send(pair[0], bytes, size, 0), ==, (ssize_t)size);
    bool done = monatt_control_receive(pair[1], 1000, &message, &err);
    g_assert_cmpint(done, ==, err.code == MONATT_ERROR_NONE);
    close(pair[0]);
    close(pair[1]);
    return err.code;
}

static void test_refuses_packets(void)
{
    static uint8_t large[MONATT_CONTROL_MAXIMUM + 9] = "MCT1";
    MonattError err = {0};
    g_assert_cmpint(receive("MCT1\0\2\0\7", 8), ==, MONATT_ERROR_NONE);
    for (size_t size = 1; size < 8; size++) {
        g_assert_cmpint(receive("MCT1\0\2\0\7", size), ==, MONATT_ERROR_FORMAT);
    }
    g_assert_cmpint(receive("MCT2\0\2\0\7", 8), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(receive("\0\0\0\0\0\2\0\7", 8), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(receive(large, MONATT_CONTROL_MAXIMUM + 8), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(receive(large, MONATT_CONTROL_MAXIMUM + 9), ==, MONATT_ERROR_FORMAT);
    int pair[2];
    pair_of(pair);
    g_assert_false(monatt_control_receive(pair[1], 1, &message, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    close(pair[0]);
    err = (MonattError){0};
    g_assert_false(monatt_control_receive(pair[1], 1000, &message, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_PEER);
    close(pair[1]);
}

static void test_socket_paths(void)
{
    g_autofree char *folder = g_dir_make_tmp("monatt-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "s", NULL);
    g_autofree char *filler = g_strnfill(107 - strlen(folder) - 1, 'x');
    g_autofree char *longest = g_build_filename(folder, filler, NULL);
    g_autofree char *longer = g_strconcat(longest, "x", NULL);
    MonattError err = {0};
    int fd;
    int other;
    g_assert_false(monatt_control_connect(path, &fd, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_MISSING);
    err = (MonattError){0};
    g_assert_true(monatt_control_listen(path, &fd, &err));
    g_assert_true(monatt_control_connect(path, &other, &err));
    close(other);
    close(fd);
    g_assert_cmpuint(strlen(longest), ==, 107);
    g_assert_true(monatt_control_listen(longest, &fd, &err));
    close(fd);
    g_assert_false(monatt_control_listen(longer, &fd, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    g_assert_true(strstr(err.hint, "--run-dir") != NULL);
    unlink(path);
    unlink(longest);
    g_assert_cmpint(rmdir(folder), ==, 0);
}

static void test_status(void)
{
    MonattDeviceStatus status = {.name = "web-3", .records = 7, .fault = 2, .reset_pending = 1};
    MonattDeviceStatus got;
    MonattError err = {0};
    MonattWriter w;
    memset(status.vid, 9, sizeof(status.vid));
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_device_status_encode(&w, &status);
    g_assert_true(monatt_device_status_decode(buffer, w.size, &got, &err));
    g_assert_cmpmem(&got, sizeof(got), &status, sizeof(status));
    for (size_t size = 0; size < w.size; size++) {
        err = (MonattError){0};
        g_assert_false(monatt_device_status_decode(buffer, size, &got, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    }
    err = (MonattError){0};
    g_assert_false(monatt_device_status_decode(buffer, w.size + 1, &got, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    buffer[18] = '/';
    g_assert_false(monatt_device_status_decode(buffer, w.size, &got, &err));
}

static MonattErrorCode attach(const MonattAttachRequest *request, size_t cut, size_t more)
{
    static MonattAttachRequest got;
    MonattError err = {0};
    MonattWriter w;
    memset(buffer, 0, sizeof(buffer));
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_attach_request_encode(&w, request);
    bool done = monatt_attach_request_decode(buffer, w.size - cut + more, &got, &err);
    g_assert_cmpint(done, ==, err.code == MONATT_ERROR_NONE);
    return err.code;
}

static void test_attach_request(void)
{
    static MonattAttachRequest good = {.vid = {1}, .name = "web-3", .vcpus = 1, .accelerator = 1};
    static MonattAttachRequest bad;
    g_assert_cmpint(attach(&good, 0, 0), ==, MONATT_ERROR_NONE);
    for (size_t cut = 1; cut < 30; cut++) {
        g_assert_cmpint(attach(&good, cut, 0), ==, MONATT_ERROR_FORMAT);
    }
    g_assert_cmpint(attach(&good, 0, 1), ==, MONATT_ERROR_FORMAT);
    bad = good;
    memset(bad.vid, 0, sizeof(bad.vid));
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.accelerator = 3;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.want_plugin = 2;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.wire = MONATT_WIRE_VFIO_USER;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_NONE);
    bad.wire++;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.actions = 3;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_NONE);
    bad.actions++;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_FORMAT);
    bad = good;
    bad.vcpus = MONATT_VCPUS_MAXIMUM;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_NONE);
    bad.vcpus++;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_LIMIT);
    bad.vcpus = 0;
    g_assert_cmpint(attach(&bad, 0, 0), ==, MONATT_ERROR_LIMIT);
    static const char *const names[] = {"", "..", "a/b", "a\nb", "-rf"};
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        bad = good;
        g_strlcpy(bad.name, names[i], sizeof(bad.name));
        g_assert_cmpint(attach(&bad, 0, 0), !=, MONATT_ERROR_NONE);
    }
}

static MonattErrorCode answer_of(const char *path, size_t cut, size_t more)
{
    MonattAttachAnswer answer = {.ring_size = 4096};
    MonattAttachAnswer got;
    MonattError err = {0};
    MonattWriter w;
    g_strlcpy(answer.wire_path, path, sizeof(answer.wire_path));
    memset(buffer, 0, sizeof(buffer));
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_attach_answer_encode(&w, &answer);
    bool done = monatt_attach_answer_decode(buffer, w.size - cut + more, &got, &err);
    g_assert_cmpint(done, ==, err.code == MONATT_ERROR_NONE);
    if (done) {
        g_assert_cmpmem(&got, sizeof(got), &answer, sizeof(answer));
    }
    return err.code;
}

static void test_attach_answer(void)
{
    g_autofree char *longest = g_strnfill(MONATT_WIRE_PATH_SIZE - 1, '/');
    MonattAttachAnswer got;
    g_assert_cmpint(answer_of("", 0, 0), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(answer_of("/run/monatt/vm/1/wire.sock", 0, 0), ==, MONATT_ERROR_NONE);
    g_assert_cmpint(answer_of(longest, 0, 0), ==, MONATT_ERROR_NONE);
    for (size_t cut = 1; cut <= 12; cut++) {
        g_assert_cmpint(answer_of("/s", cut, 0), ==, MONATT_ERROR_FORMAT);
    }
    g_assert_cmpint(answer_of("/s", 0, 1), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(answer_of("s", 0, 0), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(answer_of("/a\nb", 0, 0), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(answer_of("/a\x7f", 0, 0), ==, MONATT_ERROR_FORMAT);
    /* A path of one byte more than a socket's, as only a broken service sends it. */
    memset(buffer, '/', sizeof(buffer));
    buffer[8] = 0;
    buffer[9] = MONATT_WIRE_PATH_SIZE;
    g_assert_false(monatt_attach_answer_decode(buffer, 10 + MONATT_WIRE_PATH_SIZE, &got, NULL));
}

static void test_quote(void)
{
    static MonattDeviceQuote quote = {
        .alg = 12, .attest_size = 177, .signature_size = 104, .log_records = 3, .log_bytes = 4};
    static MonattDeviceQuote got;
    MonattError err = {0};
    MonattWriter w;
    quote.attest[0] = 1;
    quote.signature[0] = 2;
    quote.values[23][47] = 3;
    monatt_writer_init(&w, buffer, sizeof(buffer));
    monatt_device_quote_encode(&w, &quote);
    g_assert_true(monatt_device_quote_decode(buffer, w.size, &got, &err));
    g_assert_cmpmem(&got, sizeof(got), &quote, sizeof(quote));
    for (size_t size = 0; size < w.size; size++) {
        err = (MonattError){0};
        g_assert_false(monatt_device_quote_decode(buffer, size, &got, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_FORMAT);
    }
    g_assert_false(monatt_device_quote_decode(buffer, w.size + 1, &got, &err));
    /* At each maximum, and one past it in an otherwise whole message. */
    static uint8_t bytes[8192];
    for (uint16_t more = 0; more < 3; more++) {
        uint16_t attest = MONATT_QUOTE_ATTEST_MAXIMUM + (more == 1);
        uint16_t signature = MONATT_QUOTE_SIGNATURE_MAXIMUM + (more == 2);
        monatt_writer_init(&w, bytes, sizeof(bytes));
        monatt_writer_u16_be(&w, 11);
        monatt_writer_u16_be(&w, attest);
        monatt_writer_bytes(&w, buffer, attest);
        monatt_writer_u16_be(&w, signature);
        monatt_writer_bytes(&w, buffer, signature);
        monatt_writer_bytes(&w, quote.values, sizeof(quote.values));
        monatt_writer_u64_be(&w, 3);
        monatt_writer_u64_be(&w, 4);
        err = (MonattError){0};
        g_assert_cmpint(monatt_device_quote_decode(bytes, w.size, &got, &err), ==, more == 0);
        g_assert_cmpint(err.code, ==, more == 0 ? MONATT_ERROR_NONE : MONATT_ERROR_FORMAT);
    }
}

typedef struct Peer {
    int fd;
    uint16_t type; /* of the answer; 0: the request's with MONATT_CONTROL_ANSWER */
    const void *bytes;
    size_t size;
    size_t fd_count;
    unsigned events; /* sent before */
} Peer;

static gpointer answer(gpointer argument)
{
    static MonattControlMessage request;
    Peer *peer = argument;
    MonattError err = {0};
    g_assert_true(monatt_control_receive(peer->fd, 5000, &request, &err));
    for (unsigned i = 0; i < peer->events; i++) {
        g_assert_true(monatt_control_send(peer->fd, MONATT_CONTROL_EVENT, 0, "0123456789", 10, NULL,
                                          0, &err));
    }
    uint16_t type = peer->type ? peer->type : request.type | MONATT_CONTROL_ANSWER;
    (void)!monatt_control_send(peer->fd, type, request.id, peer->bytes, peer->size, &peer->fd,
                               peer->fd_count, &err);
    return NULL;
}

static MonattErrorCode hold(Peer peer, uint64_t *ret_records, MonattError *err)
{
    int pair[2];
    uint64_t bytes;
    pair_of(pair);
    peer.fd = pair[1];
    *err = (MonattError){0};
    GThread *thread = g_thread_new("peer", answer, &peer);
    bool done = monatt_device_hold(pair[0], 5, ret_records, &bytes, err);
    g_assert_cmpint(done, ==, err->code == MONATT_ERROR_NONE);
    g_thread_join(thread);
    close(pair[0]);
    close(pair[1]);
    return err->code;
}

static void test_calls(void)
{
    static const uint8_t good[17] = {0, 0, 0, 0, 0, 0, 0, 5};
    static const uint8_t refusal[] = "\0\7\0\4busy\0\4wait";
    MonattError err;
    uint64_t records = 9;
    g_assert_cmpint(hold((Peer){.bytes = good, .size = 15}, &records, &err), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpint(hold((Peer){.bytes = good, .size = 17}, &records, &err), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpint(hold((Peer){.bytes = good, .size = 16, .fd_count = 1}, &records, &err), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpint(hold((Peer){.bytes = good, .size = 16, .type = 0x8002}, &records, &err), ==,
                    MONATT_ERROR_FORMAT);
    g_assert_cmpuint(records, ==, 9);
    Peer busy = {.type = MONATT_CONTROL_ERROR, .bytes = refusal, .size = sizeof(refusal) - 1};
    g_assert_cmpint(hold(busy, &records, &err), ==, MONATT_ERROR_BUSY);
    g_assert_cmpstr(err.message, ==, "busy");
    g_assert_cmpstr(err.hint, ==, "wait");
    busy.size--;
    g_assert_cmpint(hold(busy, &records, &err), ==, MONATT_ERROR_FORMAT);
    g_assert_cmpint(hold((Peer){.bytes = good, .size = 16, .events = 20}, &records, &err), ==,
                    MONATT_ERROR_NONE);
    g_assert_cmpuint(records, ==, 5);
}

/* What a device that was slow answers to an earlier call is no answer to this one, of the same
 * type or not. */
static void test_late_answers(void)
{
    static MonattControlMessage packet;
    static const uint8_t old[16] = {0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t new[16] = {0, 0, 0, 0, 0, 0, 0, 2};
    uint64_t records;
    uint64_t bytes;
    int pair[2];
    pair_of(pair);
    for (unsigned i = 0; i < 4; i++) { /* three calls each: every second id comes first once */
        MonattError err = {0};
        g_assert_false(
            monatt_control_call(pair[0], MONATT_CONTROL_HOLD, NULL, 0, 1, &packet, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
        err = (MonattError){0};
        g_assert_true(monatt_control_receive(pair[1], 5000, &packet, &err));
        g_assert_true(monatt_control_send(pair[1], MONATT_CONTROL_HOLD | MONATT_CONTROL_ANSWER,
                                          packet.id, old, sizeof(old), NULL, 0, &err));
        Peer peer = {.fd = pair[1], .bytes = new, .size = sizeof(new)};
        GThread *thread = g_thread_new("peer", answer, &peer);
        g_assert_true(monatt_device_hold(pair[0], 5, &records, &bytes, &err));
        g_thread_join(thread);
        g_assert_cmpuint(records, ==, 2);
        thread = g_thread_new("peer", answer, &peer);
        g_assert_true(monatt_device_hold(pair[0], 5, &records, &bytes, &err));
        g_thread_join(thread);
    }
    close(pair[0]);
    close(pair[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control/packet", test_packet);
    g_test_add_func("/control/refuses-packets", test_refuses_packets);
    g_test_add_func("/control/socket-paths", test_socket_paths);
    g_test_add_func("/control/status", test_status);
    g_test_add_func("/control/attach-request", test_attach_request);
    g_test_add_func("/control/attach-answer", test_attach_answer);
    g_test_add_func("/control/quote", test_quote);
    g_test_add_func("/control/calls", test_calls);
    g_test_add_func("/control/late-answers", test_late_answers);
    return g_test_run();
}
