/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-pci-config.c - identity, BAR sizing, and that read-only bytes stay
 */
#include <glib.h>
#include <string.h>
#include "hw-attest/pci-config.h"
#include "hw-attest/register-map.h"

static PciConfig config;

static void test_identity(void)
{
    pci_config_init(&config);
    g_assert_cmphex(pci_config_read(&config, 0, 2), ==, MONATT_PCI_VENDOR);
    g_assert_cmphex(pci_config_read(&config, 2, 2), ==, MONATT_PCI_DEVICE);
    g_assert_cmphex(pci_config_read(&config, 8, 4), ==, MONATT_PCI_CLASS << 8 | MONATT_MAP_VERSION);
    g_assert_cmphex(pci_config_read(&config, 0x0e, 1), ==, 0);
    g_assert_cmphex(pci_config_read(&config, 0x3d, 1), ==, 0); /* no interrupt pin */
    g_assert_cmphex(pci_config_read(&config, 0x34, 1), ==, 0); /* no capabilities */
}

static void test_sizing(void)
{
    pci_config_init(&config);
    pci_config_write(&config, 0x10, UINT32_MAX, 4);
    pci_config_write(&config, 0x18, UINT32_MAX, 4);
    g_assert_cmphex(pci_config_read(&config, 0x10, 4), ==, 0xfffff000u);
    g_assert_cmphex(pci_config_read(&config, 0x18, 4), ==, 0xfffff000u);
    for (uint32_t offset = 0x14; offset < 0x30; offset += 4) {
        if (offset != 0x18 && offset != 0x2c) {
            pci_config_write(&config, offset, UINT32_MAX, 4);
            g_assert_cmphex(pci_config_read(&config, offset, 4), ==, 0);
        }
    }
    pci_config_write(&config, 0x30, UINT32_MAX, 4);
    g_assert_cmphex(pci_config_read(&config, 0x30, 4), ==, 0); /* no expansion ROM */
}

/* All ones, each size, everywhere: only the bits a guest may set are set. */
static void test_read_only_bytes(void)
{
    PciConfig allowed;
    memset(&allowed, 0, sizeof(allowed));
    memset(allowed.bytes + 0x04, 0xff, 2);
    memset(allowed.bytes + 0x0c, 0xff, 2);
    memset(allowed.bytes + 0x10, 0xff, 4);
    memset(allowed.bytes + 0x18, 0xff, 4);
    allowed.bytes[0x3c] = 0xff;
    for (uint32_t size = 1; size <= 4; size *= 2) {
        PciConfig before;
        pci_config_init(&config);
        before = config;
        for (uint32_t address = 0; address < PCI_CONFIG_SIZE; address += size) {
            pci_config_write(&config, address, UINT32_MAX, size);
        }
        for (size_t i = 0; i < sizeof(config.bytes); i++) {
            g_assert_cmphex((config.bytes[i] ^ before.bytes[i]) & ~allowed.bytes[i], ==, 0);
        }
        g_assert_cmphex(pci_config_read(&config, 4, 2), ==, 0x0407);
    }
}

static void test_refuses_odd_accesses(void)
{
    static const struct {
        uint32_t address, size;
    } odd[] = {{0, 0}, {0, 3}, {0, 8}, {1, 2}, {2, 4}, {3, 2}, {0, UINT32_MAX}, {UINT32_MAX, 2}};
    pci_config_init(&config);
    PciConfig before = config;
    for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_assert_cmphex(pci_config_read(&config, odd[i].address, odd[i].size), ==, UINT32_MAX);
        pci_config_write(&config, odd[i].address, 0x12345678, odd[i].size);
    }
    /* Past the end of a conventional device's space: zeros, and nothing is written. */
    g_assert_cmphex(pci_config_read(&config, PCI_CONFIG_SIZE, 4), ==, 0);
    pci_config_write(&config, PCI_CONFIG_SIZE, UINT32_MAX, 4);
    pci_config_write(&config, 0xfffffffcu, UINT32_MAX, 4);
    g_assert_cmpmem(&config, sizeof(config), &before, sizeof(before));
}

static void test_find_bar(void)
{
    unsigned bar = 9;
    uint32_t offset = 9;
    pci_config_init(&config);
    /* BARs that the firmware has not set are nowhere. */
    g_assert_false(pci_config_find_bar(&config, 0, &bar, &offset));
    g_assert_false(pci_config_find_bar(&config, 0x10, &bar, &offset));
    pci_config_write(&config, 0x10, 0xfe000000u, 4);
    pci_config_write(&config, 0x18, 0xfffff000u, 4);
    g_assert_true(pci_config_find_bar(&config, 0xfe000ffcu, &bar, &offset));
    g_assert_cmpuint(bar, ==, 0);
    g_assert_cmphex(offset, ==, 0xffc);
    g_assert_true(pci_config_find_bar(&config, 0xffffffffu, &bar, &offset));
    g_assert_cmpuint(bar, ==, 2);
    g_assert_cmphex(offset, ==, 0xfff);
    g_assert_false(pci_config_find_bar(&config, 0xfe001000u, &bar, &offset));
    g_assert_false(pci_config_find_bar(&config, 0xfdffffffu, &bar, &offset));
    g_assert_false(pci_config_find_bar(&config, UINT64_C(0x1fe000000), &bar, &offset));
    g_assert_false(pci_config_find_bar(&config, UINT64_MAX, &bar, &offset));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pci-config/identity", test_identity);
    g_test_add_func("/pci-config/sizing", test_sizing);
    g_test_add_func("/pci-config/refuses-read-only-bytes", test_read_only_bytes);
    g_test_add_func("/pci-config/refuses-odd-accesses", test_refuses_odd_accesses);
    g_test_add_func("/pci-config/find-bar", test_find_bar);
    return g_test_run();
}
