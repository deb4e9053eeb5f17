/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mutate-table.c - all mutations
 */
#include <stddef.h>
#include "tests/mutators/mutate.h"

extern const Mutation mutations_of_tasks[];
extern const Mutation mutations_of_text[];
extern const Mutation mutations_of_rodata[];
extern const Mutation mutations_of_pages[];
extern const Mutation mutations_of_modules[];
extern const Mutation mutations_of_pointers[];
extern const Mutation mutations_of_held[];
extern const Mutation mutations_of_hooks[];
extern const Mutation mutations_of_objects[];

const Mutation *const mutation_tables[] = {
    mutations_of_tasks,   mutations_of_text,
    mutations_of_rodata,  mutations_of_pages,
    mutations_of_modules, mutations_of_pointers,
    mutations_of_held,    mutations_of_hooks,
    mutations_of_objects, NULL,
};
