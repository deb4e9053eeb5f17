/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.c - the guest's registers and commands; must never wait
 */
#include "hw-attest/command.h"

#include <string.h>
#include "hw-attest/device.h"
#include "libmonatt/eventlog/cel.h"

void command_init(Command *command)
{
    memset(command, 0, sizeof(*command));
}

void command_new_boot(Command *command)
{
    command->error = MONATT_ERR_NONE;
    command->index = 0;
    command->data_size = 0;
    command->list_open = false;
    command->list_size = 0;
    memset(command->data, 0, sizeof(command->data));
}

void command_begin_update(Command *command)
{
    command->sequence++;
}

void command_end_update(Command *command)
{
    command->sequence++;
}

static uint32_t error_of(const MonattError *err)
{
    switch (err->code) {
    case MONATT_ERROR_LIMIT:
        return MONATT_ERR_INDEX;
    case MONATT_ERROR_PERMISSION:
        return MONATT_ERR_LOCALITY;
    case MONATT_ERROR_BUSY:
        return MONATT_ERR_BUSY;
    default:
        return MONATT_ERR_FAULT;
    }
}

uint32_t command_extend(Device *device, uint32_t index, const uint8_t *sha256,
                        const uint8_t *sha384, const uint8_t *content, size_t size)
{
    MonattError err = {0};
    uint64_t number;
    /* The register's owner first: a guest must not learn from sizes which errors come when. */
    if (!registers_check(index, REGISTERS_GUEST, &err)) {
        return error_of(&err);
    }
    if (size > MONATT_CONTENT_MAXIMUM) {
        return MONATT_ERR_SIZE;
    }
    uint32_t room = device_guest_room(device);
    if (room != MONATT_ERR_NONE) {
        return room;
    }
    if (!device_extend(device, REGISTERS_GUEST, index, sha256, sha384, MONATT_CEL_GUEST, content,
                       size, &number, &err)) {
        return error_of(&err);
    }
    return MONATT_ERR_NONE;
}

static uint32_t extend_window(Device *device, uint32_t banks)
{
    Command *command = &device->command;
    size_t used = 0;
    const uint8_t *sha256 = NULL;
    const uint8_t *sha384 = NULL;
    if (banks & MONATT_CMD_EXTEND_SHA256) {
        sha256 = command->data;
        used += MONATT_SHA256_SIZE;
    }
    if (banks & MONATT_CMD_EXTEND_SHA384) {
        sha384 = command->data + used;
        used += MONATT_SHA384_SIZE;
    }
    bool fits = command->data_size >= used && command->data_size <= sizeof(command->data);
    return command_extend(device, command->index, sha256, sha384, command->data + used,
                          fits ? command->data_size - used : SIZE_MAX);
}

uint32_t command_reset_register(Device *device, uint32_t index)
{
    MonattError err = {0};
    uint32_t room = device_guest_room(device);
    if (room != MONATT_ERR_NONE) {
        return room;
    }
    return device_reset_register(device, index, &err) ? MONATT_ERR_NONE : error_of(&err);
}

static uint32_t list_append(Command *command)
{
    if (!command->list_open) {
        return MONATT_ERR_SEQUENCE;
    }
    if (command->data_size > sizeof(command->data) ||
        command->data_size > sizeof(command->list) - command->list_size) {
        return MONATT_ERR_SIZE;
    }
    memcpy(command->list + command->list_size, command->data, command->data_size);
    command->list_size += command->data_size;
    return MONATT_ERR_NONE;
}

static uint32_t list_end(Device *device)
{
    Command *command = &device->command;
    if (!command->list_open) {
        return MONATT_ERR_SEQUENCE;
    }
    command->list_open = false;
    memcpy(device->guest_list, command->list, command->list_size);
    device->guest_list_size = command->list_size;
    device_post(device, MONATT_EVENT_GUEST_LIST, command->list_size);
    return MONATT_ERR_NONE;
}

static uint32_t report_ask(Device *device)
{
    Command *command = &device->command;
    uint32_t number;
    uint32_t code =
        report_begin(&device->report, command->data, command->data_size, device_now_ms(), &number);
    if (code == MONATT_ERR_NONE) {
        device_post(device, MONATT_EVENT_REPORT_WANTED, number);
    }
    return code;
}

static uint32_t report_to_window(Device *device)
{
    Command *command = &device->command;
    size_t size;
    uint32_t code = report_read(&device->report, device->report.offset, command->data,
                                sizeof(command->data), &size);
    if (code == MONATT_ERR_NONE) {
        command->data_size = (uint32_t)size;
    }
    return code;
}

static uint32_t execute(Device *device, uint32_t command)
{
    switch (command) {
    case MONATT_CMD_EXTEND_SHA256:
    case MONATT_CMD_EXTEND_SHA384:
    case MONATT_CMD_EXTEND_BOTH:
        return extend_window(device, command);
    case MONATT_CMD_RESET_REGISTER:
        return command_reset_register(device, device->command.index);
    case MONATT_CMD_LIST_BEGIN:
        device->command.list_open = true;
        device->command.list_size = 0;
        return MONATT_ERR_NONE;
    case MONATT_CMD_LIST_APPEND:
        return list_append(&device->command);
    case MONATT_CMD_LIST_END:
        return list_end(device);
    case MONATT_CMD_REPORT_BEGIN:
        return report_ask(device);
    case MONATT_CMD_REPORT_READ:
        return report_to_window(device);
    default:
        return MONATT_ERR_COMMAND;
    }
}

static uint32_t status(Device *device)
{
    MonattError err = {0};
    if (device_broken(device)) {
        return MONATT_STATUS_FAULT;
    }
    if (!device_ready(device, &err) ||
        device->pipe->enqueued - device->pipe->synced >= PIPE_ENTRIES) {
        return MONATT_STATUS_BUSY;
    }
    return MONATT_STATUS_READY;
}

static uint32_t capabilities(const Device *device)
{
    return MONATT_CAP_SHA256 | MONATT_CAP_SHA384 | MONATT_CAP_PROCESS_LIST | MONATT_CAP_RING |
           MONATT_CAP_SHADOW | MONATT_CAP_REPORT |
           (interrupt_available(device) ? MONATT_CAP_INTERRUPT : 0);
}

static void put(uint8_t *bytes, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(value >> (8 * i));
    }
}

/* The 4-byte cell of BAR0 at a multiple of 4, outside of nonce and window. */
static uint32_t control_word(Device *device, uint32_t offset)
{
    switch (offset) {
    case MONATT_REG_MAGIC:
        return MONATT_MAGIC;
    case MONATT_REG_VERSION:
        return MONATT_MAP_VERSION;
    case MONATT_REG_CAPABILITIES:
        return capabilities(device);
    case MONATT_REG_STATUS:
        return status(device);
    case MONATT_REG_ERROR:
        return device->command.error;
    case MONATT_REG_INDEX:
        return device->command.index;
    case MONATT_REG_DATA_SIZE:
        return device->command.data_size;
    case MONATT_REG_PENDING:
        return (uint32_t)(device->pipe->enqueued - device->pipe->synced);
    case MONATT_REG_BOOT_COUNT:
        return (uint32_t)device->boot_count;
    case MONATT_REG_REPORT_STATE:
        return report_state(&device->report, device_now_ms());
    case MONATT_REG_REPORT_SIZE:
        return report_size(&device->report, device_now_ms());
    case MONATT_REG_REPORT_OFFSET:
        return device->report.offset;
    case MONATT_REG_INTERRUPT_STATUS:
        return device->interrupt.status;
    case MONATT_REG_INTERRUPT_ENABLE:
        return device->interrupt.enable;
    case MONATT_REG_RING_ADDRESS:
        return (uint32_t)device->ring.kept.address;
    case MONATT_REG_RING_ADDRESS + 4:
        return (uint32_t)(device->ring.kept.address >> 32);
    case MONATT_REG_RING_SLOTS:
        return device->ring.kept.slots;
    case MONATT_REG_RING_CONTROL:
        return device->ring.kept.state;
    case MONATT_REG_RING_ERROR:
        return device->ring.kept.error;
    case MONATT_REG_SHADOW_ADDRESS:
        return (uint32_t)device->shadow.kept.address;
    case MONATT_REG_SHADOW_ADDRESS + 4:
        return (uint32_t)(device->shadow.kept.address >> 32);
    case MONATT_REG_SHADOW_CONTROL:
        return device->shadow.kept.state;
    default:
        return 0;
    }
}

static void bar0_cell(Device *device, uint32_t offset, uint8_t cell[8])
{
    if (offset >= MONATT_REG_DATA && offset < MONATT_REG_DATA + MONATT_DATA_SIZE) {
        memcpy(cell, device->command.data + (offset - MONATT_REG_DATA), 8);
    } else if (offset >= MONATT_REG_NONCE && offset < MONATT_REG_NONCE + MONATT_NONCE_SIZE) {
        memcpy(cell, device->command.nonce + (offset - MONATT_REG_NONCE), 8);
    } else {
        put(cell, control_word(device, offset), 4);
        put(cell + 4, control_word(device, offset + 4), 4);
    }
}

static void bar2_cell(const Device *device, uint32_t offset, uint8_t cell[8])
{
    memset(cell, 0, 8);
    if (offset == MONATT_BAR2_SEQUENCE) {
        put(cell, device->command.sequence, 4);
        put(cell + 4, MONATT_REGISTER_COUNT, 4);
        return;
    }
    if (offset < MONATT_BAR2_ENTRY) {
        return;
    }
    uint32_t index = (offset - MONATT_BAR2_ENTRY) / MONATT_BAR2_ENTRY_SIZE;
    uint32_t inside = (offset - MONATT_BAR2_ENTRY) % MONATT_BAR2_ENTRY_SIZE;
    if (index >= MONATT_REGISTER_COUNT) {
        return;
    }
    uint8_t entry[MONATT_BAR2_ENTRY_SIZE];
    shadow_entry(&device->registers.mr[index], entry);
    memcpy(cell, entry + inside, 8);
}

static bool valid(uint32_t offset, uint32_t size)
{
    return (size == 1 || size == 2 || size == 4 || size == 8) && offset % size == 0 &&
           offset < MONATT_BAR0_SIZE;
}

uint64_t command_read(Device *device, unsigned bar, uint32_t offset, uint32_t size)
{
    uint8_t cell[8];
    if (!valid(offset, size)) {
        return UINT64_MAX;
    }
    reset_guest_used(&device->reset);
    if (bar == 0) {
        bar0_cell(device, offset & ~7u, cell);
    } else {
        bar2_cell(device, offset & ~7u, cell);
    }
    uint64_t value = 0;
    for (uint32_t i = size; i > 0; i--) {
        value = value << 8 | cell[(offset & 7u) + i - 1];
    }
    return value;
}

/* A whole address, or its half at the offset 0 or 4. */
static void put_address(uint64_t *address, uint32_t half, uint64_t value, uint32_t size)
{
    if (size == 8 && half == 0) {
        *address = value;
    } else if (size == 4) {
        unsigned shift = half * 8;
        *address = (*address & ~((uint64_t)UINT32_MAX << shift)) | (value & UINT32_MAX) << shift;
    }
}

/* The 4-byte registers. */
static void write_word(Device *device, uint32_t offset, uint32_t value)
{
    Command *command = &device->command;
    switch (offset) {
    case MONATT_REG_COMMAND:
        command->error = execute(device, value);
        break;
    case MONATT_REG_INDEX:
        command->index = value;
        break;
    case MONATT_REG_DATA_SIZE:
        command->data_size = value;
        break;
    case MONATT_REG_INTERRUPT_STATUS:
        interrupt_acknowledge(device, value);
        break;
    case MONATT_REG_INTERRUPT_ENABLE:
        interrupt_enable(device, value);
        break;
    case MONATT_REG_RING_SLOTS:
        device->ring.kept.slots = value;
        break;
    case MONATT_REG_RING_CONTROL:
        ring_control(device, value);
        break;
    case MONATT_REG_DOORBELL:
        ring_doorbell(device);
        break;
    case MONATT_REG_SHADOW_CONTROL:
        shadow_control(device, value);
        break;
    case MONATT_REG_REPORT_OFFSET:
        device->report.offset = value;
        break;
    default:
        break;
    }
}

void command_write(Device *device, unsigned bar, uint32_t offset, uint64_t value, uint32_t size)
{
    Command *command = &device->command;
    if (bar != 0 || !valid(offset, size)) {
        return;
    }
    reset_guest_used(&device->reset);
    if (offset >= MONATT_REG_DATA && offset < MONATT_REG_DATA + MONATT_DATA_SIZE) {
        put(command->data + (offset - MONATT_REG_DATA), value, size);
        return;
    }
    if (offset == MONATT_REG_RING_ADDRESS || offset == MONATT_REG_RING_ADDRESS + 4) {
        put_address(&device->ring.kept.address, offset & 4u, value, size);
    } else if (offset == MONATT_REG_SHADOW_ADDRESS || offset == MONATT_REG_SHADOW_ADDRESS + 4) {
        put_address(&device->shadow.kept.address, offset & 4u, value, size);
    } else if (size == 4) {
        write_word(device, offset, (uint32_t)value);
    }
}

void command_config_write(Device *device, uint32_t address, uint32_t value, uint32_t size)
{
    pci_config_write(&device->config, address, value, size);
    if (!pci_config_bus_master(&device->config)) {
        command_dma_off(device);
    }
    ring_wake(device); /* its interrupt may be allowed now */
}

void command_memory_changed(Device *device)
{
    ring_memory_changed(device);
    shadow_memory_changed(device);
}

void command_dma_off(Device *device)
{
    ring_stop(&device->ring);
    shadow_stop(&device->shadow);
}
