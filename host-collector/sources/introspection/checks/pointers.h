/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pointers.h - the kernel's tables of functions: which there are, and whether each may lead where
 * it does
 *
 * check-function-pointers.c runs the walks in pointers-*.c; pointers-judge.c says of every pointer
 * that they find whether it is good.  Tables are known by struct: their functions are the members
 * that BTF has as pointers to functions, so that no list of names ages.
 */
#ifndef MONATT_INTROSPECTION_POINTERS_H
#define MONATT_INTROSPECTION_POINTERS_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/checks/guest-list.h"
#include "host-collector/sources/introspection/checks/layout.h"
#include "host-collector/sources/introspection/checks/net-namespaces.h"

#define POINTER_FUNCTIONS                                                                          \
    128 /* of one struct; struct proto has 50, apic 40, file_operations 35                         \
         */
#define POINTER_FORM_SIZE 2048u
#define POINTER_FORMS 128
#define POINTER_PLACE_SIZE CHECK_OBJECT_SIZE
#define POINTER_TABLES 8192u /* places looked at in one pass (a power of two); more: incomplete */
#define POINTER_COPIES (2u * 1024 * 1024) /* bytes kept of tables that were good */
#define POINTER_TRIES 5                   /* properties 8, torn reads */

/* A struct and where its functions are. */
typedef struct PointerForm {
    char structure[32];
    uint32_t size;  /* up to its last function; 0: BTF has no such struct with functions */
    uint32_t count; /* of functions */
    BtfFunction functions[POINTER_FUNCTIONS];
} PointerForm;

/* Who may stand in a table. */
typedef enum PointerPolicy {
    POINTER_CORE,     /* the kernel's own code, wherever the table lies */
    POINTER_OWN,      /* of a table in the kernel's image the same; else a listed module's too */
    POINTER_ANYONE,   /* a listed module's even in the kernel's image: that is what it is for */
    POINTER_PROGRAMS, /* as POINTER_OWN, and BPF programs (struct_ops) */
} PointerPolicy;

typedef struct PointerPlaces {
    uint64_t addresses[POINTER_TABLES]; /* 0: free; open addressing */
    uint32_t copies[POINTER_TABLES];    /* offset of its copy */
    uint32_t sizes[POINTER_TABLES];     /* bytes of it */
    uint32_t count;
} PointerPlaces;

/* One row of pointers-registries.c as this kernel has it. */
#define POINTER_REGISTRIES 64
typedef struct PointerRegistry {
    bool there;
    bool embedded; /* the name is in the element, not behind a pointer */
    uint64_t head;
    uint32_t bytes; /* up to the next symbol */
    uint32_t first, link, operations, name, stride;
    const PointerForm *form;
} PointerRegistry;

typedef struct PointersCheck {
    uint64_t image_start, image_end; /* _text to _end */
    uint64_t init_start, init_end;   /* _sinittext to _einittext, freed after boot; 0: not known */
    PointerForm forms[POINTER_FORMS];
    uint32_t form_count;
    bool resolved; /* registries */
    PointerRegistry registries[POINTER_REGISTRIES];
    PointerPlaces seen;  /* in this pass */
    PointerPlaces known; /* tables that were good, with a copy of their bytes */
    uint8_t *copies;
    uint32_t copies_used;
    NetNamespaces namespaces;
    uint64_t open_next;         /* files_struct with which the next pass begins; 0: the first */
    uint64_t tables, functions; /* counted in this pass */
    bool unowned;               /* a module's code was met while modules are not known */
    bool full;
} PointersCheck;

/* pointers-judge.c */
/* NULL: this kernel has no such struct. */
const PointerForm *pointers_form(CheckContext *context, PointersCheck *check,
                                 const char *structure);
/* True the first time in a pass; false also when there is no room (said as the check's reason). */
bool pointers_first(CheckContext *context, PointersCheck *check, uint64_t address);
/* One function at slot; 0 is none. */
void pointers_judge(CheckContext *context, PointersCheck *check, const char *kind,
                    const char *place, uint64_t slot, uint64_t target, PointerPolicy policy);
/* All functions of the table at address; 0 is none.  Looks at each table once a pass. */
void pointers_judge_table(CheckContext *context, PointersCheck *check, const char *kind,
                          const char *place, uint64_t address, const PointerForm *form,
                          PointerPolicy policy);
/* As above of bytes that were read already: those of a whole struct, form->size or more. */
void pointers_judge_bytes(CheckContext *context, PointersCheck *check, const char *kind,
                          const char *place, uint64_t address, const uint8_t *bytes,
                          const PointerForm *form, PointerPolicy policy);
/* The pointer at slot leads to a table of the kernel's own: a table elsewhere is a finding, but in
 * a listed module's memory when the object is a module's. */
void pointers_judge_operations(CheckContext *context, PointersCheck *check, const char *kind,
                               const char *place, uint64_t slot, uint64_t table,
                               const char *structure, bool object_of_kernel);
bool pointers_in_image(const PointersCheck *check, uint64_t address);
static inline uint64_t pointers_word(const uint8_t *bytes, uint32_t offset)
{
    uint64_t word;
    __builtin_memcpy(&word, bytes + offset, sizeof(word));
    return word;
}

/* The walks; each says what it could not read. */
void pointers_read_registries(CheckContext *context, PointersCheck *check);   /* -registries.c */
void pointers_read_chains(CheckContext *context, PointersCheck *check);       /* -chains.c */
void pointers_read_proc(CheckContext *context, PointersCheck *check);         /* -proc.c */
void pointers_read_super_blocks(CheckContext *context, PointersCheck *check); /* -files.c */
void pointers_read_security(CheckContext *context, PointersCheck *check);     /* -security.c */
void pointers_read_timers(CheckContext *context, PointersCheck *check);       /* -timers.c */
void pointers_read_pending(CheckContext *context, PointersCheck *check);      /* -pending.c */
void pointers_read_interrupts(CheckContext *context, PointersCheck *check);   /* -interrupts.c */
void pointers_read_open(CheckContext *context, PointersCheck *check);         /* -open.c */

#endif
