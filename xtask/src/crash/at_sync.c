/* Preloaded into `greenlight serve`: ends it with SIGKILL at its Nth fsync or fdatasync, once.
 *
 * CRASH_AT_SYNC   which one; 0 only counts
 * CRASH_AFTER     set: the sync is done first; else it never happens
 * CRASH_MARKER    a file that is made when it strikes; where it is there already, it does not strike again
 * CRASH_COUNT     a file that always holds how many there were, as eight bytes of this machine
 *
 * The count is of the whole process, all threads together. What the process starts does not get the preload. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long syncs;
static long strike_at;
static int strike_after;
static char *marker;
static int count_file = -1;

static char *copy_of(const char *name) {
    const char *value = getenv(name);
    size_t length = 0;
    char *copy;
    if (!value) return NULL;
    while (value[length]) length++;
    copy = malloc(length + 1);
    for (size_t at = 0; copy && at <= length; at++) copy[at] = value[at];
    return copy;
}

__attribute__((constructor)) static void arm(void) {
    const char *at = getenv("CRASH_AT_SYNC"), *count = getenv("CRASH_COUNT");
    strike_at = at ? atol(at) : 0;
    strike_after = getenv("CRASH_AFTER") != NULL;
    marker = copy_of("CRASH_MARKER");
    if (count) count_file = open(count, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    unsetenv("LD_PRELOAD");
}

static int strikes(long serial) {
    int made;
    if (strike_at == 0 || serial != strike_at || !marker) return 0;
    made = open(marker, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return made >= 0;
}

static void end(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static int pass(long number, int fd) {
    int64_t serial = atomic_fetch_add(&syncs, 1) + 1;
    int strike = strikes(serial), result;
    if (count_file >= 0 && pwrite(count_file, &serial, sizeof serial, 0) < 0) count_file = -1;
    if (strike && !strike_after) end();
    result = (int)syscall(number, fd);
    if (strike) end();
    return result;
}

int fsync(int fd) { return pass(SYS_fsync, fd); }

int fdatasync(int fd) { return pass(SYS_fdatasync, fd); }
