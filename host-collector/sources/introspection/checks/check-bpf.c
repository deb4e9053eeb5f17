/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-bpf.c - the guest's BPF programs, links and maps: all listed, and none that alters things
 * unless it is known
 *
 * A program that runs somewhere and is in no list of the kernel's is hidden: compromised.  One that
 * may alter what others see is degraded, and compromised where hiding needs it (properties 2).
 * Programs that only watch, and those that confine the processes of a control group, as systemd
 * loads them on every host, are listed and no finding.
 */
#include "host-collector/sources/introspection/checks/check-list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "host-collector/sources/introspection/checks/bpf-check.h"
#include "host-collector/sources/introspection/checks/bpf-places.h"
#include "libmonatt/base/macros.h"
#include "libmonatt/base/text.h"

#define MEMBER(field, structure, path) LAYOUT_MEMBER(BpfLayout, field, structure, path)
static const LayoutRow rows[] = {
    MEMBER(program_type, "bpf_prog", "type"),
    MEMBER(program_attach_type, "bpf_prog", "expected_attach_type"),
    MEMBER(program_length, "bpf_prog", "len"),
    MEMBER(program_tag, "bpf_prog", "tag"),
    MEMBER(program_aux, "bpf_prog", "aux"),
    MEMBER(program_instructions, "bpf_prog", "insnsi"),
    MEMBER(aux_id, "bpf_prog_aux", "id"),
    MEMBER(aux_program, "bpf_prog_aux", "prog"),
    MEMBER(aux_name, "bpf_prog_aux", "name"),
    MEMBER(aux_load_time, "bpf_prog_aux", "load_time"),
    MEMBER(program_jited_length, "bpf_prog", "jited_len"),
    MEMBER(aux_user, "bpf_prog_aux", "user"),
    MEMBER(aux_functions, "bpf_prog_aux", "func"),
    MEMBER(aux_function_count, "bpf_prog_aux", "func_cnt"),
    MEMBER(aux_attach_name, "bpf_prog_aux", "attach_func_name"),
    MEMBER(aux_symbol, "bpf_prog_aux", "ksym"),
    MEMBER(aux_maps, "bpf_prog_aux", "used_maps"),
    MEMBER(aux_map_count, "bpf_prog_aux", "used_map_cnt"),
    MEMBER(user_uid, "user_struct", "uid"),
    MEMBER(symbol_list, "bpf_ksym", "lnode"),
    MEMBER(symbol_start, "bpf_ksym", "start"),
    MEMBER(symbol_is_program, "bpf_ksym", "prog"),
    MEMBER(idr_head, "idr", "idr_rt.xa_head"),
    MEMBER(map_type, "bpf_map", "map_type"),
    MEMBER(map_key_size, "bpf_map", "key_size"),
    MEMBER(map_value_size, "bpf_map", "value_size"),
    MEMBER(map_entries, "bpf_map", "max_entries"),
    MEMBER(map_id, "bpf_map", "id"),
    MEMBER(map_name, "bpf_map", "name"),
    MEMBER(map_frozen, "bpf_map", "frozen"),
    MEMBER(link_id, "bpf_link", "id"),
    MEMBER(link_type, "bpf_link", "type"),
    MEMBER(link_program, "bpf_link", "prog"),
};

static BpfCheck *prepare(CheckContext *context)
{
    BpfCheck *check = *context->state;

    if (check) {
        return check;
    }
    check = calloc(1, sizeof(*check));
    if (!check) {
        check_reason(context, MONATT_REASON_BUDGET, "out of memory");
        return NULL;
    }
    layout_read(context->kernel, rows, MONATT_ARRAY_SIZE(rows), &check->layout);
    check->lacks = layout_lacks(rows, MONATT_ARRAY_SIZE(rows), &check->layout,
                                offsetof(BpfLayout, program_jited_length), check->lacks_text,
                                sizeof(check->lacks_text));
    if (!check->lacks && !layout_has(check->layout.idr_head)) {
        check->lacks = "idr.idr_rt.xa_head";
    }
    check->call_base = layout_symbol(context->kernel, "__bpf_call_base");
    check->dummy = layout_symbol(context->kernel, "dummy_bpf_prog");
    *context->state = check;
    return check;
}

static void find_hidden(CheckContext *context, const BpfCheck *check, uint64_t address,
                        const char *place)
{
    AddressSpace *space = &context->kernel->space;
    char bytes[BPF_NAME_SIZE - 1], name[BPF_NAME_SIZE] = "", object[CHECK_OBJECT_SIZE];
    const char *type = NULL;
    uint64_t aux;
    uint32_t number;

    if (address_space_u64(space, address + check->layout.program_aux, &aux) &&
        address_space_read(space, aux + check->layout.aux_name, bytes, sizeof(bytes))) {
        monatt_text_printable(bytes, strnlen(bytes, sizeof(bytes)), name, sizeof(name));
    }
    if (address_space_u32(space, address + check->layout.program_type, &number)) {
        type = bpf_program_type_name(number);
    }
    snprintf(object, sizeof(object), "BPF program '%s'", name);
    check_found(context, CHECK_COMPROMISED, address, object, "in the kernel's list of programs",
                place ? place : "in its list of symbols", "",
                "a hidden BPF program of type %s runs %s%s", type ? type : "that is not known",
                place ? "at " : "", place ? place : "and has a symbol");
}

void bpf_hidden_object(CheckContext *context, const char *kind, uint64_t address, const char *place)
{
    char object[CHECK_OBJECT_SIZE];

    snprintf(object, sizeof(object), "BPF %s", kind);
    check_found(context, CHECK_COMPROMISED, address, object, "in the kernel's list", place, "",
                "a hidden BPF %s is in use: %s", kind, place);
}

void bpf_place(CheckContext *context, BpfCheck *check, uint64_t address, const char *place,
               bool sensitive)
{
    BpfProgram *program;
    size_t used;

    if (address == 0 || address == check->dummy) {
        return;
    }
    program = bpf_find_program(check, address);
    if (!program) {
        if (check->whole && !bpf_is_part(check, address)) {
            find_hidden(context, check, address, place);
        }
        return;
    }
    if (!place) {
        return;
    }
    program->places++;
    program->sensitive |= sensitive;
    used = strlen(program->attached);
    if (!strstr(program->attached, place) && used + 3 < sizeof(program->attached)) {
        snprintf(program->attached + used, sizeof(program->attached) - used, "%s%s",
                 used ? ", " : "", place);
    }
}

/* init of the guest holds what it loaded for its units: a program of LSM that confines them. */
static bool is_of_init(const BpfProgram *program)
{
    return program->holder == 1 && program->uid == 0 && program->type == BPF_TYPE_LSM &&
           strncmp(program->function, "bpf_lsm_bpf", 11) != 0 &&
           strcmp(program->function, "bpf_lsm_task_kill") != 0;
}

/* The word for the table of hooks. */
static const char *judge(CheckContext *context, const BpfProgram *program)
{
    bool sensitive = program->sensitive || bpf_function_is_sensitive(program->function);
    char object[CHECK_OBJECT_SIZE], power[64], digest[MONATT_SHA256_SIZE * 2 + 1] = "";
    const char *place = program->attached[0]   ? program->attached
                        : program->function[0] ? program->function
                                               : "nowhere that was found";

    if ((program->power & BPF_POWER_ALTERING) == 0 || is_of_init(program)) {
        return "good";
    }
    if (program->has_digest) {
        monatt_text_from_bytes(program->digest, sizeof(program->digest), digest);
    }
    bpf_power_text(program->power, power, sizeof(power));
    snprintf(object, sizeof(object), "BPF program %u '%s'", program->id, program->name);
    check_found(context, sensitive ? CHECK_COMPROMISED : CHECK_DEGRADED, program->address, object,
                "a program that only watches, or is known", digest, program->holder_name,
                "%s program that may alter %s, at %s%s",
                bpf_program_type_name(program->type) ? bpf_program_type_name(program->type) : "a",
                power, place, sensitive ? ", which hiding needs" : "");
    return sensitive ? "bad" : "odd";
}

/* Where it hangs, among all other hooks. */
static void put_hook(CheckContext *context, const BpfProgram *program, const char *state)
{
    Table *table = check_table_named(context, "hooks");
    char text[64];

    if (!table || program->places == 0) {
        return;
    }
    table_text(table, "bpf");
    table_text(table, program->attached);
    snprintf(text, sizeof(text), "program %u '%s'", program->id, program->name);
    table_text(table, text);
    table_text(table, program->holder_name);
    table_text(table, state);
    table_hex(table, program->address);
    bpf_power_text(program->power, text, sizeof(text));
    table_text(table, text);
    table_end_row(table);
}

static int compare_ids(const void *a, const void *b)
{
    const BpfProgram *const *left = a, *const *right = b;
    return (*left)->id < (*right)->id ? -1 : (*left)->id > (*right)->id;
}

static void put_program(CheckContext *context, const BpfProgram *program)
{
    const char *type = bpf_program_type_name(program->type);
    char digits[2 * MONATT_SHA256_SIZE + 1] = "", text[96];

    table_number(context->table, program->id);
    snprintf(text, sizeof(text), "type %u", program->type);
    table_text(context->table, type ? type : text);
    table_text(context->table, program->name);
    monatt_text_from_bytes(program->tag, sizeof(program->tag), digits);
    table_text(context->table, digits);
    monatt_text_from_bytes(program->digest, sizeof(program->digest), digits);
    if (program->has_digest && !program->blinded) {
        table_text(context->table, digits);
    } else {
        table_nothing(context->table);
    }
    bpf_power_text(program->power, text, sizeof(text));
    table_text(context->table, text);
    table_text(context->table, program->attached[0] ? program->attached : program->function);
    if (program->holder != 0) {
        snprintf(text, sizeof(text), "uid %u, pid %u %s", program->uid, program->holder,
                 program->holder_name);
    } else {
        snprintf(text, sizeof(text), "uid %u", program->uid);
    }
    table_text(context->table, text);
    table_number(context->table, program->length * 8ull);
    snprintf(text, sizeof(text), "loaded %lu s after boot%s%s",
             (unsigned long)(program->load_time_ns / 1000000000u),
             program->jited_length == 0 ? ", interpreted" : "",
             program->blinded ? ", blinded" : "");
    table_text(context->table, text);
    table_end_row(context->table);
}

static void put_programs(CheckContext *context, const BpfCheck *check)
{
    const BpfProgram **order MONATT_CLEANUP_FREE =
        calloc((size_t)check->program_count + 1, sizeof(*order));

    if (!order) {
        return;
    }
    for (uint32_t i = 0; i < check->program_count; i++) {
        order[i] = &check->programs[i];
    }
    qsort(order, check->program_count, sizeof(*order), compare_ids);
    for (uint32_t i = 0; i < check->program_count; i++) {
        put_program(context, order[i]);
    }
}

static void put_maps(CheckContext *context, const BpfCheck *check)
{
    Table *table = check_table_named(context, "maps");

    for (uint32_t i = 0; table && i < check->map_count; i++) {
        const BpfMap *map = &check->maps[i];
        const char *type = bpf_map_type_name(map->type);
        char text[64];

        table_number(table, map->id);
        snprintf(text, sizeof(text), "type %u", map->type);
        table_text(table, type ? type : text);
        table_text(table, map->name);
        table_number(table, map->key_size);
        table_number(table, map->value_size);
        table_number(table, map->entries);
        table_flag(table, map->frozen != 0);
        text[0] = '\0';
        if (map->holder != 0) {
            snprintf(text, sizeof(text), "held by pid %u %s", map->holder, map->holder_name);
        }
        table_text(table, text);
        table_end_row(table);
    }
}

static void run(CheckContext *context)
{
    BpfCheck *check = prepare(context);

    if (!check) {
        return;
    }
    if (check->lacks) {
        check_lacks(context, check->lacks);
        return;
    }
    bpf_read_objects(context, check);
    bpf_read_places(context, check);
    bpf_read_used_maps(context, check);
    bpf_read_holders(context, check);
    for (uint32_t i = 0; i < check->program_count; i++) {
        put_hook(context, &check->programs[i], judge(context, &check->programs[i]));
    }
    if (context->table) {
        put_programs(context, check);
    }
    put_maps(context, check);
    check_count(context, "programs", check->program_count);
    check_count(context, "maps", check->map_count);
    check_count(context, "links", check->link_count);
}

const Check check_bpf = {MONATT_SUBCHECK_BPF, "bpf", "bpf", run, free, "maps"};
