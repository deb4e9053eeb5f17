/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check-say.c - what a check says, bounded and printable
 */
#include "host-collector/sources/introspection/checks/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "libmonatt/base/text.h"

#define BEYOND_STEPS 16 /* of the budget, for a sighting that there is no room for */

static void say(char *out, size_t capacity, const char *text)
{
    monatt_text_printable(text, strlen(text), out, capacity);
}

static void say_format(char *out, size_t capacity, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

static void say_format(char *out, size_t capacity, const char *format, va_list arguments)
{
    char text[2 * CHECK_TEXT_SIZE];
    vsnprintf(text, sizeof(text), format, arguments);
    say(out, capacity, text);
}

void check_reason(CheckContext *context, MonattReason reason, const char *format, ...)
{
    va_list arguments;
    if (context->result->reason != MONATT_REASON_NONE) {
        return;
    }
    context->result->reason = reason;
    va_start(arguments, format);
    say_format(context->result->text, sizeof(context->result->text), format, arguments);
    va_end(arguments);
}

void check_lacks(CheckContext *context, const char *what)
{
    check_reason(context, MONATT_REASON_UNSUPPORTED, "this kernel has no %s", what);
}

void check_count(CheckContext *context, const char *what, uint64_t value)
{
    CheckResult *result = context->result;
    for (uint8_t i = 0; i < result->counter_count; i++) {
        if (strcmp(result->counters[i].name, what) == 0) {
            result->counters[i].value += value;
            return;
        }
    }
    if (result->counter_count < CHECK_COUNTERS) {
        say(result->counters[result->counter_count].name, CHECK_COUNTER_NAME, what);
        result->counters[result->counter_count++].value = value;
    }
}

void check_digest(CheckContext *context, const uint8_t digest[MONATT_SHA256_SIZE])
{
    memcpy(context->result->digest, digest, MONATT_SHA256_SIZE);
    context->result->has_digest = true;
}

void check_find(CheckContext *context, const CheckFinding *finding)
{
    CheckSightings *sightings = context->sightings;
    if (sightings->count >= CHECK_SIGHTINGS) {
        sightings->beyond++;
        /* A flood must not keep the worker from the other checks: its end is a reason. */
        (void)walk_budget_take(&context->budget, BEYOND_STEPS);
        return;
    }
    sightings->generations[sightings->count] = 0;
    CheckFinding *to = &sightings->items[sightings->count++];
    memset(to, 0, sizeof(*to));
    to->check = context->check->id;
    to->severity = finding->severity;
    to->address = finding->address;
    to->pid = finding->pid;
    to->start_ns = finding->start_ns;
    say(to->object, sizeof(to->object), finding->object);
    say(to->expected, sizeof(to->expected), finding->expected);
    say(to->observed, sizeof(to->observed), finding->observed);
    say(to->owner, sizeof(to->owner), finding->owner);
    say(to->text, sizeof(to->text), finding->text);
}

void check_found(CheckContext *context, CheckSeverity severity, uint64_t address,
                 const char *object, const char *expected, const char *observed, const char *owner,
                 const char *format, ...)
{
    CheckFinding finding = {.severity = (uint8_t)severity, .address = address};
    va_list arguments;
    say(finding.object, sizeof(finding.object), object);
    say(finding.expected, sizeof(finding.expected), expected);
    say(finding.observed, sizeof(finding.observed), observed);
    say(finding.owner, sizeof(finding.owner), owner);
    va_start(arguments, format);
    say_format(finding.text, sizeof(finding.text), format, arguments);
    va_end(arguments);
    check_find(context, &finding);
}

void check_generation(CheckContext *context, uint64_t generation)
{
    CheckSightings *sightings = context->sightings;
    if (sightings->count > 0 && sightings->beyond == 0) { /* else it was not kept */
        sightings->generations[sightings->count - 1] = generation;
    }
}

void check_name_address(CheckContext *context, uint64_t address, char ret[CHECK_OBJECT_SIZE])
{
    char name[KALLSYMS_NAME_MAXIMUM];
    uint64_t offset;
    Owner owner = {.kind = OWNER_KERNEL};
    if (context->owners) {
        owners_find(context->owners, address, &owner);
    }
    if (owner.kind == OWNER_KERNEL &&
        guest_kernel_symbol_at(context->kernel, address, name, &offset)) {
        snprintf(ret, CHECK_OBJECT_SIZE, "%.48s+%#lx", name, (unsigned long)offset);
    } else if (owner.kind != OWNER_KERNEL && owner.kind != OWNER_NONE) {
        snprintf(ret, CHECK_OBJECT_SIZE, "[%.40s] %#lx",
                 owner.name[0] ? owner.name : owner_kind_name(owner.kind), (unsigned long)address);
    } else {
        snprintf(ret, CHECK_OBJECT_SIZE, "%#lx", (unsigned long)address);
    }
    char printable[CHECK_OBJECT_SIZE];
    say(printable, sizeof(printable), ret);
    memcpy(ret, printable, sizeof(printable));
}

void check_owner_text(const Owner *owner, char ret[CHECK_OBJECT_SIZE])
{
    if (owner->kind == OWNER_MODULE) {
        snprintf(ret, CHECK_OBJECT_SIZE, "[%.60s]", owner->name);
    } else {
        snprintf(ret, CHECK_OBJECT_SIZE, "%.30s%s%.30s", owner_kind_name(owner->kind),
                 owner->name[0] ? " " : "", owner->name);
    }
}

Table *check_table_named(const CheckContext *context, const char *name)
{
    for (size_t i = 0; context->tables && table_forms[i].name; i++) {
        if (strcmp(table_forms[i].name, name) == 0) {
            return &context->tables[i];
        }
    }
    return NULL;
}

bool check_step(CheckContext *context)
{
    if (walk_budget_take(&context->budget, 1)) {
        return true;
    }
    check_reason(context, MONATT_REASON_BUDGET, "the walk took more than %u steps", CHECK_STEPS);
    return false;
}
