# SPDX-License-Identifier: GPL-2.0-or-later
"""test-loaded-modules.py: a guest with a hundred of Debian's modules at work is healthy.

File systems, network, virtualisation and sound of the newest kernel at hand register themselves in
most of the tables that the checks read: what they put there must be known as theirs.
"""
import glob
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import guest as guest_library  # noqa: E402
import paths  # noqa: E402
import run_checks  # noqa: E402
import suite_modules  # noqa: E402
import suite_tree  # noqa: E402
from guest import Guest  # noqa: E402
from tap import Tap  # noqa: E402

WANTED = """bridge br_netfilter nf_tables nft_ct nft_chain_nat nf_conntrack_netlink iptable_nat
iptable_filter ip6table_filter xt_conntrack xt_MASQUERADE ip_set ip_vs overlay ext4 xfs btrfs vfat
fuse squashfs isofs udf autofs4 configfs binfmt_misc cifs nfsv4 nfsd 9p virtio_net virtio_blk
virtio_scsi dummy veth tun vxlan wireguard ipvlan macvlan bonding team 8021q sctp tipc vsock
vmw_vsock_virtio_transport ppp_generic n_gsm kvm loop nbd dm_mod dm_crypt raid1 algif_hash act_mirred
cls_bpf sch_fq_codel tcp_bbr evdev psmouse snd usbcore xhci_hcd drm i2c_dev softdog netconsole"""
ENOUGH = 60
AT_WORK = """
ip link add br0 type bridge; ip link set br0 up; ip link add d0 type dummy; ip link set d0 up
ip link add v0 type veth; echo bbr >/proc/sys/net/ipv4/tcp_congestion_control; true
"""


def in_order(folder):
    """The wanted modules and what they need, each behind what it needs."""
    needs = {}
    with open(f"{folder}/modules.dep", encoding="ascii") as file:
        for line in file:
            path, _, rest = line.partition(":")
            needs[suite_modules.name_of(path)] = (path, rest.split())
    order = []

    def add(path):
        for other in reversed(needs[suite_modules.name_of(path)][1]):
            if other not in order:
                add(other)
        if path not in order:
            order.append(path)

    for name in WANTED.split():
        if name in needs:
            add(needs[name][0])
    return order


def check(tap, vmlinuz, folder, scratch):
    add = []
    for number, path in enumerate(in_order(folder)):
        suite_modules.unpack(f"{folder}/{path}", f"{scratch}/{number:03d}.ko")
        add.append(f"{scratch}/{number:03d}.ko:/modules/{number:03d}.ko")
    with Guest(name="modules", vmlinuz=vmlinuz, vcpus=2, memory_mb=1024, add=add,
               launcher=["--monatt-no-plugin"]) as guest:
        guest.run("for m in /modules/*; do insmod $m 2>/dev/null; done; true", seconds=300)
        guest.run(AT_WORK, check=False)
        loaded = len(guest.run("cat /proc/modules").text.splitlines())
        tap.ok(loaded >= ENOUGH, f"{ENOUGH} modules and more are loaded", loaded)
        report = run_checks.run(guest, image=vmlinuz)[0]
        counted = {result["check"]: result["counters"] for result in report["results"]}
        tap.is_equal(counted["modules"].get("modules"), loaded, "all of them are seen")
        tap.is_equal([(f["check"], f["object"], f["text"]) for f in report["findings"]], [],
                     "and nothing is found")
        text = next((result for result in report["results"]
                     if result["check"] == "module-text"), None)
        tap.ok(text and text["reason"] == 0 and text["counters"]["modules"] >= ENOUGH,
               "the code of each is watched", text)


def main():
    tap = Tap()
    if paths.sanitized():
        tap.skip_all("the plain build runs it; guest/truth runs every check with sanitizers")
    lacking = guest_library.missing() or paths.missing(run_checks.PROGRAM)
    if lacking:
        tap.skip_all(f"{lacking} is missing")
    try:
        root = suite_tree.folder("sid")
    except suite_tree.Missing as reason:
        tap.skip_all(f"no newer kernel: {reason}")
    kernels = sorted(glob.glob(f"{root}/boot/vmlinuz-*-cloud-amd64"))
    folder = kernels and suite_modules.folder(kernels[-1])
    if not folder:
        tap.skip_all(f"{root} has no cloud kernel with modules")
    scratch = tempfile.mkdtemp(prefix="modules-", dir="/tmp")
    try:
        with tap:
            check(tap, kernels[-1], folder, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(tap.done())


if __name__ == "__main__":
    main()
