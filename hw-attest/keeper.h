/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keeper.h - the attach service keeps a device's descriptors, for its successor
 *
 * A killed process takes its descriptors along.  So the service has a duplicate of each that
 * cannot be had again: the wire, so that QEMU waits for the successor instead of seeing an end;
 * the monitor; the socket the collector connects to; locks; the connection without which swtpm
 * ends; guest memory.  It never reads or writes one, but TPM2_Shutdown to a swtpm it must end.
 * All but swtpm's and guest memory are taken once, before the guest runs.
 */
#ifndef HW_ATTEST_KEEPER_H
#define HW_ATTEST_KEEPER_H

#include "hw-attest/guest-ram.h"
#include "hw-attest/kept.h"

typedef enum KeptFile {
    KEPT_FILE_WIRE,
    KEPT_FILE_QMP,    /* may be missing */
    KEPT_FILE_RING,   /* may be missing */
    KEPT_FILE_LISTEN, /* control.sock */
    KEPT_FILE_RUN,    /* the run folder */
    KEPT_FILE_STATE,  /* the state folder */
    KEPT_FILE_LOCK,
    KEPT_FILE_PID,
    KEPT_FILE_KERNEL, /* may be missing */
    KEPT_FILE_TPM,    /* data connection; the last one */
    KEPT_FILE_COUNT
} KeptFile;

/* Control messages on the link, besides those of vm.h. */
#define KEEPER_FILE 16      /* u8 KeptFile, + its descriptor */
#define KEEPER_COMPLETE 17  /* DeviceKept's `fixed` is */
#define KEEPER_RAM 18       /* KeeperRam, + its descriptors; not answered */
#define KEEPER_INTERRUPT 19 /* the two eventfds; not answered */

typedef struct KeeperRam {
    uint64_t messages; /* SYNC_SYSMEMs up to this one */
    uint64_t count;
    MonattRamRegion regions[MONATT_RAM_REGIONS_MAXIMUM];
} KeeperRam;

typedef struct Keeper {
    int files[KEPT_FILE_COUNT]; /* -1: none */
    bool complete;              /* a successor can be started */
    DeviceFixed *fixed;
    KeeperRam ram;
    int ram_fds[MONATT_RAM_REGIONS_MAXIMUM];
    int interrupt_fds[2]; /* -1: none */
} Keeper;

/* The service's side. */
void keeper_init(Keeper *keeper);
void keeper_clear(Keeper *keeper);
/* A KEEPER message of the device; takes over its descriptors when it returns true. */
bool keeper_take(Keeper *keeper, const DeviceKept *kept, MonattControlMessage *message);
/* TPM2_Shutdown on the kept connection, so that an end is an orderly one; waits 100 ms at most. */
void keeper_shut_tpm_down(const Keeper *keeper);

/* The device's side: never waits, and what cannot be sent is not kept. */
void keeper_send_interrupt(int link, int assert_fd, int resample_fd);
void keeper_send_ram(int link, uint64_t messages, const GuestRam *ram);

#endif
