/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * monatt-ioctl.h - what the Linux driver and user space say to each other through /dev/monatt
 *
 * Root only (0600), works under kernel lockdown.  The driver owns the device while it is bound;
 * nobody needs its BARs.  All structures have a fixed size and layout; MONATT_DRIVER_VERSION
 * changes when one of them does.  Fields named reserved must be 0 and are refused when they are
 * not.  Numbers of the device (operations, results, capabilities, status) are those of
 * hw-attest/register-map.h.
 *
 *   write(fd, slots, n * sizeof)   as MONATT_IOC_SUBMIT, without results: the bytes of the slots
 *                                  before the first one that failed, or its error when n is 0
 *   read(fd, page, 4096)           all registers, the layout of BAR2, consistent
 *   mmap(4096, PROT_READ)          the shadow page: BAR2's layout, read by the sequence rule,
 *                                  costs no exit; EOPNOTSUPP when the device has none.  While it
 *                                  is not kept up to date BAR2_SEQUENCE is odd: use read() then.
 *
 * Errors of all calls: ENODEV the device is gone or does not answer, EINTR a fatal signal came,
 * EINVAL a wrong size, flag or reserved field.
 */
#ifndef MONATT_IOCTL_H
#define MONATT_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define MONATT_DRIVER_VERSION 1
#define MONATT_DRIVER_PATH "/dev/monatt"

#define MONATT_SLOT_CONTENT_MAXIMUM 1024
#define MONATT_SUBMIT_MAXIMUM 65536       /* slots of one call */
#define MONATT_LIST_MAXIMUM (256 * 1024)  /* bytes of a process list */
#define MONATT_INBLOB_MAXIMUM 64          /* bytes of a report's question */
#define MONATT_REPORT_MAXIMUM (64u << 20) /* bytes of a report */

/* One extend (MONATT_RING_EXTEND) or reset (MONATT_RING_RESET) of a measurement register. */
struct monatt_slot {
    __u16 operation;    /* MONATT_RING_EXTEND or MONATT_RING_RESET */
    __u16 index;        /* the register, 0 to 23 */
    __u16 banks;        /* extend: MONATT_SLOT_BANK_*, one at least; else 0 */
    __u16 content_size; /* extend: 0 to 1024, without ring 0 to 944; else 0 */
    __u32 result;       /* out: MONATT_ERR_*; see MONATT_IOC_SUBMIT */
    __u32 reserved;
    __u64 record; /* out: the record's number in this boot's log, from 0 on; 0 without ring */
    __u8 sha256[32];
    __u8 sha384[48];
    __u8 content[MONATT_SLOT_CONTENT_MAXIMUM];
};

/*
 * Does all slots in their order and waits for them.  Each one gets its own result, whatever became
 * of those before it; done counts those that the device has looked at.  When the device takes
 * nothing for ten seconds, or a fatal signal comes, the slots from done on have the result
 * MONATT_ERR_BUSY: they were not done and will not be.  Returns 0 when all results could be
 * written, even bad ones.  ENODEV, or EIO when the device counts wrongly: what became of the slots
 * from done on is not known.
 */
struct monatt_submit {
    __u64 slots;     /* pointer to count structures */
    __u32 count;     /* 1 to MONATT_SUBMIT_MAXIMUM */
    __u32 slot_size; /* sizeof(struct monatt_slot) */
    __u32 done;      /* out */
    __u32 reserved;
};

#define MONATT_FEATURE_RING 0x1   /* slots go through the ring; else through trapped registers */
#define MONATT_FEATURE_SHADOW 0x2 /* mmap works */
#define MONATT_FEATURE_INTERRUPT 0x4
#define MONATT_FEATURE_REPORT 0x8 /* MONATT_IOC_REPORT works */

struct monatt_info {
    __u32 driver_version; /* MONATT_DRIVER_VERSION */
    __u32 map_version;    /* of the device's register map */
    __u32 capabilities;   /* MONATT_CAP_* */
    __u32 status;         /* MONATT_STATUS_* */
    __u32 features;       /* MONATT_FEATURE_* in use now */
    __u32 ring_slots;     /* 0 without ring */
    __u32 pending;        /* extends that the device's TPM has not confirmed yet */
    __u32 boot_count;     /* low half of the device TPM's reset count */
    __u64 records;        /* of this boot's log, after the last slot; 0 without ring */
    __u64 records_synced; /* of those, confirmed by the TPM; may lag; 0 without ring */
    __u8 nonce[32];       /* binds a process list to the attestation that asks for it */
    char pci_name[32];    /* "0000:00:02.0", ends with 0 */
};

/* Hands a whole process list over; EBUSY when the device took nothing for ten seconds. */
struct monatt_list {
    __u64 data; /* pointer */
    __u32 size; /* 1 to MONATT_LIST_MAXIMUM */
    __u32 reserved;
};

/*
 * Asks the host for evidence about this VM and waits for it (a minute at most).  ENOSPC: the
 * report has size bytes and buffer_size is less (it is lost: ask again); EOPNOTSUPP: the device
 * gives no reports; EACCES: the host refused; EBUSY: too many reports, ask again later; ETIMEDOUT.
 */
struct monatt_report {
    __u64 buffer; /* pointer */
    __u32 buffer_size;
    __u32 size;        /* out */
    __u32 inblob_size; /* 1 to 64 */
    __u32 reserved;
    __u8 inblob[MONATT_INBLOB_MAXIMUM];
};

#define MONATT_IOC_TYPE 0xa7
#define MONATT_IOC_INFO _IOR(MONATT_IOC_TYPE, 0x00, struct monatt_info)
#define MONATT_IOC_SUBMIT _IOWR(MONATT_IOC_TYPE, 0x01, struct monatt_submit)
#define MONATT_IOC_LIST _IOW(MONATT_IOC_TYPE, 0x02, struct monatt_list)
#define MONATT_IOC_REPORT _IOWR(MONATT_IOC_TYPE, 0x03, struct monatt_report)

#endif
