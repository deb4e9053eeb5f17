/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-recovery.c - a device from the block and the log of another one, honest and hostile
 *
 * "Before" is a device with a log thread: some records in swtpm (as far as the pipe says), some in
 * the log only, some in the pipe only.  "After" is a second one from the same block.
 */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "hw-attest/recovery.h"
#include "libmonatt/formats/record.h"

#define SYNCED 20u
#define LOGGED 30u
#define TAKEN 37u

typedef struct World {
    char *folder;
    int folder_fd;
    DeviceKept *kept;
    Device *before;
    EventLog before_log;
    Registers registers; /* as they were */
    Device *after;
    EventLog log;
    MonattCelReplay *synced;
} World;

static void extend(Device *device, unsigned number)
{
    uint8_t content[40];
    uint8_t sha256[MONATT_SHA256_SIZE];
    uint8_t sha384[MONATT_SHA384_SIZE];
    MonattError err = {0};
    uint64_t got;
    size_t size = 1 + number % sizeof(content);
    memset(content, (int)number, sizeof(content));
    bool host = number % 3 == 0;
    g_assert_true(registers_sha256(content, size, sha256));
    g_assert_true(registers_sha384(content, size, sha384));
    g_assert_true(device_extend(
        device, host ? REGISTERS_HOST : REGISTERS_GUEST, host ? 17 + number % 6 : number % 16,
        sha256, sha384, host ? MONATT_CEL_RECORD : MONATT_CEL_GUEST, content, size, &got, &err));
    g_assert_cmpuint(got, ==, number);
}

static void *log_thread(void *argument)
{
    World *world = argument;
    event_log_run(&world->before_log, world->before);
    return NULL;
}

/* Until `count` records are taken and logged. */
static void log_records(World *world, unsigned count)
{
    Device *device = world->before;
    GThread *thread = g_thread_new("log", log_thread, world);
    pthread_mutex_lock(&device->lock);
    while (device->pipe->enqueued < count) {
        extend(device, (unsigned)device->pipe->enqueued);
    }
    while (device->pipe->logged < count) {
        pthread_cond_wait(&device->changed, &device->lock);
    }
    device->ending = true;
    device_post(device, MONATT_EVENT_ENDED, 0);
    pthread_mutex_unlock(&device->lock);
    g_thread_join(thread);
    device->ending = false;
}

static void begin(World *world)
{
    MonattError err = {0};
    *world = (World){0};
    world->folder = g_dir_make_tmp("recovery-XXXXXX", NULL);
    world->folder_fd = open(world->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    world->kept = g_new0(DeviceKept, 1);
    world->before = device_new(world->kept);
    event_log_init(&world->before_log);
    g_assert_true(event_log_open(&world->before_log, world->folder_fd, &err));
    log_records(world, LOGGED);
    while (world->before->pipe->enqueued < TAKEN) {
        extend(world->before, (unsigned)world->before->pipe->enqueued);
    }
    world->kept->pipe.synced = SYNCED;
    world->registers = world->before->registers;
}

/* What the killed process leaves: its state as committed, and the block. */
static KeptState *state(World *world)
{
    return &world->kept->states[atomic_load(&world->kept->current) & 1];
}

static void recover(World *world)
{
    MonattError err = {0};
    world->after = device_new(world->kept);
    event_log_init(&world->log);
    g_assert_true(event_log_open_present(&world->log, world->folder_fd, &err));
    recovery_run(world->after, &world->log, &world->synced);
}

static void end(World *world)
{
    event_log_close(&world->before_log);
    event_log_close(&world->log);
    device_free(world->before);
    device_free(world->after);
    free(world->synced);
    GDir *folder = g_dir_open(world->folder, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(folder))) {
        char *path = g_build_filename(world->folder, name, NULL);
        g_unlink(path);
        g_free(path);
    }
    g_dir_close(folder);
    close(world->folder_fd);
    g_rmdir(world->folder);
    g_free(world->folder);
    g_free(world->kept);
}

static bool same_values(const Registers *a, const Registers *b)
{
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        if (memcmp(a->mr[i].sha256, b->mr[i].sha256, MONATT_SHA256_SIZE) != 0 ||
            memcmp(a->mr[i].sha384, b->mr[i].sha384, MONATT_SHA384_SIZE) != 0 ||
            a->mr[i].extends != b->mr[i].extends) {
            return false;
        }
    }
    return true;
}

static void require_good(World *world)
{
    uint64_t synced = 0;
    g_assert_false(world->after->recovery_failed);
    g_assert_true(same_values(&world->after->registers, &world->registers));
    g_assert_cmpuint(world->after->pipe->enqueued, ==, TAKEN);
    g_assert_nonnull(world->synced);
    g_assert_cmpuint(world->synced->records, ==, SYNCED);
    for (size_t i = 0; i < MONATT_REGISTER_COUNT; i++) {
        synced += world->after->registers.mr[i].synced;
    }
    g_assert_cmpuint(synced, ==, SYNCED);
}

/* A fault, nothing to compare swtpm with, and no record left that would be written anywhere. */
static void require_failed(World *world)
{
    const Pipe *pipe = world->after->pipe;
    MonattError err = {0};
    g_assert_true(world->after->recovery_failed);
    g_assert_null(world->synced);
    g_assert_cmpuint(pipe->enqueued, ==, pipe->logged);
    g_assert_cmpuint(pipe->enqueued, ==, pipe->synced);
    g_assert_cmpuint(device_fault(world->after), ==, MONATT_FAULT_RECOVERY);
    g_assert_false(device_ready(world->after, &err));
    g_assert_cmpint(err.code, ==, MONATT_ERROR_FAULT);
}

static void test_honest(void)
{
    World world;
    struct stat status;
    begin(&world);
    world.kept->states[0].data[5] = world.kept->states[1].data[5] = 0x5a;
    recover(&world);
    require_good(&world);
    g_assert_cmpint(world.after->command.data[5], ==, 0x5a);
    g_assert_cmpint(fstat(world.log.fd, &status), ==, 0);
    g_assert_cmpuint((uint64_t)status.st_size, ==, world.after->log_bytes);
    end(&world);
}

/* Killed between writing a batch and counting it, with half a record behind. */
static void test_written_not_counted(void)
{
    World world;
    struct stat status;
    begin(&world);
    world.kept->pipe.logged = LOGGED - 4;
    g_assert_cmpint(fstat(world.before_log.fd, &status), ==, 0);
    g_assert_cmpint(pwrite(world.before_log.fd, "\0\0\0\0\10\0\0", 7, status.st_size), ==, 7);
    recover(&world);
    require_good(&world);
    g_assert_cmpuint(world.after->pipe->logged, ==, LOGGED - 4);
    end(&world);
}

static void test_cursors(void)
{
    static const uint64_t hostile[][3] = {
        /* synced, logged, enqueued */
        {SYNCED, SYNCED - 1, TAKEN},          {SYNCED, TAKEN + 1, TAKEN},
        {0, LOGGED, PIPE_ENTRIES + 1},        {SYNCED, LOGGED, UINT64_MAX},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX}, {UINT64_MAX - 5, UINT64_MAX, 3},
        {SYNCED, LOGGED + 3, TAKEN}, /* more than the log has */
        {SYNCED, LOGGED, LOGGED - 1}};
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(hostile); i++) {
        World world;
        begin(&world);
        world.kept->pipe.synced = hostile[i][0];
        world.kept->pipe.logged = hostile[i][1];
        state(&world)->enqueued = hostile[i][2];
        recover(&world);
        require_failed(&world);
        g_assert_cmpuint(world.after->pipe->enqueued, ==, LOGGED); /* the log's word */
        end(&world);
    }
}

static void test_entries(void)
{
    for (int change = 0; change < 9; change++) {
        World world;
        begin(&world);
        PipeEntry *entry = pipe_entry(&world.kept->pipe, change < 7 ? LOGGED + 2 : SYNCED + 2);
        const uint8_t odd = 0xaa;
        switch (change) {
        case 0:
            entry->index = 200;
            break;
        case 1:
            entry->content_size = 60000;
            break;
        case 2:
            entry->content_type = 0;
            break;
        case 3:
            memcpy(&entry->host, &odd, 1);
            entry->index = 3;
            break;
        case 4:
            entry->index = 17; /* a guest's record in a register of the host */
            entry->content_type = MONATT_CEL_GUEST;
            break;
        case 5:
            entry->has_sha256 = entry->has_sha384 = false;
            break;
        case 6:
            entry->content_type = MONATT_CEL_RESET;
            break;
        case 7:
            entry->sha384[0] ^= 1; /* on disk it says something else */
            break;
        default:
            entry->content_type = MONATT_CEL_RECORD;
            break;
        }
        recover(&world);
        require_failed(&world);
        end(&world);
    }
}

static void test_log(void)
{
    for (int change = 0; change < 5; change++) {
        World world;
        uint8_t byte;
        begin(&world);
        int fd = world.before_log.fd;
        if (change == 0) {
            g_assert_cmpint(ftruncate(fd, 0), ==, 0);
        } else if (change == 1) {
            g_assert_cmpint(ftruncate(fd, 1000), ==, 0);
        } else if (change == 2) {
            g_assert_cmpint(pwrite(fd, "\xff\xff\xff\xff", 4, 1), ==, 4);
        } else if (change == 3) {
            g_assert_cmpint(ftruncate(fd, (off_t)40 << 20), ==, 0);
            g_assert_cmpint(ftruncate(fd, (off_t)33 << 20), ==, 0);
            g_assert_cmpint(pwrite(fd, "\1", 1, 0), ==, 1);
        } else {
            g_assert_cmpint(pread(fd, &byte, 1, 8), ==, 1);
            byte ^= 1; /* record 0's number */
            g_assert_cmpint(pwrite(fd, &byte, 1, 8), ==, 1);
        }
        recover(&world);
        require_failed(&world);
        end(&world);
    }
}

static void test_streams(void)
{
    World world;
    begin(&world);
    world.kept->wire.receives[atomic_load(&world.kept->wire.current) & 1].start =
        KEPT_WIRE_BYTES + 1;
    recover(&world);
    require_good(&world);
    g_assert_true(world.after->wire_failed);
    end(&world);
    begin(&world);
    state(&world)->wire_used = 1; /* more than came */
    recover(&world);
    g_assert_true(world.after->wire_failed);
    end(&world);
    begin(&world);
    world.kept->qmp.receives[0].start = world.kept->qmp.receives[1].start = UINT64_MAX - 3;
    state(&world)->qmp_used = 5;
    recover(&world);
    require_good(&world);
    g_assert_false(world.after->wire_failed);
    g_assert_true(world.after->qmp_overlong);
    g_assert_cmpuint(world.after->qmp_used, ==, UINT64_MAX - 3);
    end(&world);
}

static void test_state(void)
{
    World world;
    begin(&world);
    KeptState *hostile = state(&world);
    atomic_store(&world.kept->current, atomic_load(&world.kept->current) + 6);
    memset(&hostile->reset.wire, 0xaa, 1);
    memset(&hostile->stopped, 0x80, 1);
    hostile->accelerator = 99;
    hostile->stopped_since_ns = INT64_MAX;
    hostile->sequence = 7;
    hostile->ring = (RingState){.state = MONATT_RING_ON, .count = 3, .base = 4096, .slots = 3};
    hostile->shadow = (ShadowState){.state = MONATT_RING_ON, .base = UINT64_MAX - 4095};
    hostile->index = UINT32_MAX;
    hostile->data_size = UINT32_MAX;
    recover(&world);
    require_good(&world);
    g_assert_cmpint(world.after->accelerator, ==, 0);
    g_assert_true(world.after->stopped);
    g_assert_cmpint(world.after->stopped_since_ns, <=, (int64_t)device_boottime_ns());
    g_assert_cmpuint(world.after->command.sequence % 2, ==, 0);
    g_assert_cmpuint(world.after->ring.kept.state, ==, MONATT_RING_FAULT);
    g_assert_cmpuint(world.after->shadow.kept.state, ==, MONATT_RING_FAULT);
    end(&world);
}

/* A fault that only a reset mends outlives the process that had it. */
static void test_faults_stay(void)
{
    World world;
    begin(&world);
    state(&world)->tpm_differs = true;
    recover(&world);
    g_assert_cmpuint(device_fault(world.after), ==, MONATT_FAULT_TPM_DIFFERS);
    g_assert_null(world.synced);
    end(&world);
}

static void test_reset_under_way(void)
{
    World world;
    MonattError err = {0};
    begin(&world);
    state(&world)->resetting = true;
    recover(&world);
    g_assert_false(world.after->recovery_failed);
    g_assert_true(world.after->resetting);
    g_assert_null(world.synced); /* swtpm gets a new boot, whatever it has */
    g_assert_cmpuint(world.after->pipe->logged, ==, LOGGED);
    end(&world);
    begin(&world);
    state(&world)->resetting = true;
    g_assert_true(event_log_rotate(&world.before_log, &err));
    atomic_store(&world.kept->log_rotated, true);
    recover(&world);
    g_assert_false(world.after->recovery_failed);
    g_assert_true(world.after->resetting);
    g_assert_true(atomic_load(&world.kept->log_rotated));
    g_assert_cmpuint(world.after->pipe->enqueued, ==, 0);
    end(&world);
}

/* A bool of the dead process that is none is one afterwards, for all who read it. */
static void test_bools(void)
{
    World world;
    const uint8_t odd = 0xaa;
    begin(&world);
    PipeEntry *entry = pipe_entry(&world.kept->pipe, LOGGED + 2);
    memcpy(&entry->has_sha256, &odd, 1);
    memcpy(&entry->has_sha384, &odd, 1);
    memcpy(&world.kept->replies[1].wanted, &odd, 1);
    recover(&world);
    require_good(&world);
    uint8_t bytes[3];
    memcpy(&bytes[0], &entry->has_sha256, 1);
    memcpy(&bytes[1], &entry->has_sha384, 1);
    memcpy(&bytes[2], &world.kept->replies[1].wanted, 1);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        g_assert_cmpuint(bytes[i], ==, 1);
    }
    end(&world);
}

/* The service's memory map counts when it is the last one, or the next, not yet dealt with. */
static void test_memory_map(void)
{
    static const struct {
        uint64_t dealt_with;
        uint64_t kept;
        bool counts;
    } cases[] = {{5, 5, true}, {5, 6, true}, {5, 4, false}, {5, 0, false}, {5, UINT64_MAX, false}};
    for (size_t i = 0; i < MONATT_ARRAY_SIZE(cases); i++) {
        World world;
        MonattError err = {0};
        const MonattRamRegion region = {.guest_physical = 0, .size = 4096, .offset = 0};
        begin(&world);
        state(&world)->ram_messages = cases[i].dealt_with;
        world.after = device_new(world.kept);
        const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        guest_ram_replace(&world.after->ram, &region, &fd, 1);
        world.after->ram_kept = cases[i].kept;
        event_log_init(&world.log);
        g_assert_true(event_log_open_present(&world.log, world.folder_fd, &err));
        recovery_run(world.after, &world.log, &world.synced);
        require_good(&world);
        g_assert_cmpuint(world.after->ram.count, ==, cases[i].counts ? 1 : 0);
        end(&world);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/recovery/honest", test_honest);
    g_test_add_func("/recovery/written-not-counted", test_written_not_counted);
    g_test_add_func("/recovery/cursors", test_cursors);
    g_test_add_func("/recovery/entries", test_entries);
    g_test_add_func("/recovery/log", test_log);
    g_test_add_func("/recovery/streams", test_streams);
    g_test_add_func("/recovery/state", test_state);
    g_test_add_func("/recovery/faults-stay", test_faults_stay);
    g_test_add_func("/recovery/reset-under-way", test_reset_under_way);
    g_test_add_func("/recovery/bools", test_bools);
    g_test_add_func("/recovery/memory-map", test_memory_map);
    return g_test_run();
}
