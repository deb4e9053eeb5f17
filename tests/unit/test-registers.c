/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-registers.c - extends by the TPM's rule, and who may extend which register
 */
#include <glib.h>
#include <openssl/evp.h>
#include <string.h>
#include "hw-attest/registers.h"

static Registers registers;
static const uint8_t digest[MONATT_SHA384_SIZE] = {1, 2, 3};

static void hash(const EVP_MD *md, const void *bytes, size_t size, uint8_t *ret)
{
    g_assert_cmpint(EVP_Digest(bytes, size, ret, NULL, md, NULL), ==, 1);
}

static void test_start_values(void)
{
    uint8_t ones[MONATT_SHA384_SIZE];
    uint8_t zeros[MONATT_SHA384_SIZE] = {0};
    memset(ones, 0xff, sizeof(ones));
    registers_init(&registers);
    for (uint32_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        const uint8_t *start = i >= 17 && i <= 22 ? ones : zeros;
        g_assert_cmpmem(registers.mr[i].sha256, 32, start, 32);
        g_assert_cmpmem(registers.mr[i].sha384, 48, start, 48);
        g_assert_cmpuint(registers.mr[i].extends, ==, 0);
    }
}

static void test_extends_both_banks(void)
{
    MonattError err = {0};
    uint8_t input[96] = {0};
    uint8_t want[48];
    registers_init(&registers);
    g_assert_true(registers_extend(&registers, 3, REGISTERS_GUEST, digest, digest, &err));
    memcpy(input + 32, digest, 32);
    hash(EVP_sha256(), input, 64, want);
    g_assert_cmpmem(registers.mr[3].sha256, 32, want, 32);
    memset(input, 0, sizeof(input));
    memcpy(input + 48, digest, 48);
    hash(EVP_sha384(), input, 96, want);
    g_assert_cmpmem(registers.mr[3].sha384, 48, want, 48);
    g_assert_cmpuint(registers.mr[3].extends, ==, 1);
}

static void test_leaves_other_bank_alone(void)
{
    MonattError err = {0};
    Register before;
    registers_init(&registers);
    before = registers.mr[5];
    g_assert_true(registers_extend(&registers, 5, REGISTERS_GUEST, NULL, digest, &err));
    g_assert_cmpmem(registers.mr[5].sha256, 32, before.sha256, 32);
    g_assert_cmpint(memcmp(registers.mr[5].sha384, before.sha384, 48), !=, 0);
}

/* All 24 registers times both parties: exactly the TPM's locality rule. */
static void test_locality_rule(void)
{
    for (uint32_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        bool evidence = i >= 17 && i <= 22;
        for (int host = 0; host < 2; host++) {
            MonattError err = {0};
            Registers before;
            registers_init(&registers);
            before = registers;
            bool done = registers_extend(&registers, i, host ? REGISTERS_HOST : REGISTERS_GUEST,
                                         digest, digest, &err);
            g_assert_cmpint(done, ==, evidence == (host == 1));
            if (!done) {
                g_assert_cmpint(err.code, ==, MONATT_ERROR_PERMISSION);
                g_assert_cmpmem(&registers, sizeof(registers), &before, sizeof(before));
            }
        }
    }
}

static void test_refuses_no_such_register(void)
{
    static const uint32_t indices[] = {24, 25, 255, 256 + 3, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(indices); i++) {
        for (int host = 0; host < 2; host++) {
            MonattError err = {0};
            g_assert_false(registers_extend(&registers, indices[i],
                                            host ? REGISTERS_HOST : REGISTERS_GUEST, digest, digest,
                                            &err));
            g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
        }
        MonattError err = {0};
        g_assert_false(registers_reset(&registers, indices[i], &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_LIMIT);
    }
}

static void test_resets_16_and_23_only(void)
{
    uint8_t zeros[48] = {0};
    registers_init(&registers);
    for (uint32_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        MonattError err = {0};
        RegistersParty party = i >= 17 && i <= 22 ? REGISTERS_HOST : REGISTERS_GUEST;
        g_assert_true(registers_extend(&registers, i, party, digest, digest, &err));
        Register before = registers.mr[i];
        bool done = registers_reset(&registers, i, &err);
        g_assert_cmpint(done, ==, i == 16 || i == 23);
        if (done) {
            g_assert_cmpmem(registers.mr[i].sha256, 32, zeros, 32);
            g_assert_cmpmem(registers.mr[i].sha384, 48, zeros, 48);
            g_assert_cmpuint(registers.mr[i].extends, ==, 2);
        } else {
            g_assert_cmpint(err.code, ==, MONATT_ERROR_PERMISSION);
            g_assert_cmpmem(&registers.mr[i], sizeof(before), &before, sizeof(before));
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/registers/start-values", test_start_values);
    g_test_add_func("/registers/extends-both-banks", test_extends_both_banks);
    g_test_add_func("/registers/leaves-other-bank-alone", test_leaves_other_bank_alone);
    g_test_add_func("/registers/refuses-other-partys-registers", test_locality_rule);
    g_test_add_func("/registers/refuses-no-such-register", test_refuses_no_such_register);
    g_test_add_func("/registers/resets-16-and-23-only", test_resets_16_and_23_only);
    return g_test_run();
}
