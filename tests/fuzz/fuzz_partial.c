/* Any bytes as the file of an interrupted fit: it is refused, or the complete networks can be read, and the
 * fit resumes behind them. */
#define _GNU_SOURCE
#include "fuzz/bytes_as_file.h"
#include "fuzz/quiet_failures.h"

#include "partial.h"

#include <limits.h>
#include <string.h>

#define NETWORKS 3
#define PARAMETERS 9 /* of one network, 2-2-1 */
#define HEADER 4096
#define FILE_BYTES (HEADER + NETWORKS * (PARAMETERS + 2) * 4) /* with a loss and a checksum each */
#define SETTINGS "images 3"

static bytes_as_file file;
static char target[PATH_MAX];
static nft_space *space;
static nft_weights *one;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char folder[] = "/tmp/nft-fuzz-XXXXXX";

static void remove_folder(void)
{
    char path[sizeof target + 16];
    snprintf(path, sizeof path, "%s.partial", target);
    unlink(path);
    rmdir(folder);
}

/* The file that the program opens is a link to the one in memory. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const int64_t widths[] = {2, 2, 1};
    char path[sizeof target + 16];
    (void)argc;
    (void)argv;
    make_file(&file, "partial");
    if (nft_space_create_mlp(&space, widths, 3) || nft_weights_create(&one, space, 1, 1, NULL) ||
        !mkdtemp(folder))
        abort();
    snprintf(target, sizeof target, "%s/fit", folder);
    snprintf(path, sizeof path, "%s.partial", target);
    if (symlink(file.path, path) || atexit(remove_folder))
        abort();
    return 0;
}

/* The first byte decides whether the rest is the file, or the part behind a header that fits, cut or filled
 * up to its right size. The second then is the number of finished networks. */
static void write_input(const uint8_t *bytes, size_t size)
{
    uint8_t whole[FILE_BYTES] = {0};
    if (size < 2 || bytes[0] % 4 == 0) {
        write_file(&file, bytes + (size > 0), size - (size > 0));
        return;
    }
    memcpy(whole, "nft-fit\2", 8);
    whole[8] = bytes[1] % (NETWORKS + 2);
    memcpy(whole + 16, SETTINGS, sizeof SETTINGS);
    size -= 2;
    memcpy(whole + HEADER, bytes + 2, size < FILE_BYTES - HEADER ? size : FILE_BYTES - HEADER);
    write_file(&file, whole, bytes[0] % 4 == 1 && size < FILE_BYTES - HEADER ? HEADER + size : FILE_BYTES);
}

static int open_partial(cli_partial *partial)
{
    int failed = partial_open(partial, target, SETTINGS, space, NETWORKS);
    if (!failed && (partial->finished < 0 || partial->finished + partial->damaged > NETWORKS))
        abort();
    return failed;
}

static void read_all(const cli_partial *partial)
{
    float numbers[NETWORKS * PARAMETERS], losses[NETWORKS];
    for (int64_t t = 0; t < partial_tensor_count(partial); t++)
        if (partial_tensor_numbers(partial, t) > PARAMETERS ||
            partial_read(partial, t, 0, partial->finished, numbers))
            abort();
    if (partial_losses(partial, 0, partial->finished, losses))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    cli_partial partial;
    const float loss = 1;
    write_input(bytes, size);
    if (!open_partial(&partial)) {
        read_all(&partial);
        int64_t finished = partial.finished;
        if (finished < NETWORKS) {
            if (partial_add(&partial, one, &loss) || partial.finished != finished + 1)
                abort();
            partial_close(&partial);
            if (open_partial(&partial) || partial.finished != finished + 1 || partial.damaged)
                abort();
            read_all(&partial);
        }
    }
    partial_close(&partial);
    return 0;
}
