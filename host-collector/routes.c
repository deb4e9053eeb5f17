/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * routes.c - one table, one function a route; a request is foreign bytes until it was checked
 */
#include "host-collector/routes.h"

#include <stdlib.h>
#include <string.h>
#include "host-collector/errors.h"
#include "host-collector/measure.h"
#include "host-collector/question.h"
#include "host-collector/worker/check-json.h"
#include "monatt-version.h"

#define SEGMENTS_MAXIMUM 6
#define LOOK_DEADLINE_US (10 * G_TIME_SPAN_SECOND)
#define CHECKS_DEADLINE_MS 3000 /* a finding takes 0.3 s */
#define TASKS_MAXIMUM 16384     /* in one answer; the report says how many there are */

typedef struct Call {
    Routes *routes;
    const HttpRequest *request;
    HttpAnswer *answer;
    const char *vm;   /* {vm} of the path */
    const char *last; /* {n} of the path */
} Call;

static void fail(Call *call, const MonattError *err)
{
    http_answer_error(call->answer, errors_http_status(err->code), err);
}

static void get_capabilities(Call *call)
{
    json_t *root = json_object();
    json_object_set_new(root, "version", json_string(MONATT_VERSION));
    json_object_set_new(root, "features",
                        json_pack("[s,s,s,s,s,s]", "evidence-1", SESSION_SUITE, "boot", "tasks",
                                  "plugin", "checks"));
    json_object_set_new(root, "host_id", json_string(session_host_id(call->routes->host.session)));
    json_object_set_new(root, "session", session_describe(call->routes->host.session));
    http_answer_json(call->answer, 200, root);
}

static void get_session(Call *call)
{
    MonattError err = {0};
    g_autoptr(GBytes) nonce = question_nonce(http_query(call->request, "nonce"), &err);
    char *json = nonce ? session_request(call->routes->host.session, nonce, &err) : NULL;
    if (!json && err.code == MONATT_ERROR_MISSING) {
        /* The host TPM, not what was asked for: the path is right, come again. */
        http_answer_error(call->answer, 503, &err);
        return;
    }
    if (!json) {
        fail(call, &err);
        return;
    }
    call->answer->status = 200;
    call->answer->media_type = "application/json";
    call->answer->body = g_bytes_new_take(json, strlen(json));
}

static void put_session(Call *call)
{
    MonattError err = {0};
    if (!session_accept(call->routes->host.session, call->request->body->data,
                        call->request->body->len, &err)) {
        fail(call, &err);
        return;
    }
    http_answer_json(call->answer, 200, session_describe(call->routes->host.session));
}

static void get_vms(Call *call)
{
    json_t *rows = json_array();
    json_t *root = json_object();
    g_autoptr(GPtrArray) list = vms_list(call->routes->vms);
    for (guint i = 0; i < list->len; i++) {
        json_array_append_new(rows, vm_describe(g_ptr_array_index(list, i)));
    }
    json_object_set_new(root, "vms", rows);
    http_answer_json(call->answer, 200, root);
}

static void get_vm(Call *call)
{
    MonattError err = {0};
    Vm *vm = vms_find(call->routes->vms, call->vm, &err);
    json_t *row = vm ? vm_describe_whole(vm, &err) : NULL;
    if (row) {
        http_answer_json(call->answer, 200, row);
    } else {
        fail(call, &err);
    }
    if (vm) {
        vm_unref(vm);
    }
}

static json_t *views_to_json(uint32_t views)
{
    json_t *list = json_array();
    for (uint8_t view = 1; view < MONATT_VIEW_COUNT; view++) {
        if (views & MONATT_VIEW_BIT(view)) {
            json_array_append_new(list, json_string(monatt_task_view_name(view)));
        }
    }
    return list;
}

static json_t *tasks_to_json(const MonattTaskReport *report)
{
    json_t *root = json_object();
    json_t *tasks = json_array();
    json_t *findings = json_array();
    json_object_set_new(root, "kernel", json_string(report->kernel));
    json_object_set_new(root, "views_wanted", views_to_json(report->summary.views_wanted));
    json_object_set_new(root, "views_read", views_to_json(report->summary.views_read));
    json_object_set_new(root, "reason", json_string(monatt_reason_name(report->summary.reason)));
    json_object_set_new(root, "text", json_string(report->summary.text));
    json_object_set_new(root, "task_count", json_integer((json_int_t)report->task_count));
    json_object_set_new(root, "tasks", tasks);
    json_object_set_new(root, "findings", findings);
    for (size_t i = 0; i < report->task_count && i < TASKS_MAXIMUM; i++) {
        const MonattTask *task = &report->tasks[i];
        json_t *row = json_object();
        json_object_set_new(row, "pid", json_integer(task->pid));
        json_object_set_new(row, "tgid", json_integer(task->tgid));
        json_object_set_new(row, "uid", json_integer(task->uid));
        json_object_set_new(row, "command", json_string(task->command));
        json_object_set_new(row, "kernel_thread", json_boolean(task->kernel_thread != 0));
        json_object_set_new(row, "views", views_to_json(task->views));
        json_array_append_new(tasks, row);
    }
    for (size_t i = 0; i < report->finding_count; i++) {
        const MonattFindingPayload *finding = &report->findings[i];
        json_t *row = json_object();
        json_object_set_new(row, "pid", json_integer(finding->pid));
        json_object_set_new(row, "command", json_string(finding->command));
        json_object_set_new(row, "seen_in", views_to_json(finding->views_present));
        json_object_set_new(row, "missing_in", views_to_json(finding->views_absent));
        json_object_set_new(row, "text", json_string(finding->text));
        json_array_append_new(findings, row);
    }
    return root;
}

static void get_tasks(Call *call)
{
    MonattError err = {0};
    MonattTaskReport *report = NULL;
    Vm *vm = vms_find(call->routes->vms, call->vm, &err);
    if (vm && vm_take(vm, g_get_monotonic_time() + LOOK_DEADLINE_US, &err)) {
        if (!measure_look_at_tasks(vm, &report, &err)) {
            report = NULL;
        }
        vm_release(vm);
    }
    if (report) {
        http_answer_json(call->answer, 200, tasks_to_json(report));
        monatt_task_report_free(report);
    } else {
        fail(call, &err);
    }
    if (vm) {
        vm_unref(vm);
    }
}

/* table NULL: all checks. */
static void get_look(Call *call, const char *table)
{
    const TableForm *form = table ? table_form(table) : NULL;
    const MonattCheckRequest request = {.deadline_ms = CHECKS_DEADLINE_MS,
                                        .checks = form ? 0 : UINT64_MAX,
                                        .tables = form ? 1u << (form - table_forms) : 0};
    MonattError err = {0};
    MonattCheckReport *report = NULL;
    Vm *vm = vms_find(call->routes->vms, call->vm, &err);
    if (vm && vm_take(vm, g_get_monotonic_time() + LOOK_DEADLINE_US, &err)) {
        if (!measure_look_at_checks(vm, &request, &report, &err)) {
            report = NULL;
        }
        vm_release(vm);
    }
    if (report) {
        http_answer_json(call->answer, 200, check_json(report, table));
        monatt_check_report_free(report);
    } else {
        fail(call, &err);
    }
    if (vm) {
        vm_unref(vm);
    }
}

static void get_checks(Call *call)
{
    get_look(call, NULL);
}

static void get_processes(Call *call)
{
    get_look(call, "tasks");
}

/* The path's last segment is the table's name. */
static void get_table(Call *call)
{
    get_look(call, strrchr(call->request->path, '/') + 1);
}

static void post_attest(Call *call)
{
    MonattError err = {0};
    uint32_t bits = 0;
    bool used = false;
    GBytes *evidence = NULL;
    Vm *vm = NULL;
    g_autoptr(GBytes) nonce =
        question_parse(call->request->body->data, call->request->body->len, &bits, &err);
    const uint8_t *bytes = nonce ? g_bytes_get_data(nonce, NULL) : NULL;
    if (nonce && store_nonce_used(call->routes->host.store, bytes, &used, &err) && !used &&
        (vm = vms_find(call->routes->vms, call->vm, &err)) != NULL) {
        evidence = attest_run(&call->routes->host, vm, bytes, bits, &err);
        vm_unref(vm);
        /* Two askers with one nonce: only the first report of it could be stored. */
        MonattError none = {0};
        if (!evidence && err.code == MONATT_ERROR_USAGE &&
            !store_nonce_used(call->routes->host.store, bytes, &used, &none)) {
            used = false;
        }
    }
    if (used) {
        monatt_error_set(&err, MONATT_ERROR_USAGE, "nonce: was used before");
        monatt_error_hint(&err, "draw a fresh one for each question");
        http_answer_error(call->answer, 409, &err);
    } else if (evidence) {
        call->answer->status = 200;
        call->answer->media_type = "application/cmw+json";
        call->answer->body = evidence;
    } else {
        fail(call, &err);
    }
}

/* A VM that runs, or one that ran once. */
static bool find_boot(Call *call, StoreVm *ret, MonattError *err)
{
    MonattError none = {0};
    Vm *vm = vms_find(call->routes->vms, call->vm, &none);
    if (!vm) {
        return store_find_vm(call->routes->host.store, call->vm, ret, err);
    }
    memset(ret, 0, sizeof(*ret));
    g_mutex_lock(&vm->lock);
    memcpy(ret->vid, vm->vid, sizeof(ret->vid));
    memcpy(ret->boot_seed, vm->seen.boot_seed, sizeof(ret->boot_seed));
    g_mutex_unlock(&vm->lock);
    vm_unref(vm);
    return true;
}

static void get_reports(Call *call)
{
    MonattError err = {0};
    StoreVm boot;
    g_autoptr(GArray) list = NULL;
    if (!find_boot(call, &boot, &err) ||
        !(list = store_list(call->routes->host.store, boot.vid, boot.boot_seed, &err))) {
        fail(call, &err);
        return;
    }
    json_t *rows = json_array();
    json_t *root = json_object();
    for (guint i = 0; i < list->len; i++) {
        const StoreReport *report = &g_array_index(list, StoreReport, i);
        char q3[2 * MONATT_SHA256_SIZE + 1];
        monatt_text_from_bytes(report->q3, sizeof(report->q3), q3);
        json_array_append_new(
            rows, json_pack("{s:I,s:s,s:I,s:I}", "number", (json_int_t)report->number, "q3", q3,
                            "time", (json_int_t)report->time_s, "size", (json_int_t)report->size));
    }
    json_object_set_new(root, "reports", rows);
    http_answer_json(call->answer, 200, root);
}

static void get_report(Call *call)
{
    MonattError err = {0};
    StoreVm boot;
    guint64 number;
    GBytes *evidence = NULL;
    if (!g_ascii_string_to_unsigned(call->last, 10, 1, G_MAXINT64, &number, NULL)) {
        monatt_error_set(&err, MONATT_ERROR_USAGE, "report: its number must be 1 or more");
    } else if (find_boot(call, &boot, &err)) {
        evidence = store_evidence(call->routes->host.store, boot.vid, boot.boot_seed, number, &err);
    }
    if (!evidence) {
        fail(call, &err);
        return;
    }
    call->answer->status = 200;
    call->answer->media_type = "application/cmw+json";
    call->answer->body = evidence;
}

/* "VM" and "N" stand for any segment. */
static const struct {
    const char *method;
    const char *path;
    void (*handle)(Call *call);
} table[] = {
    {"GET", "/v1/capabilities", get_capabilities},
    {"GET", "/v1/session", get_session},
    {"PUT", "/v1/session", put_session},
    {"GET", "/v1/vms", get_vms},
    {"GET", "/v1/vms/VM", get_vm},
    {"GET", "/v1/vms/VM/tasks", get_tasks},
    {"GET", "/v1/vms/VM/ps", get_processes},
    {"GET", "/v1/vms/VM/modules", get_table},
    {"GET", "/v1/vms/VM/sockets", get_table},
    {"GET", "/v1/vms/VM/hooks", get_table},
    {"GET", "/v1/vms/VM/bpf", get_table},
    {"GET", "/v1/vms/VM/maps", get_table},
    {"GET", "/v1/vms/VM/checks", get_checks},
    {"POST", "/v1/vms/VM/attest", post_attest},
    {"GET", "/v1/vms/VM/reports", get_reports},
    {"GET", "/v1/vms/VM/reports/N", get_report},
};

static bool match(const char *pattern, char **path, Call *call)
{
    g_auto(GStrv) wanted = g_strsplit(pattern, "/", SEGMENTS_MAXIMUM + 1);
    size_t i = 0;
    for (; wanted[i] && path[i]; i++) {
        if (strcmp(wanted[i], "VM") == 0 && *path[i]) {
            call->vm = path[i];
        } else if (strcmp(wanted[i], "N") == 0 && *path[i]) {
            call->last = path[i];
        } else if (strcmp(wanted[i], path[i]) != 0) {
            return false;
        }
    }
    return !wanted[i] && !path[i];
}

void routes_handle(const HttpRequest *request, HttpAnswer *answer, void *data)
{
    g_auto(GStrv) path = g_strsplit(request->path, "/", SEGMENTS_MAXIMUM + 1);
    Call call = {.routes = data, .request = request, .answer = answer};
    bool known = false;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        if (!match(table[i].path, path, &call)) {
            continue;
        }
        known = true;
        if (strcmp(table[i].method, request->method) == 0) {
            table[i].handle(&call);
            return;
        }
    }
    MonattError err = {0};
    monatt_error_set(&err, known ? MONATT_ERROR_USAGE : MONATT_ERROR_MISSING, "%s",
                     known ? "method: not for this path" : "path: there is nothing there");
    monatt_error_hint(&err, "see docs/architecture.md, \"The collector's socket\"");
    http_answer_error(answer, known ? 405 : 404, &err);
}
