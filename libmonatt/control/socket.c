/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket.c - one packet of attach.sock or control.sock, with its descriptors
 *
 * A packet that was cut, in bytes or in descriptors, is refused whole and every descriptor that
 * came with it is closed: a message that means something else than its sender wrote must never
 * be acted on.  Allocates nothing.
 */
#include "libmonatt/control/control.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAGIC "MCT1"
#define HEADER_SIZE 8
#define BACKLOG 16 /* launchers and collectors of one host; more wait in connect */

static bool address_of(const char *path, struct sockaddr_un *ret_address, MonattError *err)
{
    size_t length = strlen(path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (length >= sizeof(address.sun_path)) {
        monatt_error_set(err, MONATT_ERROR_LIMIT,
                         "socket: '%.120s': path has %zu bytes, a UNIX socket takes %zu", path,
                         length, sizeof(address.sun_path) - 1);
        return monatt_error_hint(err, "choose a shorter run folder with --run-dir");
    }
    memcpy(address.sun_path, path, length);
    *ret_address = address;
    return true;
}

/* A socket and the address of path; the descriptor, or -1 with the error set. */
static int open_socket(const char *path, struct sockaddr_un *ret_address, MonattError *err)
{
    if (!address_of(path, ret_address, err)) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        monatt_error_set_errno(err, errno, "socket: '%s'", path);
    }
    return fd;
}

bool monatt_control_listen(const char *path, int *ret_fd, MonattError *err)
{
    struct sockaddr_un address;
    int fd MONATT_CLEANUP_CLOSE = open_socket(path, &address, err);
    if (fd < 0) {
        return false;
    }
    /* The inode's mode decides who may connect, so it must be right before it can be found. */
    if (fchmod(fd, 0600) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        return monatt_error_set_errno(err, errno, "listen: '%s'", path);
    }
    if (listen(fd, BACKLOG) != 0) {
        int saved = errno;
        unlink(path);
        return monatt_error_set_errno(err, saved, "listen: '%s'", path);
    }
    *ret_fd = fd;
    fd = -1;
    return true;
}

bool monatt_control_connect(const char *path, int *ret_fd, MonattError *err)
{
    struct sockaddr_un address;
    int fd MONATT_CLEANUP_CLOSE = open_socket(path, &address, err);
    if (fd < 0) {
        return false;
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        return monatt_error_set_errno(err, errno, "connect: '%s'", path);
    }
    *ret_fd = fd;
    fd = -1;
    return true;
}

bool monatt_control_send(int fd, uint16_t type, uint16_t id, const void *payload, size_t size,
                         const int *fds, size_t fd_count, MonattError *err)
{
    if (size > MONATT_CONTROL_MAXIMUM || fd_count > MONATT_CONTROL_FDS) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                "control message: type %u: %zu bytes and %zu descriptors", type,
                                size, fd_count);
    }
    uint8_t header[HEADER_SIZE];
    MonattWriter w;
    monatt_writer_init(&w, header, sizeof(header));
    monatt_writer_bytes(&w, MAGIC, 4);
    monatt_writer_u16_be(&w, type);
    monatt_writer_u16_be(&w, id);
    struct iovec parts[2] = {{header, sizeof(header)}, {(void *)payload, size}};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MONATT_CONTROL_FDS * sizeof(int))];
    } ancillary;
    memset(&ancillary, 0, sizeof(ancillary));
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = size > 0 ? 2 : 1};
    if (fd_count > 0) {
        message.msg_control = ancillary.bytes;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return monatt_error_set_errno(err, errno, "control message: type %u: send", type);
    }
    if ((size_t)sent != HEADER_SIZE + size) {
        return monatt_error_set(err, MONATT_ERROR_PEER, "control message: type %u: cut at %zd",
                                type, sent);
    }
    return true;
}

void monatt_control_message_clear(MonattControlMessage *message)
{
    for (size_t i = 0; i < message->fd_count; i++) {
        if (message->fds[i] >= 0) {
            close(message->fds[i]);
        }
        message->fds[i] = -1;
    }
    message->fd_count = 0;
    message->payload_size = 0;
    message->type = 0;
}

static void take_descriptors(struct msghdr *header, MonattControlMessage *message)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
            if (message->fd_count < MONATT_CONTROL_FDS) {
                message->fds[message->fd_count++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

bool monatt_control_receive(int fd, int timeout_ms, MonattControlMessage *message, MonattError *err)
{
    message->type = 0;
    message->id = 0;
    message->payload_size = 0;
    message->fd_count = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready;
    do {
        ready = poll(&wait, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready < 0) {
        return monatt_error_set_errno(err, errno, "control message: poll");
    }
    if (ready == 0) {
        return monatt_error_set(err, MONATT_ERROR_BUSY, "control message: no answer in %d ms",
                                timeout_ms);
    }
    uint8_t head[HEADER_SIZE];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MONATT_CONTROL_FDS * sizeof(int))];
    } ancillary;
    struct iovec parts[2] = {{head, sizeof(head)}, {message->payload, sizeof(message->payload)}};
    struct msghdr header = {.msg_iov = parts,
                            .msg_iovlen = 2,
                            .msg_control = ancillary.bytes,
                            .msg_controllen = sizeof(ancillary.bytes)};
    ssize_t received;
    do {
        received = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    } while (received < 0 && errno == EINTR);
    if (received < 0) {
        return monatt_error_set_errno(err, errno, "control message: receive");
    }
    take_descriptors(&header, message);
    if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        monatt_control_message_clear(message);
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "control message: more than %d bytes or %d descriptors",
                                MONATT_CONTROL_MAXIMUM, MONATT_CONTROL_FDS);
    }
    if (received == 0) {
        monatt_control_message_clear(message);
        return monatt_error_set(err, MONATT_ERROR_PEER, "control message: peer closed");
    }
    MonattReader r;
    const uint8_t *magic;
    monatt_reader_init(&r, "control message", head,
                       (size_t)received < sizeof(head) ? (size_t)received : sizeof(head), err);
    if (!monatt_reader_bytes(&r, 4, &magic) || !monatt_reader_u16_be(&r, &message->type) ||
        !monatt_reader_u16_be(&r, &message->id)) {
        monatt_control_message_clear(message);
        return false;
    }
    if (!monatt_bytes_equal(magic, MAGIC, 4)) {
        monatt_control_message_clear(message);
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "control message: not \"MCT1\"");
    }
    message->payload_size = (size_t)received - HEADER_SIZE;
    return true;
}

static bool refusal(const MonattControlMessage *answer, MonattError *err)
{
    MonattReader r;
    uint16_t code = 0;
    uint16_t length = 0;
    const uint8_t *text;
    char message[MONATT_ERROR_MESSAGE_SIZE] = "";
    char hint[MONATT_ERROR_HINT_SIZE] = "";
    monatt_reader_init(&r, "control refusal", answer->payload, answer->payload_size, err);
    if (!monatt_reader_u16_be(&r, &code) || !monatt_reader_u16_be(&r, &length) ||
        !monatt_reader_bytes(&r, length, &text)) {
        return false;
    }
    monatt_text_printable(text, length, message, sizeof(message));
    if (!monatt_reader_u16_be(&r, &length) || !monatt_reader_bytes(&r, length, &text) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    monatt_text_printable(text, length, hint, sizeof(hint));
    if (code == MONATT_ERROR_NONE || code >= MONATT_ERROR_COUNT) {
        code = MONATT_ERROR_PEER;
    }
    monatt_error_set(err, (MonattErrorCode)code, "%s", message);
    return hint[0] ? monatt_error_hint(err, "%s", hint) : false;
}

size_t monatt_control_refusal_encode(const MonattError *err, uint8_t *buffer, size_t capacity)
{
    MonattWriter w;
    monatt_writer_init(&w, buffer, capacity);
    monatt_writer_u16_be(&w, (uint16_t)err->code);
    monatt_writer_u16_be(&w, (uint16_t)strlen(err->message));
    monatt_writer_bytes(&w, err->message, strlen(err->message));
    monatt_writer_u16_be(&w, (uint16_t)strlen(err->hint));
    monatt_writer_bytes(&w, err->hint, strlen(err->hint));
    return w.size;
}

bool monatt_control_call(int fd, uint16_t type, const void *payload, size_t size, int timeout_ms,
                         MonattControlMessage *ret_answer, MonattError *err)
{
    return monatt_control_call_with(fd, type, payload, size, NULL, 0, timeout_ms, ret_answer, err);
}

bool monatt_control_call_with(int fd, uint16_t type, const void *payload, size_t size,
                              const int *fds, size_t fd_count, int timeout_ms,
                              MonattControlMessage *ret_answer, MonattError *err)
{
    /* Only so that an answer that came after its time-out is not taken for the next one: no two
     * calls in a row may share an id.  Always odd, so that it is never an event's 0. */
    static _Atomic uint16_t counter = 1;
    uint16_t id = atomic_fetch_add(&counter, 2);
    if (!monatt_control_send(fd, type, id, payload, size, fds, fd_count, err)) {
        return false;
    }
    /* Late answers and events before ours: bounded, a peer must not keep us here. */
    for (int skipped = 0; skipped < 64; skipped++) {
        if (!monatt_control_receive(fd, timeout_ms, ret_answer, err)) {
            return false;
        }
        if (ret_answer->id != id) {
            monatt_control_message_clear(ret_answer);
            continue;
        }
        if (ret_answer->type == (type | MONATT_CONTROL_ANSWER)) {
            return true;
        }
        if (ret_answer->type == MONATT_CONTROL_ERROR) {
            refusal(ret_answer, err);
            monatt_control_message_clear(ret_answer);
            return false;
        }
        unsigned got = ret_answer->type;
        monatt_control_message_clear(ret_answer);
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "control message: answer of type %u to a request of type %u", got,
                                type);
    }
    return monatt_error_set(err, MONATT_ERROR_PEER, "control message: no answer among 64 messages");
}
