/* In place of the fuzzer, where there is none: runs a target once on each file of a folder. */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak)); /* not every target has one */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Some targets have mutators, which are the fuzzer's to call. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    (void)data;
    (void)size;
    (void)max_size;
    abort();
}

static int refuse(const char *path)
{
    perror(path);
    return EXIT_FAILURE;
}

static int replay(const char *path, size_t size)
{
    uint8_t *bytes = malloc(size ? size : 1); /* as long as the input, so that a read behind it is seen */
    FILE *file = fopen(path, "rb");
    int status = EXIT_SUCCESS;
    if (!bytes || !file || fread(bytes, 1, size, file) != size)
        status = refuse(path);
    else
        LLVMFuzzerTestOneInput(bytes, size);
    if (file)
        fclose(file);
    free(bytes);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return EXIT_FAILURE;
    }
    DIR *folder = opendir(argv[1]);
    if (!folder)
        return refuse(argv[1]);
    setvbuf(stdout, NULL, _IOLBF, 0); /* the last line is of the input that failed */
    int status = LLVMFuzzerInitialize ? LLVMFuzzerInitialize(&argc, &argv) : 0, inputs = 0;
    for (const struct dirent *entry; !status && (entry = readdir(folder));) {
        char path[4096];
        struct stat file;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        if (stat(path, &file))
            status = refuse(path);
        else if (S_ISREG(file.st_mode)) {
            puts(path);
            status = replay(path, (size_t)file.st_size);
            inputs++;
        }
    }
    closedir(folder);
    printf("%d inputs\n", inputs);
    return status || inputs == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
