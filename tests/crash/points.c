/* Preloaded before a program: ends it at its N-th change of the file system, or lets writes fail from the N-th on.
 *
 *   POINT_LOG=FILE   appends a line for every point
 *   POINT_AT=N       SIGKILL at point N, before it happens
 *   POINT_FAIL=N     from point N on, whatever would take room on the disk fails with ENOSPC
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int count, kill_at, fail_from;
static const char *log_file;

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("POINT_AT");
    kill_at = text ? atoi(text) : 0;
    text = getenv("POINT_FAIL");
    fail_from = text ? atoi(text) : 0;
    log_file = getenv("POINT_LOG");
}

#define NEXT(result, name, ...) \
    static result (*next)(__VA_ARGS__); \
    if (!next) next = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

static int real_open(const char *path, int flags, mode_t mode) {
    NEXT(int, open64, const char *, int, ...);
    return next(path, flags, mode);
}

static ssize_t real_write(int file, const void *bytes, size_t length) {
    NEXT(ssize_t, write, int, const void *, size_t);
    return next(file, bytes, length);
}

/* Whether the change may happen. */
static int point(const char *what, const char *path, int takes_room) {
    int own = __sync_add_and_fetch(&count, 1);
    if (log_file) {
        char line[700];
        int length = snprintf(line, sizeof line, "%d %s %.600s\n", own, what, path);
        int file = real_open(log_file, O_WRONLY | O_APPEND | O_CREAT, 0644);
        if (file >= 0) {
            real_write(file, line, length < (int)sizeof line ? length : (int)sizeof line - 1);
            close(file);
        }
    }
    if (own == kill_at) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (fail_from && own >= fail_from && takes_room) {
        errno = ENOSPC;
        return 0;
    }
    return 1;
}

int rename(const char *from, const char *to) {
    NEXT(int, rename, const char *, const char *);
    return point("rename", to, 0) ? next(from, to) : -1;
}

int mkdir(const char *path, mode_t mode) {
    NEXT(int, mkdir, const char *, mode_t);
    return point("mkdir", path, 1) ? next(path, mode) : -1;
}

int unlink(const char *path) {
    NEXT(int, unlink, const char *);
    return point("unlink", path, 0) ? next(path) : -1;
}

int unlinkat(int folder, const char *path, int flags) {
    NEXT(int, unlinkat, int, const char *, int);
    return point("unlinkat", path, 0) ? next(folder, path, flags) : -1;
}

int rmdir(const char *path) {
    NEXT(int, rmdir, const char *);
    return point("rmdir", path, 0) ? next(path) : -1;
}

int fsync(int file) {
    NEXT(int, fsync, int);
    return point("fsync", "", 0) ? next(file) : -1;
}

int open64(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
        if (!point("create", path, 1)) return -1;
    }
    return real_open(path, flags, mode);
}

ssize_t write(int file, const void *bytes, size_t length) {
    if (file > 2) {
        char text[40];
        snprintf(text, sizeof text, "%zu bytes", length);
        if (!point("write", text, 1)) return -1;
    }
    return real_write(file, bytes, length);
}
