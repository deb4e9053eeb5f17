/* SPDX-License-Identifier: GPL-2.0 */
/*
 * measurements.c - sysfs files measurements/mrN:sha256 and mrN:sha384, as the kernel's tsm-mr has
 *
 * Names, modes and meaning are those of Documentation/driver-api/coco/measurement-registers.rst:
 * a read gives the raw value, a write of exactly one digest extends.
 * tsm_mr_create_attribute_group() itself is not used, even where a kernel has it: it keeps a value
 * that was read until the guest writes to a register through that file again, so it would show
 * stale ones here, where the host extends MR17 to MR22 and programs extend by /dev/monatt.
 */
#include "driver.h"

static const struct {
    const char *name;
    u32 capability;
    u16 bank;
    u32 size;
    u32 offset;
} banks[MONATT_BANKS] = {
    {"sha256", MONATT_CAP_SHA256, MONATT_SLOT_BANK_SHA256, 32, MONATT_ENTRY_SHA256},
    {"sha384", MONATT_CAP_SHA384, MONATT_SLOT_BANK_SHA384, 48, MONATT_ENTRY_SHA384},
};

#ifdef MONATT_HAVE_CONST_BIN_ATTRIBUTE
#define BIN_ATTRIBUTE const struct bin_attribute
#else
#define BIN_ATTRIBUTE struct bin_attribute
#endif

static ssize_t value_read(struct file *file, struct kobject *kobj, BIN_ATTRIBUTE *attribute,
                          char *buffer, loff_t at, size_t size)
{
    struct monatt *m = attribute->private;
    unsigned number = attribute - m->measurements.files;
    u8 value[48];
    u32 offset = MONATT_BAR2_ENTRY + number / MONATT_BANKS * MONATT_BAR2_ENTRY_SIZE +
                 banks[number % MONATT_BANKS].offset;
    int error;

    /* sysfs has cut at and size to the file's size. */
    if (at < 0 || at > attribute->size || size > attribute->size - at) {
        return -EINVAL;
    }
    error = monatt_shadow_read(m, offset, value, attribute->size);
    if (error) {
        return error;
    }
    memcpy(buffer, value + at, size);
    return size;
}

static ssize_t value_write(struct file *file, struct kobject *kobj, BIN_ATTRIBUTE *attribute,
                           char *buffer, loff_t at, size_t size)
{
    struct monatt *m = attribute->private;
    unsigned number = attribute - m->measurements.files;
    unsigned bank = number % MONATT_BANKS;
    struct monatt_slot *slot;
    u32 done;
    int error;

    if (at != 0 || size != attribute->size) {
        return -EINVAL;
    }
    slot = kzalloc(sizeof(*slot), GFP_KERNEL);
    if (!slot) {
        return -ENOMEM;
    }
    slot->operation = MONATT_RING_EXTEND;
    slot->index = number / MONATT_BANKS;
    slot->banks = banks[bank].bank;
    memcpy(bank == 0 ? slot->sha256 : slot->sha384, buffer, size);
    error = monatt_lock(m);
    if (!error) {
        error = monatt_submit(m, slot, 1, &done);
        monatt_unlock(m);
    }
    if (!error) {
        error = monatt_errno(slot->result);
    }
    kfree(slot);
    return error ? error : size;
}

void monatt_measurements_init(struct monatt *m)
{
    struct monatt_measurements *files = &m->measurements;
    unsigned count = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(files->files); i++) {
        struct bin_attribute *file = &files->files[i];
        unsigned index = i / MONATT_BANKS;
        bool of_host = index >= 17 && index <= 22;

        if (!(m->capabilities & banks[i % MONATT_BANKS].capability)) {
            continue;
        }
        sysfs_bin_attr_init(file);
        snprintf(files->names[i], sizeof(files->names[i]), "mr%u:%s", index,
                 banks[i % MONATT_BANKS].name);
        file->attr.name = files->names[i];
        file->attr.mode = of_host ? 0444 : 0644;
        file->size = banks[i % MONATT_BANKS].size;
        file->private = m;
        file->read = value_read;
        file->write = of_host ? NULL : value_write;
        files->list[count++] = file;
    }
    files->group.name = "measurements";
    /* Newer kernels have a const more in this pointer's type. */
    files->group.bin_attrs = (typeof(files->group.bin_attrs))files->list;
    files->groups[0] = &files->group;
    m->misc.groups = files->groups;
}
