/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest-bench.c - extends and reads of the attest device against those of a guest's TPM, in a guest
 *
 *   guest-bench ROUNDS PER-ROUND
 *
 * Prints a line "extend OURS PEER" and a line "read OURS PEER" a round, mean microseconds of each
 * operation; ours and the peer's alternate, so that a slow machine slows both.  Ours is all that a
 * program does: digests of both banks into the window, register, size, command, and the answer;
 * the peer is TPM2_PCR_Extend and TPM2_PCR_Read of both banks through /dev/tpm0.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "guest/pci-device.h"
#include "guest/registers-access.h"
#include "libmonatt/base/log.h"
#include "libmonatt/base/writer.h"

#define REGISTER 8
#define RESPONSE_SIZE 4096
#define TPM_RC_SUCCESS 0

static double now_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void die(const MonattError *err)
{
    monatt_log_failure(err);
    exit(1);
}

/* TPM 2.0 Part 3, 22.2: TPM2_PCR_Extend of both banks, empty password. */
static size_t make_extend(uint8_t *command, size_t capacity)
{
    static const uint8_t digest[MONATT_SHA384_SIZE] = {1};
    MonattWriter w;
    monatt_writer_init(&w, command, capacity);
    monatt_writer_u16_be(&w, 0x8002);
    monatt_writer_u32_be(&w, 0);
    monatt_writer_u32_be(&w, 0x182);
    monatt_writer_u32_be(&w, REGISTER);
    monatt_writer_u32_be(&w, 9);
    monatt_writer_u32_be(&w, 0x40000009);
    monatt_writer_u16_be(&w, 0);
    monatt_writer_u8(&w, 0);
    monatt_writer_u16_be(&w, 0);
    monatt_writer_u32_be(&w, 2);
    monatt_writer_u16_be(&w, MONATT_ALG_SHA256);
    monatt_writer_bytes(&w, digest, MONATT_SHA256_SIZE);
    monatt_writer_u16_be(&w, MONATT_ALG_SHA384);
    monatt_writer_bytes(&w, digest, MONATT_SHA384_SIZE);
    monatt_writer_patch_u32_be(&w, 2, (uint32_t)w.size);
    return w.size;
}

/* TPM 2.0 Part 3, 22.4: TPM2_PCR_Read of one PCR in both banks. */
static size_t make_read(uint8_t *command, size_t capacity)
{
    static const uint16_t banks[] = {MONATT_ALG_SHA256, MONATT_ALG_SHA384};
    MonattWriter w;
    monatt_writer_init(&w, command, capacity);
    monatt_writer_u16_be(&w, 0x8001);
    monatt_writer_u32_be(&w, 0);
    monatt_writer_u32_be(&w, 0x17e);
    monatt_writer_u32_be(&w, 2);
    for (int i = 0; i < 2; i++) {
        monatt_writer_u16_be(&w, banks[i]);
        monatt_writer_u8(&w, 3);
        monatt_writer_u8(&w, REGISTER < 8 ? 1 << REGISTER : 0);
        monatt_writer_u8(&w, REGISTER >= 8 && REGISTER < 16 ? 1 << (REGISTER - 8) : 0);
        monatt_writer_u8(&w, 0);
    }
    monatt_writer_patch_u32_be(&w, 2, (uint32_t)w.size);
    return w.size;
}

static void ask_tpm(int fd, const uint8_t *command, size_t size)
{
    uint8_t response[RESPONSE_SIZE];
    if (write(fd, command, size) != (ssize_t)size) {
        perror("/dev/tpm0: write");
        exit(1);
    }
    ssize_t got = read(fd, response, sizeof(response));
    if (got < 10 || (response[6] | response[7] | response[8] | response[9]) != TPM_RC_SUCCESS) {
        fprintf(stderr, "/dev/tpm0: response of %zd bytes, code %02x%02x\n", got, response[8],
                response[9]);
        exit(1);
    }
}

static double tpm_us(int fd, const uint8_t *command, size_t size, unsigned long count)
{
    double begin = now_us();
    for (unsigned long i = 0; i < count; i++) {
        ask_tpm(fd, command, size);
    }
    return (now_us() - begin) / (double)count;
}

static double extend_us(PciDevice *device, unsigned long count)
{
    static const uint8_t digest[MONATT_SHA384_SIZE] = {1};
    MonattError err = {0};
    double begin = now_us();
    for (unsigned long i = 0; i < count; i++) {
        if (!registers_access_extend(device, REGISTER, digest, digest, NULL, 0, &err)) {
            die(&err);
        }
    }
    return (now_us() - begin) / (double)count;
}

static double read_us(PciDevice *device, unsigned long count)
{
    RegistersValue value;
    MonattError err = {0};
    double begin = now_us();
    for (unsigned long i = 0; i < count; i++) {
        if (!registers_access_read(device, REGISTER, &value, &err)) {
            die(&err);
        }
    }
    return (now_us() - begin) / (double)count;
}

int main(int argc, char **argv)
{
    uint8_t extend[256];
    uint8_t read_command[64];
    PciDevice device;
    MonattError err = {0};
    monatt_log_init("guest-bench");
    if (argc != 3) {
        fprintf(stderr, "usage: guest-bench ROUNDS PER-ROUND\n");
        return 2;
    }
    unsigned long rounds = strtoul(argv[1], NULL, 10);
    unsigned long count = strtoul(argv[2], NULL, 10);
    int tpm = open("/dev/tpm0", O_RDWR | O_CLOEXEC);
    if (tpm < 0) {
        perror("/dev/tpm0");
        return 1;
    }
    if (!pci_device_open(&device, "/sys", &err)) {
        die(&err);
    }
    size_t extend_size = make_extend(extend, sizeof(extend));
    size_t read_size = make_read(read_command, sizeof(read_command));
    for (unsigned long i = 0; i < rounds; i++) {
        double ours = extend_us(&device, count);
        printf("extend %.2f %.2f\n", ours, tpm_us(tpm, extend, extend_size, count));
        ours = read_us(&device, count);
        printf("read %.2f %.2f\n", ours, tpm_us(tpm, read_command, read_size, count));
    }
    pci_device_close(&device);
    return 0;
}
