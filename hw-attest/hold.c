/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hold.c - one hold at a time; must never outlive its quote, its connection or its time
 */
#include "hw-attest/hold.h"

bool hold_begin(Hold *hold, size_t owner, uint64_t position, const Registers *registers,
                int64_t now_ms, int64_t until_ms, MonattError *err)
{
    if (hold_active(hold, now_ms)) {
        return monatt_error_set(err, MONATT_ERROR_BUSY,
                                "hold: swtpm is held at record %llu already",
                                (unsigned long long)hold->position);
    }
    *hold = (Hold){.active = true,
                   .owner = owner,
                   .position = position,
                   .until_ms = until_ms,
                   .registers = *registers};
    return true;
}

void hold_end(Hold *hold)
{
    hold->active = false;
    hold->quoting = false;
}

void hold_end_of(Hold *hold, size_t owner)
{
    if (hold->active && hold->owner == owner) {
        hold_end(hold);
    }
}

bool hold_active(Hold *hold, int64_t now_ms)
{
    if (hold->active && !hold->quoting && now_ms >= hold->until_ms) {
        hold_end(hold);
    }
    return hold->active;
}

uint64_t hold_limit(Hold *hold, uint64_t logged, int64_t now_ms)
{
    return hold_active(hold, now_ms) && hold->position < logged ? hold->position : logged;
}

bool hold_wants_log_end(const Hold *hold, uint64_t logged_before, uint64_t logged)
{
    return hold->active && logged_before < hold->position && hold->position <= logged;
}
