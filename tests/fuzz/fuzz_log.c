/* Any bytes as the log of a training that resumes. Lines of earlier steps stay, later ones are cut off. A
 * file that is no log stays as it is. */
#define _GNU_SOURCE
#include "training_log.h"

#include "fuzz/bytes_as_file.h"
#include "fuzz/quiet_failures.h"

#include <math.h>

#define STEPS 100 /* that the training has done */

static bytes_as_file file;

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    make_file(&file, "log");
    return 0;
}

/* Entries that were read, -1 if it is refused; and bytes that stay. */
static int64_t read_log(int64_t *entries)
{
    training_log log;
    *entries = -1;
    if (log_open(&log, file.path, STEPS)) {
        log_close(&log);
        return (int64_t)lseek(file.descriptor, 0, SEEK_END);
    }
    *entries = log.step_count + log.validation_count;
    for (int64_t i = 0; i < log.step_count; i++)
        if (log.steps[i].step >= STEPS)
            abort();
    for (int64_t i = 0; i < log.validation_count; i++)
        if (log.validations[i].step > STEPS)
            abort();
    if (log_close(&log))
        abort();
    return (int64_t)lseek(file.descriptor, 0, SEEK_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    int64_t first = 0, second = 0;
    write_file(&file, bytes, size);
    int64_t length = read_log(&first);
    if (length > (int64_t)size || (first < 0 && length != (int64_t)size) || length != read_log(&second) ||
        first != second)
        abort();
    return 0;
}
