/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * start.S - multiboot entry of the payload, its descriptor tables' loader and interrupt entries
 *
 * 32-bit protected mode, flat, no paging: what runs under every KVM.
 */
    .section .note.GNU-stack, "", @progbits
    .text
    .balign 4
    .long 0x1badb002, 0, -0x1badb002

    .globl start
start:
    cli
    mov $stack_top, %esp
    lgdt gdt_pointer
    ljmp $8, $1f
1:  mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    call payload_main
2:  cli
    hlt
    jmp 2b

/* 16 entries of 16 bytes, one for each interrupt line: all end in one handler. */
    .globl interrupt_entries
    .balign 16
interrupt_entries:
    .set line, 0
    .rept 16
    .balign 16
    push $line
    jmp interrupt_common
    .set line, line + 1
    .endr

interrupt_common:
    pusha
    cld
    pushl 32(%esp)
    call interrupt_handler
    add $4, %esp
    popa
    add $4, %esp
    /*
     * As iret, which KVM's instruction emulator does not have in this mode; where a guest without
     * paging cannot run on the CPU itself, every instruction of ours is emulated.
     */
    push %eax
    push %ebx
    mov 8(%esp), %eax  /* eip, cs, eflags become eflags, eip, cs */
    mov 16(%esp), %ebx
    mov %ebx, 8(%esp)
    mov 12(%esp), %ebx
    mov %eax, 12(%esp)
    mov %ebx, 16(%esp)
    pop %ebx
    pop %eax
    popf
    lret

    .section .rodata
    .balign 8
gdt:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
    .word 23
    .long gdt

    .bss
    .balign 16
    .space 16384
stack_top:
