/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz-control.c - packets to attach.sock and control.sock, and a broken device's answers
 *
 * First byte 0: packets (u8 connection, its high bit: with a sealed memfd, u16 size, bytes) go
 * through control_serve_one() with its handlers; a thread plays log and swtpm, and a guest waits
 * for a report.  Each packet gets one answer of a whole form or costs its connection, and no
 * descriptor stays but that of a report that was taken.  First byte 1: the payload decoders.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hw-attest/control.h"
#include "tests/fuzz/fuzz.h"

#define CONNECTIONS 3
#define PACKETS_MAXIMUM 64
#define WITH_DESCRIPTOR 0x80

static Device *device;
static Control control;
static TpmBackend tpm;
static int clients[CONNECTIONS];
static int evidence;

/* Log and swtpm at once: what was taken is written, synced as far as a hold lets it, quoted. */
static void *backend(void *argument)
{
    pthread_mutex_lock(&device->lock);
    for (;;) {
        Pipe *pipe = device->pipe;
        uint64_t logged = pipe->enqueued;
        bool work = pipe->logged != logged;
        if (hold_wants_log_end(&device->hold, pipe->logged, logged)) {
            device->hold.log_end = device->hold.position * 100;
        }
        pipe->logged = device->durable = logged;
        device->log_bytes = logged * 100;
        uint64_t limit = hold_limit(&device->hold, logged, device_now_ms());
        require(limit >= pipe->synced);
        pipe->synced = limit;
        if (device->quote.state == QUOTE_ASKED && pipe->synced >= device->quote.position) {
            require(pipe->synced == device->quote.position);
            device->quote.quote.alg = device->quote.alg;
            device->quote.state = QUOTE_DONE;
            work = true;
        }
        if (work) {
            pthread_cond_broadcast(&device->changed);
        }
        device_wait_until(device, device_now_ms() + 1);
    }
    return NULL;
}

static void start(void)
{
    pthread_t thread;
    device = device_new(NULL);
    require(device != NULL);
    memcpy(device->name, "fuzz", 5);
    device->log_fd = memfd_create("log", MFD_CLOEXEC);
    control_init(&control, -1, -1, &tpm);
    evidence = memfd_create("evidence", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    require(write(evidence, "evidence", 8) == 8);
    require(fcntl(evidence, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    require(pthread_create(&thread, NULL, backend, NULL) == 0);
    pthread_detach(thread);
}

static void connect_slot(size_t slot)
{
    int pair[2];
    require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    clients[slot] = pair[0];
    control.connections[slot].fd = pair[1];
    control.connections[slot].subscribed = false;
}

static void close_slot(size_t slot)
{
    pthread_mutex_lock(&device->lock);
    hold_end_of(&device->hold, slot);
    report_lost(&device->report, slot, 1, device_now_ms());
    pthread_mutex_unlock(&device->lock);
    close(clients[slot]);
    close(control.connections[slot].fd);
    control.connections[slot].fd = -1;
}

static bool send_bytes(size_t slot, const uint8_t *bytes, size_t size, bool descriptor)
{
    char ancillary[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor) {
        message.msg_control = ancillary;
        message.msg_controllen = sizeof(ancillary);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &evidence, sizeof(evidence));
    }
    return sendmsg(clients[slot], &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size;
}

static void send_packet(size_t slot, const uint8_t *bytes, size_t size, bool descriptor)
{
    static MonattControlMessage answer;
    MonattError err = {0};
    if (!send_bytes(slot, bytes, size, descriptor)) {
        return;
    }
    if (!control_serve_one(&control, device, slot)) {
        close_slot(slot);
        connect_slot(slot);
        return;
    }
    require(monatt_control_receive(clients[slot], 0, &answer, &err));
    require(answer.type == MONATT_CONTROL_ERROR || answer.type & MONATT_CONTROL_ANSWER);
    require(answer.type != MONATT_CONTROL_ERROR || answer.payload_size >= 6);
    monatt_control_message_clear(&answer);
    require(!monatt_control_receive(clients[slot], 0, &answer, &err));
}

/* The lowest free number tells how many descriptors are open, as long as none is left behind. */
static int lowest_free(void)
{
    int fd = dup(evidence);
    close(fd);
    return fd;
}

static void ask_report(void)
{
    uint32_t number;
    pthread_mutex_lock(&device->lock);
    report_init(&device->report, device_now_ms());
    require(report_begin(&device->report, (const uint8_t *)"inblob", 6, device_now_ms(), &number) ==
            MONATT_ERR_NONE);
    require(number == 1);
    pthread_mutex_unlock(&device->lock);
}

static void end_report(void)
{
    uint8_t bytes[16];
    size_t size;
    pthread_mutex_lock(&device->lock);
    if (device->report.state == MONATT_REPORT_READY) {
        require(report_read(&device->report, 0, bytes, sizeof(bytes), &size) == MONATT_ERR_NONE);
        require(size == 8 && memcmp(bytes, "evidence", 8) == 0);
    } else {
        require(device->report.fd < 0);
    }
    report_drop(&device->report);
    int old = report_take_old(&device->report);
    pthread_mutex_unlock(&device->lock);
    monatt_close_pointer(&old);
}

static void packets(const uint8_t *data, size_t size)
{
    MonattReader r;
    int free_before = lowest_free();
    ask_report();
    Registers before = device->registers;
    monatt_reader_init(&r, "input", data, size, NULL);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        connect_slot(i);
    }
    for (unsigned i = 0; i < PACKETS_MAXIMUM; i++) {
        uint8_t slot;
        uint16_t length;
        const uint8_t *bytes;
        if (!monatt_reader_u8(&r, &slot) || !monatt_reader_u16_be(&r, &length) || length == 0 ||
            !monatt_reader_bytes(&r, length, &bytes)) {
            break;
        }
        send_packet((slot & ~WITH_DESCRIPTOR) % CONNECTIONS, bytes, length, slot & WITH_DESCRIPTOR);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        close_slot(i);
    }
    end_report();
    require(lowest_free() == free_before);
    /* The collector extends MR17 to MR22 and nothing else. */
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        require((i >= MONATT_EVIDENCE_FIRST && i <= MONATT_EVIDENCE_LAST) ||
                memcmp(&before.mr[i], &device->registers.mr[i], sizeof(Register)) == 0);
    }
}

static void decoders(const uint8_t *data, size_t size)
{
    static MonattAttachRequest request;
    static MonattAttachAnswer answer;
    static MonattDeviceStatus status;
    static MonattDeviceQuote quote;
    static uint8_t again[MONATT_CONTROL_MAXIMUM * 2];
    MonattWriter w;
    monatt_writer_init(&w, again, sizeof(again));
    /* What is taken, is written again as it was. */
    if (monatt_attach_request_decode(data, size, &request, NULL)) {
        monatt_attach_request_encode(&w, &request);
        require(w.size == size && memcmp(again, data, size) == 0);
    }
    monatt_writer_init(&w, again, sizeof(again));
    if (monatt_attach_answer_decode(data, size, &answer, NULL)) {
        monatt_attach_answer_encode(&w, &answer);
        require(w.size == size && memcmp(again, data, size) == 0);
    }
    monatt_writer_init(&w, again, sizeof(again));
    if (monatt_device_status_decode(data, size, &status, NULL)) {
        monatt_device_status_encode(&w, &status);
        require(w.size == size && memcmp(again, data, size) == 0);
    }
    monatt_writer_init(&w, again, sizeof(again));
    if (monatt_device_quote_decode(data, size, &quote, NULL)) {
        monatt_device_quote_encode(&w, &quote);
        require(w.size == size && memcmp(again, data, size) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!device) {
        start();
    }
    if (size < 1 || size > MONATT_CONTROL_MAXIMUM) {
        return 0;
    }
    if (data[0] == 0) {
        packets(data + 1, size - 1);
    } else if (data[0] == 1) {
        decoders(data + 1, size - 1);
    }
    return 0;
}
