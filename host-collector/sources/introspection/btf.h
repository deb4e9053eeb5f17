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

typedef struct Btf {
    const uint8_t *bytes; /* the caller's; must outlive this */
    size_t size;
    size_t types; /* offsets of the sections in bytes */
    size_t types_size;
    size_t strings;
    size_t strings_size;
    uint32_t *offsets; /* of type i (1-based) within the type section */
    uint32_t count;
} Btf;

typedef struct BtfMember {
    uint32_t bit_offset;
    uint32_t bit_size; /* 0: not a bit field */
} BtfMember;

/* Builds the index of types.  FORMAT, LIMIT; after a failure there is nothing to clear. */
bool btf_init(Btf *btf, const void *bytes, size_t size, MonattError *err) MONATT_MUST_CHECK;
void btf_clear(Btf *btf);
/* Type numbers of count structs by name, in one pass; 0 for one that is not there. */
void btf_find_structs(const Btf *btf, const char *const *names, uint32_t *ret_types, size_t count);
/* A member, also of unnamed structs and unions within; false when it is not there. */
bool btf_member(const Btf *btf, uint32_t type, const char *name,
                BtfMember *ret_member) MONATT_MUST_CHECK;
/* The struct behind a member that is one; false when it is another kind of type. */
bool btf_member_type(const Btf *btf, uint32_t type, const char *name,
                     uint32_t *ret_type) MONATT_MUST_CHECK;
/* sizeof a struct or union; 0 for anything else. */
uint32_t btf_struct_size(const Btf *btf, uint32_t type);

#endif
