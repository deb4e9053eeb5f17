/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-decode.c - instruction bytes and what the monitors must make of them
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include "qemu-plugin/decode.h"

#define BYTES_MAXIMUM 15

static const struct {
    uint8_t size, bytes[BYTES_MAXIMUM];
    DecodeLock lock;
    const char *text;
} locks[] = {
    {3, {0xf0, 0x01, 0x03}, 1, "lock add %eax,(%rbx)"},
    {3, {0xf0, 0x00, 0x03}, 1, "lock add %al,(%rbx)"},
    {3, {0xf0, 0x09, 0x03}, 1, "lock or"},
    {3, {0xf0, 0x11, 0x03}, 1, "lock adc"},
    {3, {0xf0, 0x19, 0x03}, 1, "lock sbb"},
    {3, {0xf0, 0x21, 0x03}, 1, "lock and"},
    {3, {0xf0, 0x29, 0x03}, 1, "lock sub"},
    {3, {0xf0, 0x31, 0x03}, 1, "lock xor"},
    {3, {0xf0, 0x39, 0x03}, 0, "lock cmp: no such thing"},
    {3, {0xf0, 0x03, 0x03}, 0, "lock add (%rbx),%eax: register is written"},
    {3, {0xf0, 0x01, 0xc3}, 0, "lock add %eax,%ebx: no memory"},
    {2, {0x01, 0x03}, 0, "add %eax,(%rbx)"},
    {4, {0xf0, 0x48, 0x01, 0x03}, 1, "lock add %rax,(%rbx)"},
    {4, {0x66, 0xf0, 0x01, 0x03}, 1, "lock add %ax,(%rbx)"},
    {4, {0xf0, 0x66, 0x01, 0x03}, 1, "the same, prefixes the other way"},
    {5, {0x64, 0xf0, 0x48, 0x01, 0x03}, 1, "lock add %rax,%fs:(%rbx)"},
    {4, {0xf2, 0xf0, 0x01, 0x03}, 1, "xacquire lock add"},
    {4, {0xf0, 0x80, 0x03, 0x01}, 1, "lock addb $1,(%rbx)"},
    {4, {0xf0, 0x83, 0x03, 0x01}, 1, "lock addl $1,(%rbx)"},
    {7, {0xf0, 0x81, 0x03, 0, 1, 0, 0}, 1, "lock addl $256,(%rbx)"},
    {4, {0xf0, 0x83, 0x3b, 0x01}, 0, "lock cmpl: no such thing"},
    {3, {0xf0, 0xf7, 0x13}, 1, "lock notl"},
    {3, {0xf0, 0xf6, 0x1b}, 1, "lock negb"},
    {3, {0xf0, 0xf7, 0x23}, 0, "lock mul: no such thing"},
    {3, {0xf0, 0xff, 0x03}, 1, "lock incl"},
    {3, {0xf0, 0xfe, 0x0b}, 1, "lock decb"},
    {3, {0xf0, 0xff, 0x13}, 0, "lock call: no such thing"},
    {4, {0xf0, 0x0f, 0xab, 0x03}, 1, "lock bts %eax,(%rbx)"},
    {4, {0xf0, 0x0f, 0xb3, 0x03}, 1, "lock btr"},
    {4, {0xf0, 0x0f, 0xbb, 0x03}, 1, "lock btc"},
    {4, {0xf0, 0x0f, 0xa3, 0x03}, 0, "lock bt: no such thing"},
    {5, {0xf0, 0x0f, 0xba, 0x2b, 0x03}, 1, "lock btsl $3"},
    {5, {0xf0, 0x0f, 0xba, 0x3b, 0x03}, 1, "lock btcl $3"},
    {5, {0xf0, 0x0f, 0xba, 0x23, 0x03}, 0, "lock btl $3: no such thing"},
    {4, {0xf0, 0x0f, 0xb1, 0x0b}, 1, "lock cmpxchg"},
    {4, {0xf0, 0x0f, 0xb0, 0x0b}, 1, "lock cmpxchg byte"},
    {3, {0x0f, 0xb1, 0x0b}, 0, "cmpxchg without lock"},
    {4, {0xf0, 0x0f, 0xc1, 0x0b}, 1, "lock xadd"},
    {4, {0xf0, 0x0f, 0xc0, 0x0b}, 1, "lock xadd byte"},
    {4, {0xf0, 0x0f, 0xc7, 0x0b}, 1, "lock cmpxchg8b"},
    {5, {0xf0, 0x48, 0x0f, 0xc7, 0x0b}, 2, "lock cmpxchg16b"},
    {5, {0xf0, 0x41, 0x0f, 0xc7, 0x0b}, 1, "lock cmpxchg8b (%r11)"},
    {4, {0xf0, 0x0f, 0xc7, 0x33}, 0, "lock rdrand: no such thing"},
    {2, {0x87, 0x03}, 1, "xchg %eax,(%rbx)"},
    {2, {0x86, 0x03}, 1, "xchg %al,(%rbx)"},
    {3, {0x48, 0x87, 0x03}, 1, "xchg %rax,(%rbx)"},
    {3, {0x66, 0x87, 0x03}, 1, "xchg %ax,(%rbx)"},
    {3, {0xf0, 0x87, 0x03}, 1, "lock xchg"},
    {3, {0x87, 0x43, 0x08}, 1, "xchg with displacement"},
    {6, {0x87, 0x83, 0, 1, 0, 0}, 1, "xchg with a long one"},
    {2, {0x87, 0xc3}, 0, "xchg %eax,%ebx"},
    {3, {0x48, 0x87, 0xc3}, 0, "xchg %rax,%rbx"},
    {1, {0x93}, 0, "xchg %eax,%ebx, short"},
    {1, {0x48}, 0, "dec %eax in 32 bits"},
    {1, {0x87}, 0, "cut short"},
    {1, {0xf0}, 0, "a prefix alone"},
    {2, {0xf0, 0x0f}, 0, "an escape alone"},
    {0, {0}, 0, "nothing"},
    {3, {0x0f, 0x87, 0x03}, 0, "0f 87 is a jump"},
};

/* Each table's bytes at the end of an allocation of their size: ASan sees a byte read too far. */
static uint8_t *exact(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    memcpy(copy, bytes, size);
    return copy;
}

static void test_lock(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(locks); i++) {
        uint8_t *bytes = exact(locks[i].bytes, locks[i].size);
        if (decode_lock(bytes, locks[i].size) != locks[i].lock) {
            g_error("%s: %d wanted", locks[i].text, locks[i].lock);
        }
        free(bytes);
    }
}

static void test_every_prefix(void)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0x67, 0xf2, 0xf3, 0x40, 0x4f};
    for (size_t i = 0; i < sizeof(prefixes); i++) {
        uint8_t lock[] = {0xf0, prefixes[i], 0xff, 0x03};
        uint8_t exchange[] = {prefixes[i], 0x87, 0x03};
        uint8_t plain[] = {prefixes[i], 0xff, 0x03};
        g_assert_cmpint(decode_lock(lock, sizeof(lock)), ==, DECODE_LOCK_ACCESS);
        g_assert_cmpint(decode_lock(exchange, sizeof(exchange)), ==, DECODE_LOCK_ACCESS);
        g_assert_cmpint(decode_lock(plain, sizeof(plain)), ==, DECODE_LOCK_NONE);
    }
}

static void test_syscall(void)
{
    static const struct {
        uint8_t size, bytes[4];
        DecodeSyscall kind;
    } cases[] = {
        {2, {0x0f, 0x05}, DECODE_SYSCALL_SYSCALL},
        {3, {0x48, 0x0f, 0x05}, DECODE_SYSCALL_SYSCALL},
        {2, {0x0f, 0x34}, DECODE_SYSCALL_SYSENTER},
        {2, {0xcd, 0x80}, DECODE_SYSCALL_INTERRUPT},
        {2, {0xcd, 0x10}, DECODE_SYSCALL_NONE},
        {1, {0xcd}, DECODE_SYSCALL_NONE},
        {2, {0x0f, 0x07}, DECODE_SYSCALL_NONE},
        {2, {0x05, 0x80}, DECODE_SYSCALL_NONE},
        {3, {0x0f, 0xcd, 0x80}, DECODE_SYSCALL_NONE},
        {0, {0}, DECODE_SYSCALL_NONE},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t *bytes = exact(cases[i].bytes, cases[i].size);
        g_assert_cmpint(decode_syscall(bytes, cases[i].size), ==, cases[i].kind);
        free(bytes);
    }
}

#define KEPT DECODE_EAX_KEPT, 7
#define LOST DECODE_EAX_LOST, 7
#define SET(value) DECODE_EAX_SET, value
static const struct {
    uint8_t size, bytes[BYTES_MAXIMUM];
    DecodeEax effect;
    uint32_t value; /* 7 is what was there before */
    const char *text;
} effects[] = {
    {5, {0xb8, 0x27, 0, 0, 0}, SET(39), "mov $39,%eax"},
    {6, {0x40, 0xb8, 0x01, 0x01, 0, 0}, SET(257), "the same with an empty REX"},
    {6, {0x41, 0xb8, 0x01, 0x01, 0, 0}, KEPT, "mov $257,%r8d"},
    {5, {0xbf, 0x9c, 0xff, 0xff, 0xff}, KEPT, "mov $-100,%edi"},
    {10, {0x48, 0xb8, 1, 0, 0, 0, 0, 0, 0, 0}, LOST, "movabs to rax"},
    {10, {0x48, 0xbf, 1, 0, 0, 0, 0, 0, 0, 0}, KEPT, "movabs to rdi"},
    {4, {0x66, 0xb8, 1, 0}, LOST, "mov $1,%ax"},
    {7, {0x48, 0xc7, 0xc0, 0x3c, 0, 0, 0}, SET(60), "mov $60,%rax"},
    {7, {0x49, 0xc7, 0xc0, 0x3c, 0, 0, 0}, KEPT, "mov $60,%r8"},
    {7, {0x48, 0xc7, 0xc7, 0x3c, 0, 0, 0}, KEPT, "mov $60,%rdi"},
    {6, {0xc7, 0x00, 1, 0, 0, 0}, KEPT, "movl $1,(%rax)"},
    {6, {0xc7, 0xf8, 1, 0, 0, 0}, LOST, "xbegin"},
    {2, {0x31, 0xc0}, SET(0), "xor %eax,%eax"},
    {3, {0x48, 0x33, 0xc0}, SET(0), "xor %rax,%rax"},
    {3, {0x41, 0x31, 0xc0}, KEPT, "xor %eax,%r8d"},
    {3, {0x44, 0x31, 0xc0}, LOST, "xor %r8d,%eax"},
    {2, {0x31, 0xd2}, KEPT, "xor %edx,%edx"},
    {2, {0x33, 0x03}, LOST, "xor (%rbx),%eax"},
    {2, {0x31, 0x00}, KEPT, "xor %eax,(%rax)"},
    {3, {0x4c, 0x89, 0xc6}, KEPT, "mov %r8,%rsi"},
    {2, {0x89, 0xf8}, LOST, "mov %edi,%eax"},
    {3, {0x48, 0x89, 0x00}, KEPT, "mov %rax,(%rax)"},
    {3, {0x48, 0x8b, 0x03}, LOST, "mov (%rbx),%rax"},
    {3, {0x4c, 0x8b, 0x03}, KEPT, "mov (%rbx),%r8"},
    {4, {0x48, 0x8d, 0x43, 8}, LOST, "lea 8(%rbx),%rax"},
    {4, {0x48, 0x8d, 0x73, 8}, KEPT, "lea 8(%rbx),%rsi"},
    {1, {0x57}, KEPT, "push %rdi"},
    {1, {0x58}, LOST, "pop %rax"},
    {2, {0x41, 0x58}, KEPT, "pop %r8"},
    {1, {0x90}, KEPT, "nop"},
    {2, {0x41, 0x90}, LOST, "xchg %r8d,%eax"},
    {4, {0x0f, 0x1f, 0x40, 0}, KEPT, "nop with an operand"},
    {4, {0xf3, 0x0f, 0x1e, 0xfa}, KEPT, "endbr64"},
    {3, {0x83, 0xc0, 1}, LOST, "add $1,%eax"},
    {1, {0x40}, LOST, "inc %eax in 32 bits"},
    {2, {0x0f, 0xa2}, LOST, "cpuid"},
    {2, {0xff, 0xc0}, LOST, "inc %eax"},
    {0, {0}, LOST, "nothing"},
    {1, {0xb8}, LOST, "cut short"},
    {2, {0xc7, 0xc0}, LOST, "cut short"},
};

static void test_eax(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(effects); i++) {
        uint8_t *bytes = exact(effects[i].bytes, effects[i].size);
        uint32_t value = 7;
        if (decode_eax(bytes, effects[i].size, &value) != effects[i].effect ||
            value != effects[i].value) {
            g_error("%s: %d, %u wanted", effects[i].text, effects[i].effect, effects[i].value);
        }
        free(bytes);
    }
}

/* Any bytes whatever: nothing is read past their end. */
static void test_noise(void)
{
    GRand *rand = g_rand_new_with_seed(1);
    for (int i = 0; i < 100000; i++) {
        uint8_t noise[BYTES_MAXIMUM];
        size_t size = (size_t)g_rand_int_range(rand, 0, BYTES_MAXIMUM + 1);
        uint32_t value;
        for (size_t j = 0; j < size; j++) {
            noise[j] = (uint8_t)g_rand_int(rand);
        }
        uint8_t *bytes = exact(noise, size);
        decode_lock(bytes, size);
        decode_syscall(bytes, size);
        decode_eax(bytes, size, &value);
        free(bytes);
    }
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/decode/lock", test_lock);
    g_test_add_func("/decode/every-prefix", test_every_prefix);
    g_test_add_func("/decode/syscall", test_syscall);
    g_test_add_func("/decode/eax", test_eax);
    g_test_add_func("/decode/noise", test_noise);
    return g_test_run();
}
