# SPDX-License-Identifier: GPL-2.0-or-later
"""_peer_drgn.py CORE VMLINUX ROUNDS: what drgn takes to begin and to list tasks; runs where drgn is.

Two ways to list: for_each_task(), which goes through the table of PIDs, and the list of init_task.
Each reads pid and command of a task, as ours does and more.
"""
import json
import sys
import time

import drgn
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.pid import for_each_task


def times(rounds, tasks):
    took = []
    for _ in range(rounds):
        begin, count = time.process_time(), 0
        for task in tasks():
            task.pid.value_()
            task.comm.string_()
            count += 1
        took.append((time.process_time() - begin) * 1e6)
    return took, count


def main():
    core, symbols, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    attach = []
    for _ in range(min(rounds, 5)):
        begin = time.process_time()
        program = drgn.Program()
        program.set_core_dump(core)
        program.load_debug_info([symbols])
        program["init_task"].comm.string_()
        attach.append((time.process_time() - begin) * 1e6)
    each, tasks = times(rounds, lambda: for_each_task(program))
    linked, listed = times(rounds, lambda: list_for_each_entry(
        "struct task_struct", program["init_task"].tasks.address_of_(), "tasks"))
    print(json.dumps({"attach": attach, "each": each, "list": linked, "tasks": tasks,
                      "listed": listed}))


if __name__ == "__main__":
    main()
