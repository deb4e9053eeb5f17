# SPDX-License-Identifier: GPL-2.0-or-later
"""churn.py: loads that change a healthy guest's kernel all the time, in its own legal ways.

    with Guest(add=[*churn.programs(), "dummy.ko:/churn.ko"]) as guest:
        churn.prepare(guest)
        churn.start(guest, "forks")         # one at a time, with churn.stop(guest) …
        for name in churn.LOADS:            # … or all of them
            churn.start(guest, name)
"""
import paths

TRACE = "/sys/kernel/tracing"
SWITCH = "/proc/sys/kernel/sched_schedstats"
LOADS = {
    "static keys": f"while :; do echo 1 >{SWITCH}; echo 0 >{SWITCH}; sleep 0.2; done",
    "tracepoints": f"while :; do echo 1 >{TRACE}/events/sched/enable; sleep 0.1; "
                   f"echo 0 >{TRACE}/events/sched/enable; sleep 0.1; done",
    "the function tracer": f"while :; do echo function >{TRACE}/current_tracer; "
                           f"sleep 1; echo nop >{TRACE}/current_tracer; sleep 1; done",
    "kprobes": f"while :; do echo 'p:one do_sys_openat2' >{TRACE}/kprobe_events; "
               f"echo 1 >{TRACE}/events/kprobes/enable; cat /proc/stat >/dev/null; "
               f"echo 0 >{TRACE}/events/kprobes/enable; echo >{TRACE}/kprobe_events; done",
    "module loads": "while :; do insmod /churn.ko; rmmod $(cat /tmp/churn-module); done",
    "forks": "/fork-storm 1000000 2",
    "PID namespaces": "while :; do unshare -p -f sleep 0.01; done",
    # What systemd loads for units that confine devices and addresses, and what watches.
    "BPF programs": "while :; do /bpf-load hold filter twin_a observe device egress fentry maps & "
                    "sleep 1; kill $!; wait $!; rm -f /sys/fs/bpf/pinned; done",
    "hidepid": "while :; do mount -o remount,hidepid=2 /proc; sleep 0.3; "
               "mount -o remount,hidepid=0 /proc; sleep 0.3; done",
}
MOUNTS = (f"mount -t tracefs none {TRACE}; mount -t bpf none /sys/fs/bpf; "
          "mount -t cgroup2 none /sys/fs/cgroup; ip link set lo up; true")
CLEAR = (f"echo nop >{TRACE}/current_tracer; echo 0 >{TRACE}/events/sched/enable; "
         f"echo 0 >{TRACE}/events/kprobes/enable; echo >{TRACE}/kprobe_events; "
         "rmmod $(cat /tmp/churn-module); mount -o remount,hidepid=0 /proc; true")


def programs():
    """For the guest's initramfs; the module that comes and goes is /churn.ko, of any kind."""
    return [f"{paths.build('tests', 'guest', name)}:/{name}" for name in ("fork-storm", "bpf-load")]


def missing():
    return paths.missing(*[pair.partition(":")[0] for pair in programs()])


def prepare(guest, module):
    """module: the name under which /churn.ko is listed; all else is mounted."""
    guest.run(f"echo {module} >/tmp/churn-module; {MOUNTS}", check=False)


def start(guest, name):
    guest.run(f"(setsid sh -c '{LOADS[name]}' >/dev/null 2>&1 </dev/null & "
              "echo $! >>/tmp/churn-loads)")


def stop(guest):
    """Ends all loads, and undoes what they were in the middle of."""
    guest.run("for load in $(cat /tmp/churn-loads); do kill -9 -$load; done; rm /tmp/churn-loads; "
              f"killall -9 fork-storm bpf-load; {CLEAR}", check=False)
