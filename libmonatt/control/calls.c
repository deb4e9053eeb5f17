/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calls.c - the collector's requests to a VM's device
 *
 * The device is trusted as far as its quote shows; a broken answer must not hurt the collector,
 * so every answer is read through the reader and its descriptors are counted.
 */
#include "libmonatt/control/control.h"

#include <string.h>

#define CALL_TIMEOUT_MS 10000 /* a loaded host may not schedule swtpm for seconds (case D03) */

static bool check_descriptors(uint16_t type, size_t fd_count, MonattControlMessage *ret_answer,
                              MonattError *err)
{
    if (ret_answer->fd_count != fd_count) {
        size_t got = ret_answer->fd_count;
        monatt_control_message_clear(ret_answer);
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "device answer: type %u: %zu descriptors, %zu expected", type, got,
                                fd_count);
    }
    return true;
}

static bool call(int fd, uint16_t type, const void *payload, size_t size, size_t fd_count,
                 MonattControlMessage *ret_answer, MonattError *err)
{
    return monatt_control_call(fd, type, payload, size, CALL_TIMEOUT_MS, ret_answer, err) &&
           check_descriptors(type, fd_count, ret_answer, err);
}

/* The answer's only descriptor, now the caller's. */
static int take_fd(MonattControlMessage *answer)
{
    int fd = answer->fds[0];
    answer->fds[0] = -1;
    return fd;
}

bool monatt_device_status(int fd, MonattDeviceStatus *ret, MonattError *err)
{
    MonattControlMessage answer;
    return call(fd, MONATT_CONTROL_STATUS, NULL, 0, 0, &answer, err) &&
           monatt_device_status_decode(answer.payload, answer.payload_size, ret, err);
}

bool monatt_device_registers(int fd, MonattRegisterValue ret[MONATT_REGISTER_COUNT],
                             MonattError *err)
{
    MonattControlMessage answer;
    MonattReader r;
    if (!call(fd, MONATT_CONTROL_REGISTERS, NULL, 0, 0, &answer, err)) {
        return false;
    }
    monatt_reader_init(&r, "device registers", answer.payload, answer.payload_size, err);
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        if (!monatt_reader_copy(&r, ret[i].sha256, sizeof(ret[i].sha256)) ||
            !monatt_reader_copy(&r, ret[i].sha384, sizeof(ret[i].sha384)) ||
            !monatt_reader_u64_be(&r, &ret[i].extends) ||
            !monatt_reader_u64_be(&r, &ret[i].synced)) {
            return false;
        }
    }
    return monatt_reader_finish(&r);
}

bool monatt_device_extend(int fd, uint8_t index, const void *record, size_t size,
                          uint64_t *ret_record_number, MonattError *err)
{
    uint8_t request[1 + MONATT_CONTENT_MAXIMUM];
    MonattControlMessage answer;
    MonattReader r;
    if (size > MONATT_CONTENT_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "extend: MR%u: record of %zu bytes", index,
                                size);
    }
    request[0] = index;
    memcpy(request + 1, record, size);
    if (!call(fd, MONATT_CONTROL_EXTEND, request, size + 1, 0, &answer, err)) {
        return false;
    }
    uint64_t number;
    monatt_reader_init(&r, "extend answer", answer.payload, answer.payload_size, err);
    if (!monatt_reader_u64_be(&r, &number) || !monatt_reader_finish(&r)) {
        return false;
    }
    *ret_record_number = number;
    return true;
}

bool monatt_device_quote(int fd, uint16_t alg, const void *qualifying, size_t size,
                         MonattDeviceQuote *ret, MonattError *err)
{
    uint8_t request[4 + 64]; /* TPM2B_DATA of the largest hash is 64 bytes */
    MonattControlMessage answer;
    MonattWriter w;
    size_t length;
    monatt_writer_init(&w, request, sizeof(request));
    monatt_writer_u16_be(&w, alg);
    monatt_writer_u16_be(&w, (uint16_t)size);
    monatt_writer_bytes(&w, qualifying, size);
    if (!monatt_writer_finish(&w, "quote request", &length, err) ||
        !call(fd, MONATT_CONTROL_QUOTE, request, length, 0, &answer, err)) {
        return false;
    }
    if (!monatt_device_quote_decode(answer.payload, answer.payload_size, ret, err)) {
        return false;
    }
    if (ret->alg != alg) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "device quote: bank %#x, %#x asked",
                                ret->alg, alg);
    }
    return true;
}

bool monatt_device_hold(int fd, uint32_t timeout_ms, uint64_t *ret_records, uint64_t *ret_bytes,
                        MonattError *err)
{
    uint8_t request[4];
    uint64_t records;
    uint64_t bytes;
    MonattControlMessage answer;
    MonattReader r;
    MonattWriter w;
    monatt_writer_init(&w, request, sizeof(request));
    monatt_writer_u32_be(&w, timeout_ms);
    if (!call(fd, MONATT_CONTROL_HOLD, request, sizeof(request), 0, &answer, err)) {
        return false;
    }
    monatt_reader_init(&r, "device hold", answer.payload, answer.payload_size, err);
    if (!monatt_reader_u64_be(&r, &records) || !monatt_reader_u64_be(&r, &bytes) ||
        !monatt_reader_finish(&r)) {
        return false;
    }
    *ret_records = records;
    *ret_bytes = bytes;
    return true;
}

static bool read_public(MonattReader *r, uint8_t ret[MONATT_PUBLIC_MAXIMUM], size_t *ret_size)
{
    uint16_t length;
    const uint8_t *bytes;
    if (!monatt_reader_sized_u16_be(r, MONATT_PUBLIC_MAXIMUM, &bytes, &length)) {
        return false;
    }
    memcpy(ret, bytes, length);
    *ret_size = length;
    return true;
}

bool monatt_device_keys(int fd, uint16_t alg, uint8_t ret_ek[MONATT_PUBLIC_MAXIMUM],
                        size_t *ret_ek_size, uint8_t ret_ak[MONATT_PUBLIC_MAXIMUM],
                        size_t *ret_ak_size, MonattError *err)
{
    uint8_t request[2] = {(uint8_t)(alg >> 8), (uint8_t)alg};
    MonattControlMessage answer;
    MonattReader r;
    if (!call(fd, MONATT_CONTROL_KEYS, request, sizeof(request), 0, &answer, err)) {
        return false;
    }
    monatt_reader_init(&r, "device keys", answer.payload, answer.payload_size, err);
    return read_public(&r, ret_ek, ret_ek_size) && read_public(&r, ret_ak, ret_ak_size) &&
           monatt_reader_finish(&r);
}

bool monatt_device_log(int fd, int *ret_log_fd, uint64_t *ret_bytes, uint64_t *ret_records,
                       MonattError *err)
{
    MonattControlMessage answer;
    MonattReader r;
    if (!call(fd, MONATT_CONTROL_LOG, NULL, 0, 1, &answer, err)) {
        return false;
    }
    uint64_t bytes;
    uint64_t records;
    monatt_reader_init(&r, "device log", answer.payload, answer.payload_size, err);
    bool ok = monatt_reader_u64_be(&r, &bytes) && monatt_reader_u64_be(&r, &records) &&
              monatt_reader_finish(&r);
    if (ok) {
        *ret_bytes = bytes;
        *ret_records = records;
        *ret_log_fd = take_fd(&answer);
    }
    monatt_control_message_clear(&answer);
    return ok;
}

bool monatt_device_ram(int fd, MonattRamRegion ret[MONATT_RAM_REGIONS_MAXIMUM],
                       int ret_fds[MONATT_RAM_REGIONS_MAXIMUM], size_t *ret_count, MonattError *err)
{
    MonattControlMessage answer;
    MonattReader r;
    uint32_t count = 0;
    if (!monatt_control_call(fd, MONATT_CONTROL_RAM, NULL, 0, CALL_TIMEOUT_MS, &answer, err)) {
        return false;
    }
    monatt_reader_init(&r, "device RAM", answer.payload, answer.payload_size, err);
    bool ok = monatt_reader_count(&r, MONATT_RAM_REGIONS_MAXIMUM, &count);
    for (uint32_t i = 0; ok && i < count; i++) {
        ok = monatt_reader_u64_be(&r, &ret[i].guest_physical) &&
             monatt_reader_u64_be(&r, &ret[i].size) && monatt_reader_u64_be(&r, &ret[i].offset);
    }
    ok = ok && monatt_reader_finish(&r);
    if (ok && answer.fd_count != count) {
        ok = monatt_error_set(err, MONATT_ERROR_FORMAT, "device RAM: %u regions, %zu descriptors",
                              count, answer.fd_count);
    }
    if (ok) {
        for (uint32_t i = 0; i < count; i++) {
            ret_fds[i] = answer.fds[i];
            answer.fds[i] = -1;
        }
        *ret_count = count;
    }
    monatt_control_message_clear(&answer);
    return ok;
}

static bool fd_and_size(int fd, uint16_t type, const char *name, int *ret_fd, uint64_t *ret_size,
                        MonattError *err)
{
    MonattControlMessage answer;
    MonattReader r;
    if (!call(fd, type, NULL, 0, 1, &answer, err)) {
        return false;
    }
    uint64_t size;
    monatt_reader_init(&r, name, answer.payload, answer.payload_size, err);
    bool ok = monatt_reader_u64_be(&r, &size) && monatt_reader_finish(&r);
    if (ok) {
        *ret_size = size;
        *ret_fd = take_fd(&answer);
    }
    monatt_control_message_clear(&answer);
    return ok;
}

bool monatt_device_ring(int fd, int *ret_ring_fd, uint64_t *ret_size, MonattError *err)
{
    return fd_and_size(fd, MONATT_CONTROL_RING, "device ring", ret_ring_fd, ret_size, err);
}

bool monatt_device_kernel(int fd, int *ret_fd, uint64_t *ret_size, MonattError *err)
{
    return fd_and_size(fd, MONATT_CONTROL_KERNEL, "device kernel", ret_fd, ret_size, err);
}

bool monatt_device_boot_items(int fd, MonattBootItemPayload ret[MONATT_BOOT_ITEMS_MAXIMUM],
                              size_t *ret_count, MonattError *err)
{
    MonattControlMessage answer;
    MonattReader r;
    uint32_t count;
    if (!call(fd, MONATT_CONTROL_BOOT_ITEMS, NULL, 0, 0, &answer, err)) {
        return false;
    }
    monatt_reader_init(&r, "device boot items", answer.payload, answer.payload_size, err);
    if (!monatt_reader_count(&r, MONATT_BOOT_ITEMS_MAXIMUM, &count) ||
        !monatt_boot_items_decode(&r, ret, count) || !monatt_reader_finish(&r)) {
        return false;
    }
    *ret_count = count;
    return true;
}

bool monatt_device_set_nonce(int fd, const uint8_t nonce[MONATT_NONCE_SIZE], MonattError *err)
{
    MonattControlMessage answer;
    return call(fd, MONATT_CONTROL_SET_NONCE, nonce, MONATT_NONCE_SIZE, 0, &answer, err);
}

bool monatt_device_guest_list(int fd, int *ret_fd, size_t *ret_size, MonattError *err)
{
    uint64_t size;
    int list;
    if (!fd_and_size(fd, MONATT_CONTROL_GUEST_LIST, "guest list", &list, &size, err)) {
        return false;
    }
    if (size > MONATT_GUEST_LIST_MAXIMUM) {
        monatt_close_pointer(&list);
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "guest list: %llu bytes",
                                (unsigned long long)size);
    }
    *ret_fd = list;
    *ret_size = (size_t)size;
    return true;
}

bool monatt_device_report_question(int fd, uint32_t *ret_number,
                                   uint8_t ret_inblob[MONATT_INBLOB_MAXIMUM], size_t *ret_size,
                                   MonattError *err)
{
    MonattControlMessage answer;
    MonattReader r;
    uint32_t number;
    const uint8_t *inblob;
    if (!call(fd, MONATT_CONTROL_REPORT_QUESTION, NULL, 0, 0, &answer, err)) {
        return false;
    }
    monatt_reader_init(&r, "report question", answer.payload, answer.payload_size, err);
    if (!monatt_reader_u32_be(&r, &number)) {
        return false;
    }
    size_t size = monatt_reader_left(&r);
    if (size < 1 || size > MONATT_INBLOB_MAXIMUM) {
        return monatt_reader_fail(&r, "inblob of %zu bytes", size);
    }
    if (!monatt_reader_bytes(&r, size, &inblob)) {
        return false;
    }
    memcpy(ret_inblob, inblob, size);
    *ret_number = number;
    *ret_size = size;
    return true;
}

bool monatt_device_report_answer(int fd, uint32_t number, uint32_t refusal, int evidence_fd,
                                 MonattError *err)
{
    uint8_t request[8];
    MonattControlMessage answer;
    MonattWriter w;
    monatt_writer_init(&w, request, sizeof(request));
    monatt_writer_u32_be(&w, number);
    monatt_writer_u32_be(&w, refusal);
    return monatt_control_call_with(fd, MONATT_CONTROL_REPORT_ANSWER, request, sizeof(request),
                                    &evidence_fd, refusal == 0 ? 1 : 0, CALL_TIMEOUT_MS, &answer,
                                    err) &&
           check_descriptors(MONATT_CONTROL_REPORT_ANSWER, 0, &answer, err);
}

bool monatt_device_vcpus(int fd, uint32_t *ret_qemu_pid, uint32_t ret_threads[MONATT_VCPUS_MAXIMUM],
                         size_t *ret_count, MonattError *err)
{
    MonattControlMessage answer;
    MonattReader r;
    uint32_t qemu_pid;
    uint32_t count;
    if (!call(fd, MONATT_CONTROL_VCPUS, NULL, 0, 0, &answer, err)) {
        return false;
    }
    monatt_reader_init(&r, "device vCPUs", answer.payload, answer.payload_size, err);
    if (!monatt_reader_u32_be(&r, &qemu_pid) ||
        !monatt_reader_count(&r, MONATT_VCPUS_MAXIMUM, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!monatt_reader_u32_be(&r, &ret_threads[i])) {
            return false;
        }
    }
    if (!monatt_reader_finish(&r)) {
        return false;
    }
    *ret_qemu_pid = qemu_pid;
    *ret_count = count;
    return true;
}

bool monatt_device_vcpu_registers(int fd, MonattVcpuRegisters ret[MONATT_VCPUS_MAXIMUM],
                                  size_t *ret_count, MonattError *err)
{
    MonattControlMessage answer;
    MonattReader r;
    size_t count;
    if (!call(fd, MONATT_CONTROL_VCPU_REGISTERS, NULL, 0, 0, &answer, err)) {
        return false;
    }
    monatt_reader_init(&r, "device vCPU registers", answer.payload, answer.payload_size, err);
    if (!monatt_vcpu_registers_decode(&r, ret, &count) || !monatt_reader_finish(&r)) {
        return false;
    }
    *ret_count = count;
    return true;
}
