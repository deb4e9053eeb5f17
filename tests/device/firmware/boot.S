/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * boot.S - boot sector of the test firmware: reads the rest of the image, goes to 32-bit protected
 * mode without paging, and calls firmware_entry()
 *
 * 16 and 32 bit only: that much runs under every KVM, nested ones too.
 */
#include "tests/device/firmware/layout.h"

        .code16
        .globl _start
_start: cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        ljmp    $0, $begin
begin:  movw    $packet, %si            /* INT 13h, AH=42h: the BIOS's drive is in DL */
        movb    $0x42, %ah
        int     $0x13
        jc      failed
        lgdt    gdt_pointer
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $protected
failed: movb    $'!', %al
        movw    $0x3f8, %dx
        outb    %al, %dx
stop:   hlt
        jmp     stop

        .code32
protected:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        movl    $FIRMWARE_STACK, %esp
        pushl   seed
        pushl   mode
        movl    $FIRMWARE_ADDRESS, %eax
        call    *%eax
halt:   hlt
        jmp     halt

        .align  8
gdt:    .quad   0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        .word   23
        .long   gdt
packet: .byte   16, 0
        .word   FIRMWARE_SECTORS
        .word   0, FIRMWARE_ADDRESS >> 4
        .quad   1

        .org    FIRMWARE_MODE_OFFSET     /* written by the test into its copy of the image */
mode:   .long   0
seed:   .long   1
        .org    510
        .word   0xaa55
