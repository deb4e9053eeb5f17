#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# guest-agent.sh - the first process of a test's guest: runs what guest.py sends
#
# Where a system has booted already (pid is not 1) it is one of its services.
# On the second serial port: a line "length base64" (a shell command) comes in, one line "status
# base64(stdout) base64(stderr)" goes out; "-" stands for nothing.  A line that lost characters, as a
# serial port may under load, is answered "again - -".  An empty line, which the other side sends in
# case the end of its line is what was lost, is none.  Test only: it obeys anyone.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
if [ $$ = 1 ]; then
    /bin/busybox --install -s
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs dev /dev
    mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
    mount -t tmpfs tmp /tmp
    hostname test-guest
    printf 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n' >/etc/passwd
fi
exec 3<>/dev/ttyS1
stty -F /dev/ttyS1 raw -echo -echoe -echok -hupcl 115200
encode() {
    if [ -s "$1" ]; then base64 -w 0 "$1"; else printf -; fi
}
echo "agent ready" >&3
while read -r length line <&3; do
    [ -n "$length" ] || continue
    if [ "${#line}" != "$length" ]; then
        echo "again - -" >&3
        continue
    fi
    printf %s "$line" | base64 -d >/tmp/command
    # In a shell of its own: "exit" and "cd" in a command end with it.
    sh /tmp/command >/tmp/out 2>/tmp/err </dev/null 3>&-
    status=$?
    printf '%s %s %s\n' "$status" "$(encode /tmp/out)" "$(encode /tmp/err)" >&3
done
echo "agent: the port closed" >/dev/console
poweroff -f
