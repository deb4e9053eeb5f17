/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * btf.h - where a member lies in a kernel structure, from the type data the kernel carries
 *
 * BPF Type Format, Documentation/bpf/btf.rst.  The bytes are a copy of guest memory and trusted
 * in nothing: every type, name and member is read by offset within them, recursion is bounded.
 */
#ifndef MONATT_INTROSPECTION_BTF_H
#define MONATT_INTROSPECTION_BTF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "libmonatt/base/error.h"

#define BTF_SIZE_MAXIMUM (32u * 1024 * 1024) /* Debian's are 4 to 7 MiB */
#define BTF_TYPES_MAXIMUM 1000000u

#define BTF_PATH_MAXIMUM 128 /* characters of a path of members */

typedef struct Btf {
    const uint8_t *bytes; /* the caller's; must outlive this */
    size_t size;
    size_t types; /* offsets of the sections in bytes */
    size_t types_size;
    size_t strings;
    size_t strings_size;
    uint32_t *offsets; /* of type i (1-based) within the type section */
    uint32_t count;
    uint32_t *slots; /* hash of a name to a struct, union or typedef; several of one name */
    uint32_t slot_mask;
} Btf;

typedef struct BtfMember {
    uint32_t bit_offset;
    uint32_t bit_size; /* 0: not a bit field */
    uint32_t type;     /* its type's number, with typedefs and qualifiers */
} BtfMember;

/* Builds the index of types.  FORMAT, LIMIT; after a failure there is nothing to clear. */
bool btf_init(Btf *btf, const void *bytes, size_t size, MonattError *err) MONATT_MUST_CHECK;
void btf_clear(Btf *btf);
/*
 * A member by the name of its struct (or union, or typedef of one) and its path: "mm",
 * "se.group_node"; also one of unnamed structs and unions within.  bit_offset is from the start of
 * the named struct.  Where several types bear the name (files of the kernel may each have one), the
 * first that has the path.  False when there is none.
 */
bool btf_find_member(const Btf *btf, const char *structure, const char *path,
                     BtfMember *ret_member) MONATT_MUST_CHECK;
/* sizeof a type by name, as btf_find_member() takes it; 0 when there is none. */
uint32_t btf_find_size(const Btf *btf, const char *structure);
/* sizeof a type by number: structs, integers, pointers, enums, arrays; 0 for anything else. */
uint32_t btf_type_size(const Btf *btf, uint32_t type);
/* Elements and bytes of each of an array; false when the type is none. */
bool btf_type_array(const Btf *btf, uint32_t type, uint32_t *ret_elements,
                    uint32_t *ret_element_size) MONATT_MUST_CHECK;
/* Where a struct has a pointer to a function, embedded structs and unions included; several of one
 * offset (a union's) come once, by the first name. */
#define BTF_FUNCTION_NAME 32
typedef struct BtfFunction {
    uint32_t offset;              /* bytes from the start of the named struct */
    char name[BTF_FUNCTION_NAME]; /* the member's own, cut; not printable when the guest says so */
} BtfFunction;
/* How many there are, at most capacity; 0 also when there is no such struct. */
size_t btf_find_functions(const Btf *btf, const char *structure, BtfFunction *ret_functions,
                          size_t capacity);
/* The value of an enumerator; looks through all enums (some milliseconds). */
bool btf_find_enumerator(const Btf *btf, const char *name, int64_t *ret_value) MONATT_MUST_CHECK;

#endif
