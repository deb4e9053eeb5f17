/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmcoreinfo.c - finds and reads the kernel's VMCOREINFO text in guest RAM
 */
#include "host-collector/sources/introspection/vmcoreinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/text.h"

/* The text stands at the start of vmcoreinfo_data's page, or in the ELF note's page behind its
 * header and name. */
#define NOTE_NAME_OFFSET 12
#define NOTE_TEXT_OFFSET 24
static const char text_start[] = "OSRELEASE=";
static const char note_name[] = "VMCOREINFO";
static const char root_key[] = "SYMBOL(swapper_pg_dir)";

static const char *find_value(const Vmcoreinfo *info, const char *key)
{
    size_t length = strlen(key);
    const char *line = info->text;

    while (*line) {
        const char *end = strchr(line, '\n');
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            return line + length + 1;
        }
        if (!end) {
            break;
        }
        line = end + 1;
    }
    return NULL;
}

bool vmcoreinfo_read(const GuestMemory *memory, uint64_t page, Vmcoreinfo *ret_info)
{
    char head[NOTE_TEXT_OFFSET + sizeof(text_start)];
    size_t offset = 0;

    if (!guest_memory_copy(memory, page, head, sizeof(head))) {
        return false;
    }
    if (strncmp(head, text_start, sizeof(text_start) - 1) != 0) {
        offset = NOTE_TEXT_OFFSET;
        if (strncmp(head + NOTE_NAME_OFFSET, note_name, sizeof(note_name)) != 0) {
            return false;
        }
    }
    if (!guest_memory_copy(memory, page + offset, ret_info->text, VMCOREINFO_SIZE - offset)) {
        return false;
    }
    ret_info->text[VMCOREINFO_SIZE - offset] = '\0';
    ret_info->size = strlen(ret_info->text);
    return find_value(ret_info, root_key) != NULL;
}

bool vmcoreinfo_find(const GuestMemory *memory, uint64_t *address, Vmcoreinfo *ret_info)
{
    uint64_t end;

    while (guest_memory_next_data(memory, address, &end)) {
        while (*address < end) {
            uint64_t page = *address;
            *address += GUEST_PAGE_SIZE;
            if (vmcoreinfo_read(memory, page, ret_info)) {
                return true;
            }
        }
    }
    return false;
}

bool vmcoreinfo_number(const Vmcoreinfo *info, const char *key, int base, uint64_t *ret_value)
{
    const char *text = find_value(info, key);
    char *end;
    uint64_t value;

    if (!text || *text == '\n' || *text == '\0') {
        return false;
    }
    errno = 0;
    value = *text == '-' ? (uint64_t)strtoll(text, &end, base) : strtoull(text, &end, base);
    if (errno != 0 || end == text || (*end != '\n' && *end != '\0')) {
        return false;
    }
    *ret_value = value;
    return true;
}

bool vmcoreinfo_text(const Vmcoreinfo *info, const char *key, char *ret_text, size_t capacity)
{
    const char *text = find_value(info, key);
    if (!text) {
        return false;
    }
    monatt_text_printable(text, strcspn(text, "\n"), ret_text, capacity);
    return true;
}
