/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu-registers.c - reads QEMU's "info registers"
 *
 * Must never guess: a vCPU of which one register is missing has none.
 */
#include "libmonatt/formats/vcpu-registers.h"

#include <string.h>

enum { GOT_CR0, GOT_CR3, GOT_CR4, GOT_EFER, GOT_IDT, GOT_GDT, GOT_RIP, GOT_CPL, GOT_COUNT };
#define GOT_ALL ((1u << GOT_COUNT) - 1)

typedef struct Line {
    const char *at;
    const char *end;
} Line;

static bool take_line(const char **at, const char *end, Line *ret)
{
    const char *newline;
    if (*at >= end) {
        return false;
    }
    newline = memchr(*at, '\n', (size_t)(end - *at));
    ret->at = *at;
    ret->end = newline ? newline : end;
    *at = newline ? newline + 1 : end;
    while (ret->end > ret->at && ret->end[-1] == '\r') {
        ret->end--;
    }
    return true;
}

static bool begins(const Line *line, const char *word)
{
    size_t size = strlen(word);
    return (size_t)(line->end - line->at) >= size && strncmp(line->at, word, size) == 0;
}

/* The word behind a blank or the line's start; what stands behind it. */
static bool find_word(const Line *line, const char *word, Line *ret)
{
    Line at = *line;
    while (at.at < at.end) {
        if (begins(&at, word) && (at.at == line->at || at.at[-1] == ' ')) {
            *ret = (Line){at.at + strlen(word), at.end};
            return true;
        }
        at.at++;
    }
    return false;
}

static int hexadecimal(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Blanks, then 1 to 16 digits, then a blank or the end; moves behind them. */
static bool take_number(Line *line, uint64_t *ret)
{
    uint64_t value = 0;
    unsigned digits = 0;
    while (line->at < line->end && *line->at == ' ') {
        line->at++;
    }
    while (line->at < line->end && hexadecimal(*line->at) >= 0 && digits < 16) {
        value = value << 4 | (uint64_t)hexadecimal(*line->at++);
        digits++;
    }
    *ret = value;
    return digits > 0 && (line->at == line->end || *line->at == ' ');
}

static bool take_narrow(Line *line, uint32_t *ret)
{
    uint64_t value;
    if (!take_number(line, &value) || value > UINT32_MAX) {
        return false;
    }
    *ret = (uint32_t)value;
    return true;
}

static bool mark(unsigned *got, unsigned which)
{
    bool first = !(*got & 1u << which);
    *got |= 1u << which;
    return first;
}

static bool take_control(const Line *line, MonattVcpuRegisters *cpu, unsigned *got)
{
    Line cr0, cr3, cr4;
    return find_word(line, "CR0=", &cr0) && find_word(line, "CR3=", &cr3) &&
           find_word(line, "CR4=", &cr4) && mark(got, GOT_CR0) && mark(got, GOT_CR3) &&
           mark(got, GOT_CR4) && take_number(&cr0, &cpu->cr0) && take_number(&cr3, &cpu->cr3) &&
           take_number(&cr4, &cpu->cr4);
}

static bool take_place(const Line *line, MonattVcpuRegisters *cpu, unsigned *got)
{
    Line rip = {line->at + strlen("RIP="), line->end};
    Line cpl;
    return find_word(line, "CPL=", &cpl) && mark(got, GOT_RIP) && mark(got, GOT_CPL) &&
           take_number(&rip, &cpu->rip) && take_narrow(&cpl, &cpu->cpl) && cpu->cpl <= 3;
}

static bool take_table(const Line *line, uint64_t *ret_base, uint32_t *ret_limit)
{
    Line rest = {line->at + strlen("GDT="), line->end};
    return take_number(&rest, ret_base) && take_narrow(&rest, ret_limit);
}

/* One line into the vCPU; lines of other registers say nothing here. */
static bool take(const Line *line, MonattVcpuRegisters *cpu, unsigned *got)
{
    if (begins(line, "RIP=") || begins(line, "EIP=")) {
        return take_place(line, cpu, got);
    }
    if (begins(line, "CR0=")) {
        return take_control(line, cpu, got);
    }
    if (begins(line, "GDT=")) {
        return mark(got, GOT_GDT) && take_table(line, &cpu->gdt_base, &cpu->gdt_limit);
    }
    if (begins(line, "IDT=")) {
        return mark(got, GOT_IDT) && take_table(line, &cpu->idt_base, &cpu->idt_limit);
    }
    if (begins(line, "EFER=")) {
        Line rest = {line->at + strlen("EFER="), line->end};
        return mark(got, GOT_EFER) && take_number(&rest, &cpu->efer);
    }
    return true;
}

bool monatt_vcpu_registers_parse(const char *text, size_t size, MonattVcpuRegisters *ret,
                                 size_t capacity, size_t *ret_count, MonattError *err)
{
    const char *at = text;
    MonattVcpuRegisters cpu = {0};
    unsigned got = 0;
    size_t count = 0;
    Line line;
    /* Ends: each round consumes at least one byte. */
    while (take_line(&at, text + size, &line)) {
        if (begins(&line, "CPU#") && got != 0) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                    "vCPU registers: vCPU %zu: not all of them are there", count);
        }
        if (!take(&line, &cpu, &got)) {
            return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                    "vCPU registers: vCPU %zu: a line is not as QEMU writes it",
                                    count);
        }
        if (got == GOT_ALL) {
            if (count == capacity) {
                return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                        "vCPU registers: of more than %zu vCPUs", capacity);
            }
            ret[count++] = cpu;
            got = 0;
        }
    }
    if (got != 0 || count == 0) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT,
                                "vCPU registers: vCPU %zu: not all of them are there", count);
    }
    *ret_count = count;
    return true;
}
