/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reset.c - pairs the wire's RESET with QMP's; must never clear registers on the guest's word
 */
#include "hw-attest/reset.h"

void reset_init(Reset *reset)
{
    *reset = (Reset){0};
}

static bool pair(Reset *reset, int64_t now_ms)
{
    int64_t apart = reset->wire_ms - reset->qmp_ms;
    if (!reset->wire || !reset->qmp) {
        return false;
    }
    if (apart > RESET_PAIR_MS || apart < -RESET_PAIR_MS) {
        /* The older one has no partner; the newer one waits on. */
        if (apart > 0) {
            reset->qmp = false;
        } else {
            reset->wire = false;
        }
        return false;
    }
    reset->wire = false;
    reset->qmp = false;
    reset->wire_stopped = false;
    bool same = reset->booted && now_ms - reset->last_boot_ms <= RESET_MERGE_MS;
    if (same && !reset->guest_used) {
        return false;
    }
    reset->booted = true;
    reset->restored = false;
    reset->told = false;
    reset->last_boot_ms = now_ms;
    reset->guest_used = false;
    return true;
}

bool reset_wire(Reset *reset, int64_t now_ms)
{
    if (reset->attaching) {
        return false;
    }
    reset->wire = true;
    reset->wire_ms = now_ms;
    reset->wire_watched = reset->monitor;
    bool still = reset->stopped || (reset->resumed && now_ms - reset->resume_ms <= RESET_SLACK_MS);
    /* Kept over later ones: a restored guest must not hide it behind bus resets of its own. */
    reset->wire_stopped |= still && reset->wire_watched && reset->can_restore;
    return pair(reset, now_ms);
}

bool reset_qmp(Reset *reset, int64_t now_ms)
{
    reset->qmp = true;
    reset->qmp_ms = now_ms;
    return pair(reset, now_ms);
}

void reset_stop(Reset *reset, int64_t now_ms)
{
    reset->stopped = true;
    if (reset->wire && reset->wire_watched && now_ms - reset->wire_ms <= RESET_SLACK_MS) {
        reset->wire_stopped |= reset->can_restore;
    }
}

void reset_resume(Reset *reset, int64_t now_ms)
{
    reset->resumed = reset->resumed || reset->stopped;
    reset->resume_ms = now_ms;
    reset->stopped = false;
}

void reset_wakeup(Reset *reset)
{
    if (!reset->wire_stopped) {
        reset->wire = false;
    }
}

void reset_guest_used(Reset *reset)
{
    reset->guest_used = true;
}

bool reset_pending(Reset *reset, int64_t now_ms)
{
    if (reset->wire && reset->monitor && now_ms - reset->wire_ms > RESET_PAIR_MS) {
        reset->wire = false;
        if (reset->wire_stopped) {
            reset->wire_stopped = false;
            reset->restored = true;
            return true; /* who asks has looked at `restored` before */
        }
    }
    /* The RESET when QEMU realizes the device, before any guest ran, holds nothing up. */
    return reset->wire && (reset->guest_used || reset->wire_stopped);
}
