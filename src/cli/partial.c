/* The file: 8 bytes of magic, of which the last is the version, the number of finished networks, the
 * settings, then the tensors, each (N, …), the losses (N) and a checksum of each network (N), as they lie in
 * this machine's memory. */
#define _XOPEN_SOURCE 700
#define _FILE_OFFSET_BITS 64
#include "partial.h"

#include "files.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

typedef struct header {
    char magic[8];
    uint64_t finished;
    char settings[PARTIAL_SETTINGS];
} header;

static const char magic[8] = "nft-fit\2";

static int fail_file(const cli_partial *partial, const char *action)
{
    return fail("%s: cannot %s: %s", partial->path, action, strerror(errno));
}

/* At most so much in one call: some systems refuse more than 2³¹ - 1. */
#define LARGEST_CALL (INT64_C(1) << 30)
/* Of one tensor, which are in memory at a time while the checksums are compared. */
#define CHECKED_NUMBERS (INT64_C(1) << 18)

static bool write_at(const cli_partial *partial, const void *data, int64_t bytes, int64_t offset)
{
    for (const char *next = data; bytes > 0;) {
        ssize_t now =
            pwrite(partial->descriptor, next, (size_t)(bytes < LARGEST_CALL ? bytes : LARGEST_CALL), offset);
        if (now < 0 && errno != EINTR)
            return false;
        now = now < 0 ? 0 : now;
        next += now;
        offset += now;
        bytes -= now;
    }
    return true;
}

static bool read_at(const cli_partial *partial, void *data, int64_t bytes, int64_t offset)
{
    errno = 0;
    for (char *next = data; bytes > 0;) {
        ssize_t now =
            pread(partial->descriptor, next, (size_t)(bytes < LARGEST_CALL ? bytes : LARGEST_CALL), offset);
        if (now == 0 || (now < 0 && errno != EINTR))
            return false;
        now = now < 0 ? 0 : now;
        next += now;
        offset += now;
        bytes -= now;
    }
    return true;
}

/* Numbers of one network's tensor t of W_0, v_0, …; behind the last come its loss, and then its checksum,
 * which has the size of one number. */
static int64_t tensor_numbers(const nft_space *space, int64_t t)
{
    nft_layer layer = {.size = sizeof layer};
    if (nft_space_layer(&layer, space, t / 2))
        return 1;
    return t % 2 ? layer.out : layer.in * layer.out;
}

/* Where tensor t begins in a file of `networks`. */
static int64_t tensor_offset(const cli_partial *partial, int64_t t)
{
    int64_t numbers = 0;
    for (int64_t before = 0; before < t; before++)
        numbers += tensor_numbers(partial->space, before);
    return (int64_t)sizeof(header) + partial->networks * numbers * (int64_t)sizeof(float);
}

static int64_t tensor_count(const cli_partial *partial)
{
    return nft_space_describe(partial->space)->tensor_count;
}

static int64_t checksum_tensor(const cli_partial *partial)
{
    return tensor_count(partial) + 1;
}

/* Adds the numbers of tensor t of networks first … to their checksums. A checksum begins with the network's
 * number, so that none is taken for another. */
static void add_to_checksums(const cli_partial *partial, int64_t t, int64_t first, int64_t count,
                             const float *values, uint32_t *checksums)
{
    size_t numbers = (size_t)tensor_numbers(partial->space, t);
    for (int64_t n = 0; n < count; n++) {
        uint64_t number = (uint64_t)(first + n);
        unsigned long sum =
            t ? checksums[n] : crc32_z(crc32_z(0, NULL, 0), (const void *)&number, sizeof number);
        sum = crc32_z(sum, (const void *)(values + (size_t)n * numbers), numbers * sizeof *values);
        checksums[n] = (uint32_t)sum;
    }
}

/* Only one program at a time. The lock goes with the process. */
static int lock(const cli_partial *partial)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (!fcntl(partial->descriptor, F_SETLK, &whole))
        return EXIT_SUCCESS;
    if (errno == EACCES || errno == EAGAIN)
        return fail("%s: is in use by another program", partial->path);
    return EXIT_SUCCESS; /* this file system has no locks */
}

static int begin(cli_partial *partial, const char *settings)
{
    header *head = calloc(1, sizeof *head);
    if (!head)
        return fail_memory();
    memcpy(head->magic, magic, sizeof magic);
    snprintf(head->settings, sizeof head->settings, "%s", settings);
    /* The header first: a file without one would not be known again. */
    int failed = !write_at(partial, head, (int64_t)sizeof *head, 0) ||
                         ftruncate(partial->descriptor, partial->bytes) || !nft_sync(partial->descriptor)
                     ? fail_file(partial, "write")
                     : EXIT_SUCCESS;
    free(head);
    return failed;
}

/* How many of `count` networks from `first` on are whole, up to the first that is not. `memory` takes any of
 * their tensors; the checksums are `count` each. */
static int count_whole(const cli_partial *partial, int64_t first, int64_t count, float *memory,
                       uint32_t *found, uint32_t *kept, int64_t *whole)
{
    int failed = EXIT_SUCCESS;
    for (int64_t t = 0; t < checksum_tensor(partial) && !failed; t++) {
        failed = partial_read(partial, t, first, count, memory);
        if (!failed)
            add_to_checksums(partial, t, first, count, memory, found);
    }
    if (!failed)
        failed = partial_read(partial, checksum_tensor(partial), first, count, kept);
    for (*whole = 0; !failed && *whole < count && found[*whole] == kept[*whole];)
        ++*whole;
    return failed;
}

/* Only the networks before the first that is damaged count as finished. */
static int check_networks(cli_partial *partial)
{
    int64_t most = 1, claimed = partial->finished, damaged = claimed;
    if (!claimed)
        return EXIT_SUCCESS;
    for (int64_t t = 0; t < tensor_count(partial); t++)
        most = tensor_numbers(partial->space, t) > most ? tensor_numbers(partial->space, t) : most;
    int64_t piece = CHECKED_NUMBERS / most > 1 ? CHECKED_NUMBERS / most : 1;
    piece = claimed < piece ? claimed : piece; /* no more memory than there are networks */
    float *memory = malloc((size_t)(piece * most) * sizeof *memory);
    uint32_t *checksums = malloc((size_t)piece * 2 * sizeof *checksums);
    int failed = memory && checksums ? EXIT_SUCCESS : fail_memory();
    for (int64_t first = 0; first < damaged && !failed; first += piece) {
        int64_t whole = 0, count = claimed - first < piece ? claimed - first : piece;
        failed = count_whole(partial, first, count, memory, checksums, checksums + piece, &whole);
        damaged = whole < count ? first + whole : damaged;
    }
    free(checksums);
    free(memory);
    partial->finished = damaged;
    partial->damaged = claimed - damaged;
    return failed;
}

static int resume(cli_partial *partial, const char *settings, int64_t size)
{
    header *head = calloc(1, sizeof *head);
    if (!head)
        return fail_memory();
    int failed = EXIT_SUCCESS;
    bool read = read_at(partial, head, (int64_t)sizeof *head, 0);
    /* The size may be on the disk before the header is, when the power fails. */
    bool blank = read && size == partial->bytes && !head->magic[0] && !head->finished && !head->settings[0];
    if (!blank && (!read || memcmp(head->magic, magic, sizeof magic - 1) != 0))
        failed = fail("%s: is not the file of an interrupted fit; give another --output", partial->path);
    else if (!blank && head->magic[sizeof magic - 1] != magic[sizeof magic - 1])
        failed =
            fail("%s: another version of nftool began this fit, in a format that this one does not read; "
                 "end it with that one, or remove the file to begin again",
                 partial->path);
    else if (!head->finished)
        failed = begin(partial, settings);
    else if (head->finished > (uint64_t)partial->networks || size > partial->bytes ||
             strncmp(head->settings, settings, sizeof head->settings))
        failed = fail(
            "%s: was begun with other images or options; give the same ones, or remove it to begin again",
            partial->path);
    /* Networks that were cut off are damaged. */
    if (!failed && size < partial->bytes && ftruncate(partial->descriptor, partial->bytes))
        failed = fail_file(partial, "write");
    if (!failed) {
        partial->finished = (int64_t)head->finished;
        failed = check_networks(partial);
    }
    free(head);
    return failed;
}

/* Whether the file that is open still has its name: between open and lock another program may have ended its
 * fit and removed it. */
static bool has_its_name(const cli_partial *partial, struct stat *about)
{
    struct stat named;
    return !fstat(partial->descriptor, about) && !lstat(partial->path, &named) &&
           named.st_dev == about->st_dev && named.st_ino == about->st_ino;
}

static int open_file(cli_partial *partial, const char *settings)
{
    struct stat about = {0};
    /* The user did not choose the name. Another file of this name is neither followed nor changed, and a pipe
     * is not waited for. */
    partial->descriptor =
        open(partial->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0666);
    if (partial->descriptor < 0 && errno != ELOOP)
        return fail_file(partial, "open");
    if (partial->descriptor < 0 || fstat(partial->descriptor, &about) || !S_ISREG(about.st_mode))
        return fail("%s: is %s, but the fit keeps its finished networks there; give another --output",
                    partial->path, partial->descriptor < 0 ? "a link" : "not a regular file");
    if (lock(partial))
        return EXIT_FAILED;
    if (!has_its_name(partial, &about))
        return fail("%s: another program has just removed it; run this again", partial->path);
    int failed = about.st_size ? resume(partial, settings, about.st_size) : begin(partial, settings);
    if (failed && !about.st_size)
        unlink(partial->path);
    partial->ours = !failed;
    return failed;
}

int partial_open(cli_partial *partial, const char *target, const char *settings, const nft_space *space,
                 int64_t networks)
{
    size_t size = strlen(target) + sizeof ".partial";
    *partial = (cli_partial){.descriptor = -1, .space = space, .networks = networks, .path = malloc(size)};
    if (!partial->path)
        return fail_memory();
    snprintf(partial->path, size, "%s.partial", target);
    if (networks > INT64_MAX / 16 / (nft_space_describe(space)->parameter_count + 1))
        return fail("%s: %" PRId64 " networks are too many", partial->path, networks);
    partial->bytes = tensor_offset(partial, checksum_tensor(partial) + 1);
    return open_file(partial, settings);
}

static bool write_tensor(const cli_partial *partial, int64_t t, int64_t count, const void *values)
{
    int64_t bytes = tensor_numbers(partial->space, t) * (int64_t)sizeof(float);
    return write_at(partial, values, count * bytes, tensor_offset(partial, t) + partial->finished * bytes);
}

static bool write_networks(const cli_partial *partial, const nft_weights *weights, const float *losses,
                           uint32_t *checksums)
{
    int64_t tensors = tensor_count(partial), count = nft_weights_count(weights);
    bool written = true;
    for (int64_t t = 0; t <= tensors && written; t++) {
        const float *values = t < tensors ? nft_weights_data(weights, t) : losses;
        add_to_checksums(partial, t, partial->finished, count, values, checksums);
        written = write_tensor(partial, t, count, values);
    }
    return written && write_tensor(partial, checksum_tensor(partial), count, checksums);
}

int partial_add(cli_partial *partial, const nft_weights *weights, const float *losses)
{
    int64_t count = nft_weights_count(weights);
    uint32_t *checksums = malloc((size_t)count * sizeof *checksums);
    if (!checksums)
        return fail_memory();
    bool written = write_networks(partial, weights, losses, checksums);
    uint64_t finished = (uint64_t)(partial->finished + count);
    int failed = EXIT_SUCCESS;
    if (!written || !nft_sync(partial->descriptor) ||
        !write_at(partial, &finished, sizeof finished, offsetof(header, finished)))
        failed = fail_file(partial, "write");
    else
        partial->finished = (int64_t)finished;
    free(checksums);
    return failed;
}

int64_t partial_tensor_count(const cli_partial *partial)
{
    return tensor_count(partial);
}

int64_t partial_tensor_numbers(const cli_partial *partial, int64_t tensor)
{
    return tensor_numbers(partial->space, tensor);
}

int partial_read(const cli_partial *partial, int64_t tensor, int64_t first, int64_t count, void *numbers)
{
    int64_t bytes = tensor_numbers(partial->space, tensor) * (int64_t)sizeof(float);
    return read_at(partial, numbers, count * bytes, tensor_offset(partial, tensor) + first * bytes)
               ? EXIT_SUCCESS
               : fail_file(partial, "read");
}

int partial_losses(const cli_partial *partial, int64_t first, int64_t count, float *losses)
{
    return partial_read(partial, tensor_count(partial), first, count, losses);
}

void partial_remove(cli_partial *partial)
{
    if (partial->ours)
        unlink(partial->path);
}

void partial_close(cli_partial *partial)
{
    if (partial->descriptor >= 0)
        close(partial->descriptor);
    free(partial->path);
    *partial = (cli_partial){.descriptor = -1};
}
