/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * payloads.c - encoding and decoding of the larger control payloads
 */
#include "libmonatt/control/control.h"

#include <string.h>

static void write_text(MonattWriter *w, const char *text, size_t capacity)
{
    size_t length = strnlen(text, capacity);
    monatt_writer_u16_be(w, (uint16_t)length);
    monatt_writer_bytes(w, text, length);
}

static bool read_text(MonattReader *r, char *text, size_t capacity)
{
    uint16_t length;
    const uint8_t *bytes;
    if (!monatt_reader_sized_u16_be(r, capacity - 1, &bytes, &length)) {
        return false;
    }
    if (memchr(bytes, 0, length)) {
        return monatt_reader_fail(r, "a NUL inside text");
    }
    memcpy(text, bytes, length);
    text[length] = '\0';
    return true;
}

void monatt_device_status_encode(MonattWriter *w, const MonattDeviceStatus *status)
{
    monatt_writer_bytes(w, status->vid, sizeof(status->vid));
    write_text(w, status->name, sizeof(status->name));
    monatt_writer_bytes(w, status->boot_seed, sizeof(status->boot_seed));
    monatt_writer_u64_be(w, status->boot_count);
    monatt_writer_u64_be(w, status->start_boottime_ns);
    monatt_writer_u64_be(w, status->records);
    monatt_writer_u64_be(w, status->synced_records);
    monatt_writer_u64_be(w, status->paused_ns);
    monatt_writer_u32_be(w, status->fault);
    monatt_writer_u32_be(w, status->device_pid);
    monatt_writer_u32_be(w, status->qemu_pid);
    monatt_writer_u8(w, status->stopped);
    monatt_writer_u8(w, status->accelerator);
    monatt_writer_u8(w, status->plugin);
    monatt_writer_u8(w, status->reset_pending);
}

bool monatt_device_status_decode(const void *bytes, size_t size, MonattDeviceStatus *ret,
                                 MonattError *err)
{
    MonattReader r;
    MonattDeviceStatus status;
    memset(&status, 0, sizeof(status));
    monatt_reader_init(&r, "device status", bytes, size, err);
    if (!monatt_reader_copy(&r, status.vid, sizeof(status.vid)) ||
        !read_text(&r, status.name, sizeof(status.name)) ||
        !monatt_reader_copy(&r, status.boot_seed, sizeof(status.boot_seed)) ||
        !monatt_reader_u64_be(&r, &status.boot_count) ||
        !monatt_reader_u64_be(&r, &status.start_boottime_ns) ||
        !monatt_reader_u64_be(&r, &status.records) ||
        !monatt_reader_u64_be(&r, &status.synced_records) ||
        !monatt_reader_u64_be(&r, &status.paused_ns) || !monatt_reader_u32_be(&r, &status.fault) ||
        !monatt_reader_u32_be(&r, &status.device_pid) ||
        !monatt_reader_u32_be(&r, &status.qemu_pid) || !monatt_reader_u8(&r, &status.stopped) ||
        !monatt_reader_u8(&r, &status.accelerator) || !monatt_reader_u8(&r, &status.plugin) ||
        !monatt_reader_u8(&r, &status.reset_pending) || !monatt_reader_finish(&r)) {
        return false;
    }
    if (!monatt_text_check_name(status.name, err)) {
        return monatt_error_prefix(err, "device status");
    }
    *ret = status;
    return true;
}

void monatt_attach_request_encode(MonattWriter *w, const MonattAttachRequest *request)
{
    monatt_writer_bytes(w, request->vid, sizeof(request->vid));
    write_text(w, request->name, sizeof(request->name));
    monatt_writer_u8(w, request->accelerator);
    monatt_writer_u8(w, request->want_plugin);
    monatt_writer_u8(w, request->wire);
    monatt_writer_u8(w, request->actions);
    monatt_writer_u32_be(w, request->vcpus);
    monatt_writer_u32_be(w, request->item_count);
    for (uint32_t i = 0; i < request->item_count && i < MONATT_BOOT_ITEMS_MAXIMUM; i++) {
        monatt_boot_items_encode(w, &request->items[i], 1);
    }
}

void monatt_boot_items_encode(MonattWriter *w, const MonattBootItemPayload *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t start = w->size;
        monatt_writer_u32_be(w, 0);
        monatt_boot_item_encode(w, &items[i]);
        if (!w->failed) {
            monatt_writer_patch_u32_be(w, start, (uint32_t)(w->size - start - 4));
        }
    }
}

bool monatt_boot_items_decode(MonattReader *r, MonattBootItemPayload *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t length;
        MonattRecord record = {.type = MONATT_RECORD_BOOT_ITEM, .version = MONATT_RECORD_VERSION};
        if (!monatt_reader_count(r, MONATT_CONTENT_MAXIMUM, &length) ||
            !monatt_reader_bytes(r, length, &record.payload)) {
            return false;
        }
        record.payload_size = length;
        /* The machine's description has the same form but is a record type of its own. */
        if (length >= 2 && record.payload[0] == 0 && record.payload[1] == MONATT_BOOT_MACHINE) {
            record.type = MONATT_RECORD_MACHINE;
        }
        if (!monatt_boot_item_decode(&record, &items[i], r->err)) {
            r->failed = true;
            return false;
        }
    }
    return true;
}

bool monatt_attach_request_decode(const void *bytes, size_t size, MonattAttachRequest *ret,
                                  MonattError *err)
{
    static const uint8_t zeros[MONATT_UUID_SIZE];
    MonattReader r;
    memset(ret, 0, sizeof(*ret));
    monatt_reader_init(&r, "attach request", bytes, size, err);
    if (!monatt_reader_copy(&r, ret->vid, sizeof(ret->vid)) ||
        !read_text(&r, ret->name, sizeof(ret->name)) || !monatt_reader_u8(&r, &ret->accelerator) ||
        !monatt_reader_u8(&r, &ret->want_plugin) || !monatt_reader_u8(&r, &ret->wire) ||
        !monatt_reader_u8(&r, &ret->actions) || !monatt_reader_u32_be(&r, &ret->vcpus) ||
        !monatt_reader_count(&r, MONATT_BOOT_ITEMS_MAXIMUM, &ret->item_count) ||
        !monatt_boot_items_decode(&r, ret->items, ret->item_count) || !monatt_reader_finish(&r)) {
        return false;
    }
    if (!monatt_text_check_name(ret->name, err)) {
        return monatt_error_prefix(err, "attach request");
    }
    /* An empty id would name the folder of all VMs' state (case M07). */
    if (monatt_bytes_equal(ret->vid, zeros, sizeof(zeros))) {
        monatt_error_set(err, MONATT_ERROR_FORMAT, "attach request: '%s': uuid is all zeros",
                         ret->name);
        return monatt_error_hint(err, "give the VM a uuid with -uuid");
    }
    if (ret->accelerator > 2 || ret->want_plugin > 1 || ret->wire > MONATT_WIRE_VFIO_USER ||
        ret->actions > (MONATT_ACTION_NO_REBOOT | MONATT_ACTION_NO_SHUTDOWN)) {
        return monatt_error_set(
            err, MONATT_ERROR_FORMAT,
            "attach request: '%s': accelerator %u, plugin %u, wire %u, actions %u", ret->name,
            ret->accelerator, ret->want_plugin, ret->wire, ret->actions);
    }
    if (ret->vcpus == 0 || ret->vcpus > MONATT_VCPUS_MAXIMUM) {
        monatt_error_set(err, MONATT_ERROR_LIMIT, "attach request: '%s': %u vCPUs", ret->name,
                         ret->vcpus);
        return monatt_error_hint(err, "1 to %d vCPUs can be watched", MONATT_VCPUS_MAXIMUM);
    }
    return true;
}

void monatt_attach_answer_encode(MonattWriter *w, const MonattAttachAnswer *answer)
{
    monatt_writer_u64_be(w, answer->ring_size);
    write_text(w, answer->wire_path, sizeof(answer->wire_path));
}

bool monatt_attach_answer_decode(const void *bytes, size_t size, MonattAttachAnswer *ret,
                                 MonattError *err)
{
    MonattReader r;
    MonattAttachAnswer answer;
    memset(&answer, 0, sizeof(answer));
    monatt_reader_init(&r, "attach answer", bytes, size, err);
    if (!monatt_reader_u64_be(&r, &answer.ring_size) ||
        !read_text(&r, answer.wire_path, sizeof(answer.wire_path)) || !monatt_reader_finish(&r)) {
        return false;
    }
    /* It becomes part of a command line and of log lines. */
    bool plain = true;
    for (const char *at = answer.wire_path; *at; at++) {
        plain = plain && (unsigned char)*at >= ' ' && *at != 0x7f;
    }
    if (!plain || (answer.wire_path[0] != '\0' && answer.wire_path[0] != '/')) {
        return monatt_error_set(err, MONATT_ERROR_FORMAT, "attach answer: path of the wire: %s",
                                plain ? "not absolute" : "holds control characters");
    }
    *ret = answer;
    return true;
}

void monatt_device_quote_encode(MonattWriter *w, const MonattDeviceQuote *quote)
{
    monatt_writer_u16_be(w, quote->alg);
    monatt_writer_u16_be(w, quote->attest_size);
    monatt_writer_bytes(w, quote->attest, quote->attest_size);
    monatt_writer_u16_be(w, quote->signature_size);
    monatt_writer_bytes(w, quote->signature, quote->signature_size);
    monatt_writer_bytes(w, quote->values, sizeof(quote->values));
    monatt_writer_u64_be(w, quote->log_records);
    monatt_writer_u64_be(w, quote->log_bytes);
}

bool monatt_device_quote_decode(const void *bytes, size_t size, MonattDeviceQuote *ret,
                                MonattError *err)
{
    MonattReader r;
    memset(ret, 0, sizeof(*ret));
    monatt_reader_init(&r, "device quote", bytes, size, err);
    if (!monatt_reader_u16_be(&r, &ret->alg) || !monatt_reader_u16_be(&r, &ret->attest_size)) {
        return false;
    }
    if (ret->attest_size > sizeof(ret->attest)) {
        return monatt_reader_fail(&r, "TPMS_ATTEST of %u bytes", ret->attest_size);
    }
    if (!monatt_reader_copy(&r, ret->attest, ret->attest_size) ||
        !monatt_reader_u16_be(&r, &ret->signature_size)) {
        return false;
    }
    if (ret->signature_size > sizeof(ret->signature)) {
        return monatt_reader_fail(&r, "TPMT_SIGNATURE of %u bytes", ret->signature_size);
    }
    return monatt_reader_copy(&r, ret->signature, ret->signature_size) &&
           monatt_reader_copy(&r, ret->values, sizeof(ret->values)) &&
           monatt_reader_u64_be(&r, &ret->log_records) &&
           monatt_reader_u64_be(&r, &ret->log_bytes) && monatt_reader_finish(&r);
}

void monatt_vcpu_registers_encode(MonattWriter *w, const MonattVcpuRegisters *vcpus, size_t count)
{
    monatt_writer_u32_be(w, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        monatt_writer_u64_be(w, vcpus[i].cr0);
        monatt_writer_u64_be(w, vcpus[i].cr3);
        monatt_writer_u64_be(w, vcpus[i].cr4);
        monatt_writer_u64_be(w, vcpus[i].efer);
        monatt_writer_u64_be(w, vcpus[i].idt_base);
        monatt_writer_u32_be(w, vcpus[i].idt_limit);
        monatt_writer_u64_be(w, vcpus[i].gdt_base);
        monatt_writer_u32_be(w, vcpus[i].gdt_limit);
        monatt_writer_u64_be(w, vcpus[i].rip);
        monatt_writer_u32_be(w, vcpus[i].cpl);
    }
}

bool monatt_vcpu_registers_decode(MonattReader *r, MonattVcpuRegisters ret[MONATT_VCPUS_MAXIMUM],
                                  size_t *ret_count)
{
    uint32_t count;
    if (!monatt_reader_count(r, MONATT_VCPUS_MAXIMUM, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!monatt_reader_u64_be(r, &ret[i].cr0) || !monatt_reader_u64_be(r, &ret[i].cr3) ||
            !monatt_reader_u64_be(r, &ret[i].cr4) || !monatt_reader_u64_be(r, &ret[i].efer) ||
            !monatt_reader_u64_be(r, &ret[i].idt_base) ||
            !monatt_reader_u32_be(r, &ret[i].idt_limit) ||
            !monatt_reader_u64_be(r, &ret[i].gdt_base) ||
            !monatt_reader_u32_be(r, &ret[i].gdt_limit) || !monatt_reader_u64_be(r, &ret[i].rip) ||
            !monatt_reader_u32_be(r, &ret[i].cpl)) {
            return false;
        }
    }
    *ret_count = count;
    return true;
}
