/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kexec-now.c - kexec-now KERNEL INITRD: starts that kernel with this one's command line, at once
 *
 * Runs in a test's guest, where kexec-tools are not.  The command line is the one that this kernel
 * got; nothing is synced and nobody is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char line[4096];
    int own = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    int kernel = argc == 3 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    int initrd = argc == 3 ? open(argv[2], O_RDONLY | O_CLOEXEC) : -1;
    ssize_t size = read(own, line, sizeof(line) - 1);
    if (kernel < 0 || initrd < 0 || size < 1) {
        fprintf(stderr, "kexec-now: %s\n", strerrordesc_np(errno));
        return 1;
    }
    line[size - 1] = '\0'; /* its newline */
    if (syscall(SYS_kexec_file_load, kernel, initrd, (unsigned long)size, line, 0ul) != 0) {
        fprintf(stderr, "kexec-now: load: %s\n", strerrordesc_np(errno));
        return 1;
    }
    syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
    fprintf(stderr, "kexec-now: start: %s\n", strerrordesc_np(errno));
    return 1;
}
