/* System calls on files that fail, stop half-way or never return, as told: open, fstat, pread, write, fsync,
 * close and rename are defined here, in front of the C library's, whose own streams they do not touch.
 * Include it in one file of a program. */
#ifndef NFT_TEST_INTERPOSED_FILES_H
#define NFT_TEST_INTERPOSED_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum file_call {
    CALL_OPEN,
    CALL_STAT,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC,
    CALL_CLOSE,
    CALL_RENAME,
    FILE_CALLS
};

static const struct {
    const char *name;
    int code; /* errno of a failing call */
} file_calls[FILE_CALLS] = {{"open", EACCES}, {"fstat", EIO}, {"pread", EIO},   {"write", ENOSPC},
                            {"fsync", EIO},   {"close", EIO}, {"rename", EROFS}};

/* The fault of call number `at`, shared by all calls. */
enum file_fault {
    FAULT_NONE,
    FAULT_FAILS,
    FAULT_ENDS,     /* a read finds the end of the file, from this one on */
    FAULT_KILLS,    /* the process ends before the call */
    FAULT_SHORT,    /* every read and write moves one byte at most */
    FAULT_INTERRUPT /* every other open, read and write is interrupted */
};

static struct {
    enum file_fault fault;
    int at, calls;
    enum file_call met; /* the call that the fault met */
    bool hit;
} file_plan;

static void file_faults(enum file_fault fault, int at)
{
    file_plan.fault = fault;
    file_plan.at = at;
    file_plan.calls = 0;
    file_plan.hit = false;
}

/* False if a call fails; errno is then set. */
static bool file_call_passes(enum file_call call)
{
    if (file_plan.fault == FAULT_NONE)
        return true;
    int number = file_plan.calls++;
    if (file_plan.fault == FAULT_INTERRUPT && number % 2 == 0 &&
        (call == CALL_OPEN || call == CALL_READ || call == CALL_WRITE)) {
        errno = EINTR;
        return false;
    }
    if (number != file_plan.at || file_plan.fault > FAULT_KILLS)
        return true;
    file_plan.met = call;
    file_plan.hit = true;
    if (file_plan.fault == FAULT_KILLS)
        raise(SIGKILL);
    errno = file_calls[call].code;
    return file_plan.fault != FAULT_FAILS;
}

static size_t file_piece(size_t bytes)
{
    return file_plan.fault == FAULT_SHORT && bytes > 1 ? 1 : bytes;
}

static int interposed_open(const char *path, int flags, mode_t mode)
{
    return file_call_passes(CALL_OPEN) ? (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode) : -1;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return interposed_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return interposed_open(path, flags, mode);
}

int fstat(int descriptor, struct stat *about)
{
    return file_call_passes(CALL_STAT) ? fstatat(descriptor, "", about, AT_EMPTY_PATH) : -1;
}

int fstat64(int descriptor, struct stat64 *about)
{
    return file_call_passes(CALL_STAT) ? fstatat64(descriptor, "", about, AT_EMPTY_PATH) : -1;
}

static ssize_t interposed_read(int descriptor, void *bytes, size_t count, off64_t offset)
{
    if (!file_call_passes(CALL_READ))
        return -1;
    bool ended = file_plan.fault == FAULT_ENDS && file_plan.calls > file_plan.at;
    file_plan.hit = file_plan.hit || ended;
    return ended ? 0 : syscall(SYS_pread64, descriptor, bytes, file_piece(count), offset);
}

ssize_t pread(int descriptor, void *bytes, size_t count, off_t offset)
{
    return interposed_read(descriptor, bytes, count, offset);
}

ssize_t pread64(int descriptor, void *bytes, size_t count, off64_t offset)
{
    return interposed_read(descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t count)
{
    return file_call_passes(CALL_WRITE) ? syscall(SYS_write, descriptor, bytes, file_piece(count)) : -1;
}

int fsync(int descriptor)
{
    return file_call_passes(CALL_SYNC) ? (int)syscall(SYS_fsync, descriptor) : -1;
}

/* One that fails has closed the file all the same, as on Linux. */
int close(int descriptor)
{
    bool passes = file_call_passes(CALL_CLOSE);
    int code = errno, result = (int)syscall(SYS_close, descriptor);
    if (passes)
        return result;
    errno = code;
    return -1;
}

int rename(const char *from, const char *to)
{
    return file_call_passes(CALL_RENAME) ? (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to) : -1;
}

#endif
