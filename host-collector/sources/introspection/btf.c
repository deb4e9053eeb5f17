/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * btf.c - a small reader of BPF Type Format: struct members and their offsets, no more
 *
 * Must never believe a length, a type number or a string offset before it compared it.
 */
#include "host-collector/sources/introspection/btf.h"

#include <stdlib.h>
#include <string.h>
#include "libmonatt/base/reader.h"

#define BTF_MAGIC 0xeb9fu
#define HEADER_SIZE 24u
#define DEPTH_MAXIMUM 8 /* unnamed structs within unnamed unions …; task_struct has 2 */
#define HOPS_MAXIMUM 16 /* typedef and qualifier chains */
/* Members looked at for one name: a struct of unnamed members of its own type would take for
 * ever; task_struct has about 250. */
#define STEPS_MAXIMUM 200000

enum {
    KIND_INT = 1,
    KIND_PTR = 2,
    KIND_ARRAY = 3,
    KIND_STRUCT = 4,
    KIND_UNION = 5,
    KIND_ENUM = 6,
    KIND_FWD = 7,
    KIND_TYPEDEF = 8,
    KIND_VOLATILE = 9,
    KIND_CONST = 10,
    KIND_RESTRICT = 11,
    KIND_FUNC = 12,
    KIND_FUNC_PROTO = 13,
    KIND_VAR = 14,
    KIND_DATASEC = 15,
    KIND_FLOAT = 16,
    KIND_DECL_TAG = 17,
    KIND_TYPE_TAG = 18,
    KIND_ENUM64 = 19,
};

typedef struct TypeHead {
    uint32_t name;
    uint32_t kind;
    uint32_t members;
    bool bit_fields; /* kind_flag: member offsets carry a size */
    uint32_t size_or_type;
} TypeHead;

static bool read_head(MonattReader *r, TypeHead *head)
{
    uint32_t info;
    if (!monatt_reader_u32_le(r, &head->name) || !monatt_reader_u32_le(r, &info) ||
        !monatt_reader_u32_le(r, &head->size_or_type)) {
        return false;
    }
    head->members = info & 0xffff;
    head->kind = (info >> 24) & 0x1f;
    head->bit_fields = info >> 31;
    return true;
}

/* Bytes that follow the head, by kind. */
static bool tail_size(const TypeHead *head, size_t *ret_size)
{
    switch (head->kind) {
    case KIND_INT:
    case KIND_VAR:
    case KIND_DECL_TAG:
        *ret_size = 4;
        return true;
    case KIND_ARRAY:
        *ret_size = 12;
        return true;
    case KIND_STRUCT:
    case KIND_UNION:
    case KIND_DATASEC:
    case KIND_ENUM64:
        *ret_size = (size_t)head->members * 12;
        return true;
    case KIND_ENUM:
    case KIND_FUNC_PROTO:
        *ret_size = (size_t)head->members * 8;
        return true;
    case KIND_PTR:
    case KIND_FWD:
    case KIND_TYPEDEF:
    case KIND_VOLATILE:
    case KIND_CONST:
    case KIND_RESTRICT:
    case KIND_FUNC:
    case KIND_FLOAT:
    case KIND_TYPE_TAG:
        *ret_size = 0;
        return true;
    default:
        return false;
    }
}

static bool read_header(Btf *btf, MonattError *err)
{
    MonattReader r;
    uint16_t magic;
    uint8_t version, flags;
    uint32_t header, type_offset, type_size, string_offset, string_size;

    monatt_reader_init(&r, "kernel BTF", btf->bytes, btf->size, err);
    if (!monatt_reader_u16_le(&r, &magic) || !monatt_reader_u8(&r, &version) ||
        !monatt_reader_u8(&r, &flags) || !monatt_reader_u32_le(&r, &header) ||
        !monatt_reader_u32_le(&r, &type_offset) || !monatt_reader_u32_le(&r, &type_size) ||
        !monatt_reader_u32_le(&r, &string_offset) || !monatt_reader_u32_le(&r, &string_size)) {
        return false;
    }
    if (magic != BTF_MAGIC || version != 1 || header < HEADER_SIZE || header > btf->size) {
        return monatt_reader_fail(&r, "not BTF version 1");
    }
    btf->types = (size_t)header + type_offset;
    btf->types_size = type_size;
    btf->strings = (size_t)header + string_offset;
    btf->strings_size = string_size;
    if (btf->types > btf->size || type_size > btf->size - btf->types || btf->strings > btf->size ||
        string_size > btf->size - btf->strings || string_size == 0) {
        return monatt_reader_fail(&r, "sections outside its %zu bytes", btf->size);
    }
    if (btf->bytes[btf->strings + string_size - 1] != '\0') {
        return monatt_reader_fail(&r, "strings do not end");
    }
    return true;
}

static bool index_types(Btf *btf, MonattError *err)
{
    MonattReader r;
    const uint8_t *skipped;
    uint32_t capacity = 0;

    monatt_reader_init(&r, "kernel BTF types", btf->bytes + btf->types, btf->types_size, err);
    btf->count = 0;
    while (monatt_reader_left(&r) > 0) {
        TypeHead head;
        size_t tail;

        if (btf->count == BTF_TYPES_MAXIMUM) {
            return monatt_error_set(err, MONATT_ERROR_LIMIT, "kernel BTF: more than %u types",
                                    BTF_TYPES_MAXIMUM);
        }
        if (btf->count == capacity) {
            uint32_t *grown;
            capacity = capacity ? capacity * 2 : 16384;
            grown = realloc(btf->offsets, (size_t)capacity * sizeof(*grown));
            if (!grown) {
                return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kernel BTF: out of memory");
            }
            btf->offsets = grown;
        }
        btf->offsets[btf->count] = (uint32_t)r.position;
        if (!read_head(&r, &head)) {
            return false;
        }
        if (!tail_size(&head, &tail)) {
            return monatt_reader_fail(&r, "type %u is of unknown kind %u", btf->count + 1,
                                      head.kind);
        }
        if (!monatt_reader_bytes(&r, tail, &skipped)) {
            return false;
        }
        btf->count++;
    }
    return true;
}

bool btf_init(Btf *btf, const void *bytes, size_t size, MonattError *err)
{
    *btf = (Btf){.bytes = bytes, .size = size};
    if (size > BTF_SIZE_MAXIMUM) {
        return monatt_error_set(err, MONATT_ERROR_LIMIT, "kernel BTF: %zu bytes, the limit is %u",
                                size, BTF_SIZE_MAXIMUM);
    }
    if (!read_header(btf, err) || !index_types(btf, err)) {
        btf_clear(btf);
        return false;
    }
    return true;
}

void btf_clear(Btf *btf)
{
    free(btf->offsets);
    btf->offsets = NULL;
    btf->count = 0;
}

/* "" for an offset outside; the last byte of the section is a terminator. */
static const char *string_at(const Btf *btf, uint32_t offset)
{
    return offset < btf->strings_size ? (const char *)btf->bytes + btf->strings + offset : "";
}

static bool open_type(const Btf *btf, uint32_t type, MonattReader *ret_reader, TypeHead *ret_head)
{
    size_t offset;

    if (type == 0 || type > btf->count) {
        return false;
    }
    offset = btf->offsets[type - 1];
    monatt_reader_init(ret_reader, "kernel BTF type", btf->bytes + btf->types + offset,
                       btf->types_size - offset, NULL);
    return read_head(ret_reader, ret_head);
}

void btf_find_structs(const Btf *btf, const char *const *names, uint32_t *ret_types, size_t count)
{
    memset(ret_types, 0, count * sizeof(*ret_types));
    for (uint32_t type = 1; type <= btf->count; type++) {
        MonattReader r;
        TypeHead head;
        const char *name;

        if (!open_type(btf, type, &r, &head) || head.kind != KIND_STRUCT) {
            continue;
        }
        name = string_at(btf, head.name);
        for (size_t i = 0; i < count; i++) {
            if (ret_types[i] == 0 && strcmp(name, names[i]) == 0) {
                ret_types[i] = type;
            }
        }
    }
}

/* Follows typedefs and qualifiers to a struct or union. */
static bool to_struct(const Btf *btf, uint32_t type, uint32_t *ret_type)
{
    for (int hops = 0; hops < HOPS_MAXIMUM; hops++) {
        MonattReader r;
        TypeHead head;

        if (!open_type(btf, type, &r, &head)) {
            return false;
        }
        switch (head.kind) {
        case KIND_STRUCT:
        case KIND_UNION:
            *ret_type = type;
            return true;
        case KIND_TYPEDEF:
        case KIND_CONST:
        case KIND_VOLATILE:
        case KIND_RESTRICT:
        case KIND_TYPE_TAG:
            type = head.size_or_type;
            break;
        default:
            return false;
        }
    }
    return false;
}

static bool find_member(const Btf *btf, uint32_t type, const char *wanted, int depth,
                        uint32_t *steps, BtfMember *ret_member, uint32_t *ret_type)
{
    MonattReader r;
    TypeHead head;

    if (depth > DEPTH_MAXIMUM || !to_struct(btf, type, &type) || !open_type(btf, type, &r, &head)) {
        return false;
    }
    for (uint32_t i = 0; i < head.members; i++) {
        uint32_t name, member_type, offset;
        BtfMember member = {0};

        if (*steps == 0 || !monatt_reader_u32_le(&r, &name) ||
            !monatt_reader_u32_le(&r, &member_type) || !monatt_reader_u32_le(&r, &offset)) {
            return false;
        }
        (*steps)--;
        member.bit_offset = head.bit_fields ? offset & 0xffffff : offset;
        member.bit_size = head.bit_fields ? offset >> 24 : 0;
        if (strcmp(string_at(btf, name), wanted) == 0) {
            *ret_member = member;
            *ret_type = member_type;
            return true;
        }
        if (*string_at(btf, name) == '\0') {
            BtfMember inner;
            if (find_member(btf, member_type, wanted, depth + 1, steps, &inner, ret_type) &&
                !__builtin_add_overflow(inner.bit_offset, member.bit_offset, &inner.bit_offset)) {
                *ret_member = inner;
                return true;
            }
        }
    }
    return false;
}

bool btf_member(const Btf *btf, uint32_t type, const char *name, BtfMember *ret_member)
{
    uint32_t member_type, steps = STEPS_MAXIMUM;
    return find_member(btf, type, name, 0, &steps, ret_member, &member_type);
}

bool btf_member_type(const Btf *btf, uint32_t type, const char *name, uint32_t *ret_type)
{
    BtfMember member;
    uint32_t member_type, steps = STEPS_MAXIMUM;
    return find_member(btf, type, name, 0, &steps, &member, &member_type) &&
           to_struct(btf, member_type, ret_type);
}

uint32_t btf_struct_size(const Btf *btf, uint32_t type)
{
    MonattReader r;
    TypeHead head;
    if (!open_type(btf, type, &r, &head) || (head.kind != KIND_STRUCT && head.kind != KIND_UNION)) {
        return 0;
    }
    return head.size_or_type;
}
