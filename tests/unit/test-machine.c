/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-machine.c - the VM that a command line describes: bus, slot, memory, vCPUs, name
 */
#include <glib.h>
#include "hw-attest/launcher/machine.h"
#include "hw-attest/launcher/memory.h"

static bool machine_of(const char *line, Machine *ret, MonattError *err)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    Arguments arguments;
    bool good = arguments_take_own((int)g_strv_length(words), words, &arguments, err) &&
                arguments_parse(&arguments, NULL, err) && machine_read(&arguments, ret, err);
    arguments_clear(&arguments);
    return good;
}

static void refuse(const char *line, MonattErrorCode code)
{
    Machine machine;
    MonattError err = {0};
    g_assert_false(machine_of(line, &machine, &err));
    g_assert_cmpint(err.code, ==, code);
    g_assert_cmpstr(err.hint, !=, "");
}

static void reads_a_machine(void)
{
    Machine machine;
    g_assert_true(machine_of("q -M q35,accel=tcg -m 1G -smp 2,maxcpus=4 -name x", &machine, NULL));
    g_assert_cmpstr(machine.bus, ==, "pcie.0");
    g_assert_cmpuint(machine.slot, ==, 0x1e);
    g_assert_cmpuint(machine.vcpus, ==, 4);
    g_assert_cmpuint(machine.memory_bytes, ==, 1ULL << 30);
    g_assert_true(machine.add_memory && machine.vid_made);
    g_assert_cmpstr(machine.name, ==, "x");
    g_assert_true(machine_of("q", &machine, NULL));
    g_assert_cmpstr(machine.bus, ==, "pci.0");
    g_assert_cmpuint(machine.memory_bytes, ==, 128ULL << 20);
    g_assert_cmpuint(machine.vcpus, ==, 1);
    g_assert_true(machine_of("q -machine pc-q35-rhel9.2.0 -smp sockets=2,cores=3", &machine, NULL));
    g_assert_true(machine.is_q35);
    g_assert_cmpuint(machine.vcpus, ==, 6);
}

static void finds_a_free_slot(void)
{
    Machine machine;
    g_assert_true(machine_of("q -device e1000,addr=1e.0 -device {\"driver\":\"e1000\",\"addr\":"
                             "\"0x1d\"} -device e1000,addr=0x1c,bus=pci.9",
                             &machine, NULL));
    g_assert_cmpuint(machine.slot, ==, 0x1c);
}

static void reads_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"512", 512ULL << 20}, {"1.5g", 3ULL << 29}, {"0x10", 16ULL << 20},
                {"4096B", 4096},       {"2T", 2ULL << 40},   {"0", 0}};
    static const char *const bad[] = {"",
                                      "-1",
                                      "1x",
                                      "1Gi",
                                      "1G ",
                                      " 1",
                                      "G",
                                      "9999999999999999T",
                                      "99999999999999999999999",
                                      "1.G.",
                                      "inf",
                                      "0x"};
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        uint64_t bytes = 1;
        g_assert_true(memory_size(good[i].text, 'M', &bytes, NULL));
        g_assert_cmpuint(bytes, ==, good[i].bytes);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint64_t bytes;
        MonattError err = {0};
        g_assert_false(memory_size(bad[i], 'M', &bytes, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
    }
}

static void refuses_private_memory(void)
{
    Machine machine;
    static const char use[] = "-machine memory-backend=r";
    static const char *const bad[] = {"memory-backend-ram,id=r,size=1G",
                                      "memory-backend-ram,id=r,size=1G,share=on",
                                      "memory-backend-memfd,id=r,size=1G,share=off",
                                      "memory-backend-file,id=r,size=1G,mem-path=/x",
                                      "memory-backend-memfd,id=other,size=1G",
                                      "rng-random,id=r"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *line = g_strdup_printf("q -object %s %s", bad[i], use);
        refuse(line, MONATT_ERROR_USAGE);
    }
    g_assert_true(machine_of("q -object memory-backend-memfd,id=r,size=1G -machine "
                             "memory-backend=r",
                             &machine, NULL));
    g_assert_false(machine.add_memory);
    g_assert_true(machine_of("q -object memory-backend-memfd,id=r,size=1G -numa node,memdev=r",
                             &machine, NULL));
    g_assert_false(machine.add_memory);
    g_assert_true(machine_of("q -object memory-backend-ram,id=r,size=1G", &machine, NULL));
    refuse("q -mem-path /dev/hugepages", MONATT_ERROR_USAGE);
    refuse("q -object memory-backend-ram,id=r,size=1G -device nvdimm,memdev=r", MONATT_ERROR_USAGE);
}

static void refuses_what_cannot_be(void)
{
    refuse("q -machine microvm", MONATT_ERROR_USAGE);
    refuse("q -accel hvf", MONATT_ERROR_USAGE);
    refuse("q -incoming defer", MONATT_ERROR_USAGE);
    refuse("q -readconfig x", MONATT_ERROR_USAGE);
    refuse("q -M pc,append=x", MONATT_ERROR_USAGE);
    refuse("q -M pc -machine q35", MONATT_ERROR_USAGE);
    refuse("q -smp 257", MONATT_ERROR_LIMIT);
    refuse("q -smp sockets=4294967295,cores=4294967295", MONATT_ERROR_LIMIT);
    refuse("q -name a/b", MONATT_ERROR_USAGE);
    refuse("q -name a,b", MONATT_ERROR_USAGE);
    refuse("q -uuid x", MONATT_ERROR_USAGE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/reads-a-machine", reads_a_machine);
    g_test_add_func("/machine/finds-a-free-slot", finds_a_free_slot);
    g_test_add_func("/machine/reads-sizes", reads_sizes);
    g_test_add_func("/machine/refuses-private-memory", refuses_private_memory);
    g_test_add_func("/machine/refuses-what-cannot-be", refuses_what_cannot_be);
    return g_test_run();
}
