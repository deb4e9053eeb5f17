/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * btf.c - a small reader of BPF Type Format: members, sizes, arrays and enumerators by name
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
#define PROBES_MAXIMUM (4u * 1024 * 1024) /* of the hash; names may be made to collide */
#define NAMESAKES_MAXIMUM 16              /* types of one name that are tried */
#define POINTER_SIZE 8u
#define INT_BITS 0xffu /* of the word behind an integer's head */

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

static uint32_t hash_name(const char *name, size_t length)
{
    uint32_t hash = 2166136261u; /* FNV-1a, then mixed: slots are taken from the low bits */
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    }
    hash ^= hash >> 15;
    hash *= 0x2c1b3c6du;
    return hash ^ hash >> 13;
}

static bool is_named_type(const Btf *btf, uint32_t type, TypeHead *ret_head)
{
    MonattReader r;
    return open_type(btf, type, &r, ret_head) &&
           (ret_head->kind == KIND_STRUCT || ret_head->kind == KIND_UNION ||
            ret_head->kind == KIND_TYPEDEF) &&
           *string_at(btf, ret_head->name) != '\0';
}

static bool hash_types(Btf *btf, MonattError *err)
{
    uint32_t named = 0, size = 16, probes = PROBES_MAXIMUM;
    TypeHead head;

    for (uint32_t type = 1; type <= btf->count; type++) {
        named += is_named_type(btf, type, &head);
    }
    while (size < named * 2) {
        size *= 2;
    }
    btf->slots = calloc(size, sizeof(*btf->slots));
    if (!btf->slots) {
        return monatt_error_set(err, MONATT_ERROR_SYSTEM, "kernel BTF: out of memory");
    }
    btf->slot_mask = size - 1;
    for (uint32_t type = 1; type <= btf->count; type++) {
        const char *name;
        uint32_t slot;

        if (!is_named_type(btf, type, &head)) {
            continue;
        }
        name = string_at(btf, head.name);
        /* A name as long as the section, again and again, would take for ever to hash. */
        slot = hash_name(name, strnlen(name, BTF_PATH_MAXIMUM)) & btf->slot_mask;
        while (btf->slots[slot]) {
            if (probes-- == 0) {
                return monatt_error_set(err, MONATT_ERROR_LIMIT,
                                        "kernel BTF: the names are made to collide");
            }
            slot = (slot + 1) & btf->slot_mask;
        }
        btf->slots[slot] = type;
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
    if (!read_header(btf, err) || !index_types(btf, err) || !hash_types(btf, err)) {
        btf_clear(btf);
        return false;
    }
    return true;
}

void btf_clear(Btf *btf)
{
    free(btf->offsets);
    free(btf->slots);
    btf->offsets = NULL;
    btf->slots = NULL;
    btf->count = 0;
}

/* Follows typedefs and qualifiers to something else. */
static bool to_plain(const Btf *btf, uint32_t *type, MonattReader *ret_reader, TypeHead *ret_head)
{
    for (int hops = 0; hops < HOPS_MAXIMUM; hops++) {
        if (!open_type(btf, *type, ret_reader, ret_head)) {
            return false;
        }
        switch (ret_head->kind) {
        case KIND_TYPEDEF:
        case KIND_CONST:
        case KIND_VOLATILE:
        case KIND_RESTRICT:
        case KIND_TYPE_TAG:
            *type = ret_head->size_or_type;
            break;
        default:
            return true;
        }
    }
    return false;
}

/* Bits of an integer that has fewer than its bytes: a bit field of an older encoding. */
static uint32_t short_integer_bits(const Btf *btf, uint32_t type)
{
    MonattReader r;
    TypeHead head;
    uint32_t word;

    if (!to_plain(btf, &type, &r, &head) || head.kind != KIND_INT ||
        !monatt_reader_u32_le(&r, &word) || (word & INT_BITS) >= head.size_or_type * 8) {
        return 0;
    }
    return word & INT_BITS;
}

/* wanted: not terminated, length bytes. */
static bool find_member(const Btf *btf, uint32_t type, const char *wanted, size_t length, int depth,
                        uint32_t *steps, BtfMember *ret_member)
{
    MonattReader r;
    TypeHead head;

    if (depth > DEPTH_MAXIMUM || !to_plain(btf, &type, &r, &head) ||
        (head.kind != KIND_STRUCT && head.kind != KIND_UNION)) {
        return false;
    }
    for (uint32_t i = 0; i < head.members; i++) {
        uint32_t name_offset, offset;
        const char *name;
        BtfMember member = {0}, inner;

        if (*steps == 0 || !monatt_reader_u32_le(&r, &name_offset) ||
            !monatt_reader_u32_le(&r, &member.type) || !monatt_reader_u32_le(&r, &offset)) {
            return false;
        }
        (*steps)--;
        name = string_at(btf, name_offset);
        member.bit_offset = head.bit_fields ? offset & 0xffffff : offset;
        member.bit_size = head.bit_fields ? offset >> 24 : 0;
        if (strncmp(name, wanted, length) == 0 && name[length] == '\0') {
            if (!head.bit_fields) {
                member.bit_size = short_integer_bits(btf, member.type);
            }
            *ret_member = member;
            return true;
        }
        if (*name == '\0' &&
            find_member(btf, member.type, wanted, length, depth + 1, steps, &inner) &&
            !__builtin_add_overflow(inner.bit_offset, member.bit_offset, &inner.bit_offset)) {
            *ret_member = inner;
            return true;
        }
    }
    return false;
}

static bool find_path(const Btf *btf, uint32_t type, const char *path, uint32_t *steps,
                      BtfMember *ret_member)
{
    uint32_t offset = 0;

    if (strnlen(path, BTF_PATH_MAXIMUM) == BTF_PATH_MAXIMUM) {
        return false;
    }
    for (;;) {
        size_t length = strcspn(path, ".");

        if (length == 0 || !find_member(btf, type, path, length, 0, steps, ret_member) ||
            __builtin_add_overflow(offset, ret_member->bit_offset, &offset)) {
            return false;
        }
        if (path[length] == '\0') {
            ret_member->bit_offset = offset;
            return true;
        }
        if (ret_member->bit_size != 0) {
            return false;
        }
        type = ret_member->type;
        path += length + 1;
    }
}

/* Types of this name, the next at or after *slot; false: no more. */
static bool next_namesake(const Btf *btf, const char *name, uint32_t *slot, uint32_t *ret_type)
{
    for (; btf->slots[*slot]; *slot = (*slot + 1) & btf->slot_mask) {
        TypeHead head;
        uint32_t type = btf->slots[*slot];
        if (is_named_type(btf, type, &head) && strcmp(string_at(btf, head.name), name) == 0) {
            *slot = (*slot + 1) & btf->slot_mask;
            *ret_type = type;
            return true;
        }
    }
    return false;
}

static uint32_t first_slot(const Btf *btf, const char *name)
{
    return hash_name(name, strnlen(name, BTF_PATH_MAXIMUM)) & btf->slot_mask;
}

bool btf_find_member(const Btf *btf, const char *structure, const char *path, BtfMember *ret_member)
{
    uint32_t slot, type, steps = STEPS_MAXIMUM;

    if (!btf->slots) {
        return false;
    }
    slot = first_slot(btf, structure);
    for (int i = 0; i < NAMESAKES_MAXIMUM && next_namesake(btf, structure, &slot, &type); i++) {
        if (find_path(btf, type, path, &steps, ret_member)) {
            return true;
        }
    }
    return false;
}

bool btf_type_array(const Btf *btf, uint32_t type, uint32_t *ret_elements,
                    uint32_t *ret_element_size)
{
    MonattReader r;
    TypeHead head;
    uint32_t element, index, count, total = 1;

    for (int depth = 0; depth < DEPTH_MAXIMUM; depth++) {
        if (!to_plain(btf, &type, &r, &head)) {
            return false;
        }
        if (head.kind != KIND_ARRAY) {
            *ret_element_size = btf_type_size(btf, type);
            *ret_elements = total;
            return depth > 0 && *ret_element_size != 0;
        }
        if (!monatt_reader_u32_le(&r, &element) || !monatt_reader_u32_le(&r, &index) ||
            !monatt_reader_u32_le(&r, &count) || __builtin_mul_overflow(total, count, &total)) {
            return false;
        }
        type = element;
    }
    return false;
}

uint32_t btf_type_size(const Btf *btf, uint32_t type)
{
    MonattReader r;
    TypeHead head;
    uint32_t elements, size;

    if (!to_plain(btf, &type, &r, &head)) {
        return 0;
    }
    switch (head.kind) {
    case KIND_STRUCT:
    case KIND_UNION:
    case KIND_INT:
    case KIND_ENUM:
    case KIND_ENUM64:
    case KIND_FLOAT:
        return head.size_or_type;
    case KIND_PTR:
        return POINTER_SIZE;
    case KIND_ARRAY:
        return btf_type_array(btf, type, &elements, &size) &&
                       !__builtin_mul_overflow(elements, size, &size)
                   ? size
                   : 0;
    default:
        return 0;
    }
}

uint32_t btf_find_size(const Btf *btf, const char *structure)
{
    uint32_t slot, type, size = 0;

    if (!btf->slots) {
        return 0;
    }
    slot = first_slot(btf, structure);
    for (int i = 0;
         i < NAMESAKES_MAXIMUM && size == 0 && next_namesake(btf, structure, &slot, &type); i++) {
        size = btf_type_size(btf, type);
    }
    return size;
}

typedef struct FunctionSearch {
    BtfFunction *found;
    size_t count;
    size_t capacity;
    uint32_t steps;
} FunctionSearch;

static bool is_function_pointer(const Btf *btf, uint32_t type)
{
    MonattReader r;
    TypeHead head;

    if (!to_plain(btf, &type, &r, &head) || head.kind != KIND_PTR) {
        return false;
    }
    type = head.size_or_type;
    return to_plain(btf, &type, &r, &head) && head.kind == KIND_FUNC_PROTO;
}

static void add_function(FunctionSearch *search, uint32_t offset, const char *name)
{
    for (size_t i = 0; i < search->count; i++) {
        if (search->found[i].offset == offset) {
            return;
        }
    }
    if (search->count < search->capacity) {
        BtfFunction *function = &search->found[search->count++];
        size_t length = strnlen(name, sizeof(function->name) - 1);
        *function = (BtfFunction){.offset = offset};
        memcpy(function->name, name, length);
    }
}

static void search_functions(const Btf *btf, uint32_t type, uint32_t base, int depth,
                             FunctionSearch *search)
{
    MonattReader r;
    TypeHead head;

    if (depth > DEPTH_MAXIMUM || !to_plain(btf, &type, &r, &head) ||
        (head.kind != KIND_STRUCT && head.kind != KIND_UNION)) {
        return;
    }
    for (uint32_t i = 0; i < head.members && search->steps > 0; i++) {
        uint32_t name, member, bits, offset;

        search->steps--;
        if (!monatt_reader_u32_le(&r, &name) || !monatt_reader_u32_le(&r, &member) ||
            !monatt_reader_u32_le(&r, &bits)) {
            return;
        }
        offset = (head.bit_fields ? bits & 0xffffff : bits) / 8;
        if (__builtin_add_overflow(offset, base, &offset)) {
            return;
        }
        if (is_function_pointer(btf, member)) {
            add_function(search, offset, string_at(btf, name));
        } else {
            search_functions(btf, member, offset, depth + 1, search);
        }
    }
}

size_t btf_find_functions(const Btf *btf, const char *structure, BtfFunction *ret_functions,
                          size_t capacity)
{
    FunctionSearch search = {
        .found = ret_functions, .capacity = capacity, .steps = STEPS_MAXIMUM / 10};
    uint32_t slot, type;

    if (!btf->slots) {
        return 0;
    }
    slot = first_slot(btf, structure);
    for (int i = 0;
         i < NAMESAKES_MAXIMUM && search.count == 0 && next_namesake(btf, structure, &slot, &type);
         i++) {
        search_functions(btf, type, 0, 0, &search);
    }
    return search.count;
}

bool btf_find_enumerator(const Btf *btf, const char *name, int64_t *ret_value)
{
    for (uint32_t type = 1; type <= btf->count; type++) {
        MonattReader r;
        TypeHead head;

        if (!open_type(btf, type, &r, &head) ||
            (head.kind != KIND_ENUM && head.kind != KIND_ENUM64)) {
            continue;
        }
        for (uint32_t i = 0; i < head.members; i++) {
            uint32_t offset, low, high = 0;
            if (!monatt_reader_u32_le(&r, &offset) || !monatt_reader_u32_le(&r, &low) ||
                (head.kind == KIND_ENUM64 && !monatt_reader_u32_le(&r, &high))) {
                return false;
            }
            if (strcmp(string_at(btf, offset), name) == 0) {
                /* kind_flag: signed. */
                *ret_value = head.kind == KIND_ENUM64 ? (int64_t)((uint64_t)high << 32 | low)
                             : head.bit_fields        ? (int64_t)(int32_t)low
                                                      : (int64_t)low;
                return true;
            }
        }
    }
    return false;
}
