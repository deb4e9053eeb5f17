/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate.h - attacks on a guest's kernel, as writes to the guest's RAM from outside
 *
 * Each mutation leaves RAM as one technique would leave it: which task, symbol or byte it takes is
 * drawn from a seed, so that a thousand placements of one technique differ.  Every write is kept
 * and can be taken back.  A test tool for guests that are thrown away; it must never be installed.
 * It takes no lock of the guest: stop the guest first, or work on a file with its RAM.
 */
#ifndef MONATT_TESTS_MUTATE_H
#define MONATT_TESTS_MUTATE_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/task-scan.h"

#define MUTATOR_WRITES 256
#define MUTATOR_WRITE_SIZE 4096u
#define MUTATOR_PAGES_MAXIMUM (1u << 23) /* of a guest's RAM */

typedef struct MutationWrite {
    uint64_t offset; /* in the RAM file */
    uint32_t size;
    uint8_t before[MUTATOR_WRITE_SIZE];
} MutationWrite;

typedef struct Mutator {
    GuestMemory memory; /* as the checks see it */
    GuestKernel kernel;
    TaskScan tasks;
    uint8_t *writable;
    uint64_t size;
    uint64_t low;     /* bytes of the file below the PCI hole; 0: all */
    uint64_t random;  /* state: any number is a seed */
    CheckVcpu *vcpus; /* a forged copy of the registers; NULL: none are given */
    uint32_t vcpu_count;
    size_t write_count;
    MutationWrite writes[MUTATOR_WRITES];
    /* What the last mutation did: said by itself. */
    uint64_t address;
    uint64_t target; /* the foreign code of a hook; 0: none */
    uint32_t pid;
    char object[CHECK_OBJECT_SIZE]; /* the symbol, task, module that a finding should name */
    char what[CHECK_TEXT_SIZE];
} Mutator;

#define MUTATION_BIT(sub_check) (1u << (sub_check))

typedef struct Mutation {
    const char *name;
    uint32_t checks; /* MUTATION_BIT()s of the checks that must find it: one of them has to */
    bool survivable; /* a guest that runs goes on with it */
    const char *what;
    /* MISSING: this guest has nothing of that kind (no module, no socket). argument: NULL, or
     * which one. */
    bool (*apply)(Mutator *mutator, const char *argument, MonattError *err);
} Mutation;

/* Of all files; each ends with a name of NULL. */
extern const Mutation *const mutation_tables[];
const Mutation *mutation_find(const char *name);
/* NULL at the end. */
const Mutation *mutation_at(size_t index);

/* Opens a RAM file for writing and finds the kernel in it. */
bool mutator_open(Mutator *mutator, const char *path, uint64_t low,
                  MonattError *err) MONATT_MUST_CHECK;
void mutator_close(Mutator *mutator);
/* The file behind QEMU's memory backend. */
bool mutator_backend(unsigned long qemu, char *path, size_t capacity,
                     MonattError *err) MONATT_MUST_CHECK;
/* Takes all writes back, the last one first, and forgets them. */
void mutator_undo(Mutator *mutator);
/* Keeps the writes in a file, or takes those of a file back. */
bool mutator_save(const Mutator *mutator, const char *path, MonattError *err) MONATT_MUST_CHECK;
bool mutator_undo_file(Mutator *mutator, const char *path, MonattError *err) MONATT_MUST_CHECK;

/* For the mutations. Addresses are guest-virtual. */
uint64_t mutator_draw(Mutator *mutator, uint64_t below); /* 0 to below - 1; 0 for 0 */
bool mutator_read(Mutator *mutator, uint64_t address, void *bytes, size_t size,
                  MonattError *err) MONATT_MUST_CHECK;
bool mutator_read_u64(Mutator *mutator, uint64_t address, uint64_t *ret_value,
                      MonattError *err) MONATT_MUST_CHECK;
bool mutator_write(Mutator *mutator, uint64_t address, const void *bytes, size_t size,
                   MonattError *err) MONATT_MUST_CHECK;
bool mutator_write_u64(Mutator *mutator, uint64_t address, uint64_t value,
                       MonattError *err) MONATT_MUST_CHECK;
bool mutator_write_physical(Mutator *mutator, uint64_t physical, const void *bytes, size_t size,
                            MonattError *err) MONATT_MUST_CHECK;
/* MISSING with the name. */
bool mutator_symbol(Mutator *mutator, const char *name, uint64_t *ret_address,
                    MonattError *err) MONATT_MUST_CHECK;
bool mutator_member(Mutator *mutator, const char *structure, const char *path, uint32_t *ret_offset,
                    MonattError *err) MONATT_MUST_CHECK;
/* The first of the names that there is. names ends with NULL. */
bool mutator_any_symbol(Mutator *mutator, const char *const *names, uint64_t *ret_address,
                        MonattError *err) MONATT_MUST_CHECK;
/* Code that a hook could lie in and nobody has registered: in the direct map or on a stack. */
bool mutator_foreign(Mutator *mutator, uint64_t *ret_address, MonattError *err) MONATT_MUST_CHECK;
/* A function of core text drawn from all, with the bytes up to the next symbol. */
bool mutator_function(Mutator *mutator, uint64_t *ret_address, uint64_t *ret_size,
                      MonattError *err) MONATT_MUST_CHECK;
/* The bytes from a symbol to the next one of another address. */
uint64_t mutator_symbol_size(Mutator *mutator, uint64_t address);
/* A page of zeros with a place in the direct map, where a forged structure can stand. */
bool mutator_scratch(Mutator *mutator, uint64_t *ret_address, MonattError *err) MONATT_MUST_CHECK;
/* A copy of a table in memory of its own, with one slot that leads to foreign code; at most 512
 * bytes of it (mutate-pointers.c). */
bool mutator_forge(Mutator *mutator, uint64_t table, size_t size, uint32_t slot, uint64_t *ret_copy,
                   MonattError *err) MONATT_MUST_CHECK;
/* What was done; object: the name that the finding must bear, "" when it has none. */
void mutator_say(Mutator *mutator, uint64_t address, const char *object, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "do_syscall_64+0x2c". */
void mutator_name(Mutator *mutator, uint64_t address, char ret[CHECK_OBJECT_SIZE]);
/* struct list_head: next and previous of a node are joined. */
bool mutator_unlink(Mutator *mutator, uint64_t node, MonattError *err) MONATT_MUST_CHECK;
/* MISSING "this guest has no …". */
bool mutator_none(MonattError *err, const char *what);

/* Task mutations also by their process, for the command line (mutate-tasks.c). */
bool mutate_hide(Mutator *mutator, uint32_t pid, bool list, bool idr,
                 MonattError *err) MONATT_MUST_CHECK;
bool mutate_unhide(Mutator *mutator, uint32_t pid, MonattError *err) MONATT_MUST_CHECK;

#endif
