/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plugin-payload.S - a guest that makes a known number of locked accesses and system calls
 *
 * Multiboot, no firmware calls, no interrupts.  Says R on the first serial port, waits for a
 * byte, works, says D.  With the byte '2' a second vCPU works at the same time.  The numbers
 * come from the test (--defsym), so they stand in one place.  Nothing but the marked lines may
 * be a locked access.
 */
    .set SERIAL, 0x3f8
    .set LOW, 0x9000          /* shared with the second vCPU, which stays in real mode */
    .set SECOND_DONE, 0x9100
    .set SECOND_CODE, 0x8000
    .set LAPIC_ICR, 0xfee00300

    .section .text
    .code32
    .balign 4
    .long 0x1badb002, 0, -0x1badb002

    .globl start
start:
    mov $stack_top, %esp
    mov $'R', %al
    call put
    call get
    mov %al, wanted

/* times COUNT { body }; the counter is esi, which no body uses */
    .macro times count, body
    mov $\count, %esi
1:  \body
    dec %esi
    jnz 1b
    .endm

    /* 32-bit: seen as locked */
    times ALIGNED, "lock incl data"
    times ALIGNED, "lock addl $1, data + 64"
    times ALIGNED, "lock notl data + 4"
    times ALIGNED, "lock btsl $3, data"
    times ALIGNED, "lock xaddl %eax, data + 8"
    times ALIGNED, "xchg %eax, data + 128"
    times ALIGNED, "lock incb data + 63"
    times ALIGNED, "lock cmpxchg8b data + 64"
    /* 32-bit: seen as split */
    times SPLIT, "lock incl data + 62"
    times SPLIT, "lock incw data + 63"
    times SPLIT, "xchg %eax, data + 61"
    times SPLIT, "lock cmpxchg8b data + 60"
    /* 32-bit: neither */
    times ALIGNED, "incl data + 62"
    times ALIGNED, ".byte 0x87, 0xd8" /* xchg between registers */
    times ALIGNED, "cmpxchg %ecx, data + 62"

    /* to 64 bits: 1 GiB pages for the first and the fourth GiB */
    movl $pdpt + 3, pml4
    movl $0x00000083, pdpt
    movl $0xc0000083, pdpt + 24
    mov $pml4, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x20, %eax
    mov %eax, %cr4
    mov $0xc0000080, %ecx /* EFER: LME, SCE */
    rdmsr
    or $0x101, %eax
    wrmsr
    lgdt gdt_pointer
    mov %cr0, %eax
    or $0x80000001, %eax
    mov %eax, %cr0
    ljmp $8, $long_mode

put:
    mov $SERIAL, %edx
    out %al, %dx
    ret
get:
    mov $SERIAL + 5, %edx
    in %dx, %al
    test $1, %al
    jz get
    mov $SERIAL, %edx
    in %dx, %al
    ret

    .code64
long_mode:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0xc0000081, %ecx /* STAR */
    xor %eax, %eax
    mov $8, %edx
    wrmsr
    mov $0xc0000082, %ecx /* LSTAR */
    mov $handler, %eax
    xor %edx, %edx
    wrmsr

    mov $data, %ebp
    times PAIRS, "lock cmpxchg16b (%rbp)"
    times ALIGNED, "lock incq (%rbp)"
    times SPLIT, "lock incq 60(%rbp)"
    times ALIGNED, "lock cmpxchg %r9, 64(%rbp)"

/* The number is loaded in the block of the SYSCALL, or not. */
    times CALLS_39, "mov $39, %eax; syscall"
    times CALLS_257, "mov $257, %eax; mov $-100, %edi; mov %r8, %r10; xor %edx, %edx; syscall"
    times CALLS_0, "xor %eax, %eax; syscall"
    times CALLS_UNKNOWN, "mov %esi, %eax; syscall"

    mov $wanted, %ebp
    cmpb $'2', (%rbp)
    jne done
    /* The second vCPU: INIT, wait, start at SECOND_CODE. */
    mov $second, %esi
    mov $SECOND_CODE, %edi
    mov $second_end - second, %ecx
    rep movsb
    movl $0, SECOND_DONE
    mov $LAPIC_ICR, %ebx
    movl $0x000c4500, (%rbx)
    mov $20000000, %ecx
1:  dec %ecx
    jnz 1b
    movl $0x000c4600 + SECOND_CODE / 4096, (%rbx)
    times TOGETHER, "lock incl LOW"
    times TOGETHER_SPLIT, "lock incl LOW + 62"
1:  pause
    cmpl $1, SECOND_DONE
    jne 1b
done:
    mov $'D', %al
    mov $SERIAL, %edx
    out %al, %dx
1:  cli
    hlt
    jmp 1b

handler:
    jmp *%rcx

    .code16
second:
    xor %ax, %ax
    mov %ax, %ds
    times TOGETHER_SECOND, "lock incl LOW"
    times TOGETHER_SPLIT, "lock incl LOW + 62"
    movl $1, SECOND_DONE
1:  cli
    hlt
    jmp 1b
second_end:

    .section .data
    .balign 4096
data:
    .fill 4096
    .balign 8
gdt:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt
wanted:
    .byte 0
    .section .bss
    .balign 4096
pml4:
    .fill 4096
pdpt:
    .fill 4096
stack:
    .fill 4096
stack_top:
