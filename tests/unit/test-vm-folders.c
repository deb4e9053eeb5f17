/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-vm-folders.c - users out of a range, and folders that are given to them: nothing else is
 * given, whatever a device that was taken over left in there
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/vm-folders.h"

static const uint8_t vid[MONATT_UUID_SIZE] = {1, 2,  3,  4,  5,  6,  7,  8,
                                              9, 10, 11, 12, 13, 14, 15, 16};
#define UUID "01020304-0506-0708-090a-0b0c0d0e0f10"
#define USER VM_USERS_FIRST

static char base[] = "/tmp/monatt-folders-XXXXXX";
static char run_dir[64];
static char state_dir[64];
static VmOptions options = {run_dir, state_dir};

static bool skip_without_root(void)
{
    if (geteuid() != 0) {
        g_test_skip("only root changes owners");
        return true;
    }
    return false;
}

static char *path_of(const char *name)
{
    return g_strdup_printf("%s/%s", base, name);
}

static uid_t owner_of(const char *name)
{
    struct stat status;
    g_autofree char *path = path_of(name);
    g_assert_cmpint(lstat(path, &status), ==, 0);
    return status.st_uid;
}

static void write_file(const char *name)
{
    g_autofree char *path = path_of(name);
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static void test_parse(void)
{
    VmUsers users;
    MonattError err = {0};
    static const char *const wrong[] = {"",      "5-",        "5-4",         "5-5",
                                        "0-9",   "-1",        "4294967295",  "1-4294967295",
                                        "1-2-3", "no-such-u", "99999999999", "1 "};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        monatt_error_clear(&err);
        g_assert_false(vm_users_parse(wrong[i], &users, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
        g_assert_cmpstr(err.hint, !=, "");
    }
    monatt_error_clear(&err);
    g_autofree char *self = g_strdup_printf("%u", geteuid());
    g_assert_true(vm_users_parse(self, &users, &err));
    g_assert_false(users.change);
    if (geteuid() != 0) {
        g_assert_false(vm_users_parse("1234567-1234568", &users, &err));
        g_assert_cmpint(err.code, ==, MONATT_ERROR_USAGE);
        return;
    }
    g_assert_true(vm_users_parse("root", &users, &err));
    g_assert_false(users.change);
    g_assert_true(vm_users_parse("nobody", &users, &err));
    g_assert_true(users.change);
    g_assert_cmpuint(users.first, ==, users.last);
    g_assert_true(vm_users_parse("1234567-1234569", &users, &err));
    g_assert_true(users.change);
    g_assert_cmpuint(users.first, ==, 1234567);
    g_assert_cmpuint(users.last, ==, 1234569);
    g_assert_cmpuint(geteuid(), ==, 0);
}

static void test_pick(void)
{
    const VmUsers three = {.change = true, .first = 7000001, .last = 7000003, .gid = 7000001};
    const VmUsers one = {.change = true, .first = 7000001, .last = 7000001, .gid = 42};
    const uid_t taken[] = {7000001, 7000003};
    VmUser user;
    MonattError err = {0};
    g_assert_true(vm_users_pick(&three, "/nowhere", NULL, 0, &user, &err));
    g_assert_cmpuint(user.uid, ==, 7000001);
    g_assert_cmpuint(user.gid, ==, 7000001);
    g_assert_true(vm_users_pick(&three, "/nowhere", taken, 2, &user, &err));
    g_assert_cmpuint(user.uid, ==, 7000002);
    g_assert_true(vm_users_pick(&one, "/nowhere", taken, 2, &user, &err));
    g_assert_cmpuint(user.uid, ==, 7000001);
    g_assert_cmpuint(user.gid, ==, 42);
    if (skip_without_root()) {
        return;
    }
    /* A device of an earlier service: its folder is all that this one knows of it. */
    g_autofree char *folder = path_of("run/vm/stranger");
    g_autofree char *run_vm = path_of("run/vm");
    g_assert_cmpint(mkdir(folder, 0700), ==, 0);
    g_assert_cmpint(chown(folder, 7000002, 7000002), ==, 0);
    g_assert_false(vm_users_pick(&three, run_vm, taken, 2, &user, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    monatt_error_clear(&err);
    g_assert_true(vm_users_pick(&three, run_vm, taken + 1, 1, &user, &err));
    g_assert_cmpuint(user.uid, ==, 7000001);
    g_assert_cmpint(rmdir(folder), ==, 0);
}

static void test_open(void)
{
    const VmUser user = {.change = geteuid() == 0, .uid = USER, .gid = USER};
    uid_t owner = user.change ? USER : geteuid();
    VmFolders folders;
    VmFolders second;
    MonattError err = {0};
    g_assert_true(vm_folders_open(&options, vid, &user, &folders, &err));
    g_assert_cmpuint(owner_of("run/vm/" UUID), ==, owner);
    g_assert_cmpuint(owner_of("state/vm/" UUID), ==, owner);
    g_assert_cmpuint(owner_of("state/vm/" UUID "/tpm"), ==, owner);
    g_assert_cmpuint(owner_of("state/vm/" UUID "/lock"), ==, owner);
    /* Locked, for as long as anybody has the descriptor. */
    g_assert_false(vm_folders_open(&options, vid, &user, &second, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_BUSY);
    g_assert_cmpint(second.run_fd, ==, -1);
    monatt_error_clear(&err);
    int kept = dup(folders.lock_fd);
    vm_folders_close(&folders);
    g_assert_false(vm_folders_open(&options, vid, &user, &second, &err));
    monatt_error_clear(&err);
    close(kept);
    /* What another device left in the run folder is gone, and the folder is a new one. */
    write_file("run/vm/" UUID "/control.sock");
    g_assert_true(vm_folders_open(&options, vid, &user, &folders, &err));
    g_assert_cmpint(faccessat(folders.run_fd, "control.sock", F_OK, 0), !=, 0);
    vm_folders_close(&folders);
    vm_folders_take_back(&options, vid, &user);
    g_assert_cmpuint(owner_of("state/vm/" UUID), ==, geteuid());
}

/* Links that a taken-over device may leave for a service that is root. */
static void test_hostile(void)
{
    const VmUser user = {.change = true, .uid = USER, .gid = USER};
    VmFolders folders;
    MonattError err = {0};
    if (skip_without_root()) {
        return;
    }
    write_file("precious");
    g_autofree char *precious = path_of("precious");
    g_autofree char *link_path = path_of("state/vm/" UUID "/link");
    g_autofree char *second = path_of("state/vm/" UUID "/tpm/second");
    g_autofree char *folder_link = path_of("state/vm/" UUID "/folder");
    g_autofree char *fifo = path_of("state/vm/" UUID "/fifo");
    g_autofree char *lock = path_of("state/vm/" UUID "/lock");
    g_autofree char *tpm = path_of("state/vm/" UUID "/tpm");
    g_autofree char *plain = path_of("state/vm/" UUID "/tpm/plain");
    g_assert_true(vm_folders_open(&options, vid, &user, &folders, &err));
    vm_folders_close(&folders);
    g_assert_cmpint(symlink(precious, link_path), ==, 0);
    g_assert_cmpint(link(precious, second), ==, 0);
    g_assert_cmpint(symlink(base, folder_link), ==, 0);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    write_file("state/vm/" UUID "/tpm/plain");
    g_assert_true(vm_folders_open(&options, vid, &user, &folders, &err));
    vm_folders_close(&folders);
    g_assert_cmpuint(owner_of("precious"), ==, 0);
    g_assert_cmpuint(owner_of("state/vm/" UUID "/link"), ==, 0);
    g_assert_cmpuint(owner_of("state"), ==, 0);
    g_assert_cmpuint(owner_of("state/vm/" UUID "/fifo"), ==, 0);
    g_assert_cmpuint(owner_of("state/vm/" UUID "/tpm/plain"), ==, USER);
    unlink(second);
    unlink(link_path);
    unlink(folder_link);
    unlink(fifo);
    unlink(plain);
    /* In the lock's place: a link, a second name, a FIFO. */
    unlink(lock);
    g_assert_cmpint(symlink(precious, lock), ==, 0);
    g_assert_false(vm_folders_open(&options, vid, &user, &folders, &err));
    unlink(lock);
    monatt_error_clear(&err);
    g_assert_cmpint(link(precious, lock), ==, 0);
    g_assert_false(vm_folders_open(&options, vid, &user, &folders, &err));
    unlink(lock);
    monatt_error_clear(&err);
    g_assert_cmpint(mkfifo(lock, 0600), ==, 0);
    g_assert_false(vm_folders_open(&options, vid, &user, &folders, &err));
    unlink(lock);
    monatt_error_clear(&err);
    g_assert_cmpuint(owner_of("precious"), ==, 0);
    /* In a folder's place: a link. */
    g_autofree char *run = path_of("run/vm/" UUID);
    g_assert_cmpint(rmdir(run), ==, 0);
    g_assert_cmpint(symlink(base, run), ==, 0);
    g_assert_false(vm_folders_open(&options, vid, &user, &folders, &err));
    g_assert_cmpint(unlink(run), ==, 0);
    monatt_error_clear(&err);
    g_assert_cmpint(rmdir(tpm), ==, 0);
    g_assert_cmpint(symlink(base, tpm), ==, 0);
    g_assert_true(vm_folders_open(&options, vid, &user, &folders, &err));
    vm_folders_close(&folders);
    g_assert_cmpuint(owner_of("precious"), ==, 0);
    g_assert_cmpuint(owner_of(""), ==, 0);
    unlink(tpm);
    unlink(precious);
}

static void remove_all(void)
{
    const char *const argv[] = {"rm", "-rf", base, NULL};
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_nonnull(mkdtemp(base));
    snprintf(run_dir, sizeof(run_dir), "%s/run", base);
    snprintf(state_dir, sizeof(state_dir), "%s/state", base);
    static const char *const folders[] = {"run", "run/vm", "state", "state/vm"};
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = path_of(folders[i]);
        g_assert_cmpint(mkdir(path, 0700), ==, 0);
    }
    g_test_add_func("/vm-folders/parse", test_parse);
    g_test_add_func("/vm-folders/pick", test_pick);
    g_test_add_func("/vm-folders/open", test_open);
    g_test_add_func("/vm-folders/hostile", test_hostile);
    int result = g_test_run();
    remove_all();
    return result;
}
