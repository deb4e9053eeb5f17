/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf-check.h - the guest's BPF programs: what they are, what they may do and where they hang
 *
 * Shared by check-bpf.c (judges), bpf-objects.c (what the kernel lists), bpf-program.c (power and
 * digest), bpf-places.c (where programs hang) and bpf-holders.c (which process has a descriptor).
 */
#ifndef MONATT_INTROSPECTION_BPF_CHECK_H
#define MONATT_INTROSPECTION_BPF_CHECK_H

#include "host-collector/sources/introspection/checks/check.h"
#include "host-collector/sources/introspection/checks/layout.h"

#define BPF_PROGRAMS_MAXIMUM 4096u
#define BPF_PARTS_MAXIMUM 16384u /* functions of programs that consist of several */
#define BPF_MAPS_MAXIMUM 16384u
#define BPF_LINKS_MAXIMUM 16384u
#define BPF_NAME_SIZE 17
#define BPF_ATTACHED_SIZE 96

/* What a program may do to others (properties 2). */
#define BPF_POWER_USER_MEMORY 1u
#define BPF_POWER_RETURN 2u
#define BPF_POWER_PACKETS 4u
#define BPF_POWER_SIGNAL 8u
#define BPF_POWER_CONFINE 16u /* says no to a control group's own processes: no finding */
#define BPF_POWER_ALTERING                                                                         \
    (BPF_POWER_USER_MEMORY | BPF_POWER_RETURN | BPF_POWER_PACKETS | BPF_POWER_SIGNAL)

/* Of the kernel's user-space interface, include/uapi/linux/bpf.h: they never change. */
enum {
    BPF_TYPE_SOCKET_FILTER = 1,
    BPF_TYPE_TRACING = 26,
    BPF_TYPE_LSM = 29,
};

typedef struct BpfLayout {
    uint32_t program_type; /* struct bpf_prog; from here on all are needed to list programs */
    uint32_t program_attach_type;
    uint32_t program_length;
    uint32_t program_tag;
    uint32_t program_aux;
    uint32_t program_instructions;
    uint32_t aux_id;
    uint32_t aux_program;
    uint32_t aux_name;
    uint32_t aux_load_time; /* up to here */
    uint32_t program_jited_length;
    uint32_t aux_user;
    uint32_t aux_functions;
    uint32_t aux_function_count;
    uint32_t aux_attach_name;
    uint32_t aux_symbol;
    uint32_t aux_maps;
    uint32_t aux_map_count;
    uint32_t user_uid;
    uint32_t symbol_list;
    uint32_t symbol_start;
    uint32_t symbol_is_program;
    uint32_t idr_head;
    uint32_t map_type;
    uint32_t map_key_size;
    uint32_t map_value_size;
    uint32_t map_entries;
    uint32_t map_id;
    uint32_t map_name;
    uint32_t map_frozen;
    uint32_t link_id;
    uint32_t link_type;
    uint32_t link_program;
} BpfLayout;

typedef struct BpfProgram {
    uint64_t address; /* of struct bpf_prog; this and the next three say that it is the same one */
    uint64_t aux;
    uint64_t load_time_ns; /* after the guest's boot */
    uint32_t id;
    uint32_t type;
    uint32_t attach_type;
    uint32_t length; /* instructions */
    uint32_t jited_length;
    uint32_t uid; /* of who loaded it; UINT32_MAX: not readable */
    uint32_t power;
    bool blinded; /* its constants were made random when it was loaded: the digest means nothing */
    bool has_digest;
    uint8_t digest[MONATT_SHA256_SIZE];
    uint8_t tag[8];
    char name[BPF_NAME_SIZE];
    char function[64]; /* what it was made for: "bpf_lsm_file_open"; "": for nothing certain */
    /* Filled anew in each pass. */
    char attached[BPF_ATTACHED_SIZE];
    uint32_t places;
    bool sensitive; /* hangs where hiding needs it */
    uint32_t holder;
    char holder_name[20];
} BpfProgram;

typedef struct BpfMap {
    uint64_t address;
    uint32_t id;
    uint32_t type;
    uint32_t key_size;
    uint32_t value_size;
    uint32_t entries;
    uint8_t frozen;
    char name[BPF_NAME_SIZE];
    uint32_t holder;
    char holder_name[20];
    uint32_t user; /* the id of the first program that uses it; 0: none */
} BpfMap;

typedef struct BpfCheck {
    BpfLayout layout;
    const char *lacks; /* NULL: programs can be listed */
    char lacks_text[96];
    uint64_t call_base; /* __bpf_call_base; 0: not known */
    uint64_t dummy;     /* dummy_bpf_prog */
    bool whole;         /* this pass has read all programs that are listed */
    bool maps_whole, links_whole;
    uint32_t program_count, kept_count, part_count, map_count, link_count;
    BpfProgram programs[BPF_PROGRAMS_MAXIMUM]; /* ascending by address */
    BpfProgram kept[BPF_PROGRAMS_MAXIMUM];     /* of the last pass */
    uint64_t parts[BPF_PARTS_MAXIMUM];         /* ascending */
    BpfMap maps[BPF_MAPS_MAXIMUM];
    uint64_t map_addresses[BPF_MAPS_MAXIMUM]; /* ascending, as the next */
    uint64_t links[BPF_LINKS_MAXIMUM];
} BpfCheck;

/* Programs, their parts, maps and links that the kernel itself lists (bpf-objects.c). */
void bpf_read_objects(CheckContext *context, BpfCheck *check);
/* NULL: not listed. */
BpfProgram *bpf_find_program(BpfCheck *check, uint64_t address);
bool bpf_is_part(const BpfCheck *check, uint64_t address);
/* Bytes bpf_probe_write_user and its like are called with; fills digest and power (bpf-program.c).
 */
void bpf_look_into(CheckContext *context, BpfCheck *check, BpfProgram *program);
/* The power that type and way of attachment give. */
uint32_t bpf_power_of_type(uint32_t type, uint32_t attach_type);
const char *bpf_program_type_name(uint32_t type); /* as bpftool has them; "type 99" is NULL */
const char *bpf_map_type_name(uint32_t type);
void bpf_power_text(uint32_t power, char *text, size_t capacity);

/* What hangs where (bpf-places.c); each calls bpf_place(). */
void bpf_read_places(CheckContext *context, BpfCheck *check);
/* A program at address hangs at place ("tracepoint sys_enter_read"): says so in its attached, and
 * that it is hidden when it is in no list. */
void bpf_place(CheckContext *context, BpfCheck *check, uint64_t address, const char *place,
               bool sensitive);
/* A map, or a link, that is in use at place and in no list. */
void bpf_hidden_object(CheckContext *context, const char *kind, uint64_t address,
                       const char *place);
bool bpf_has_map(const BpfCheck *check, uint64_t address);
bool bpf_has_link(const BpfCheck *check, uint64_t address);
/* Maps that listed programs use and no list has (bpf-objects.c). */
void bpf_read_used_maps(CheckContext *context, BpfCheck *check);
/* Which process has a descriptor of a program, its link or a map (bpf-holders.c). */
void bpf_read_holders(CheckContext *context, BpfCheck *check);

#endif
