#define _POSIX_C_SOURCE 200809L
#include "training_log.h"

#include "files.h"
#include "nft/train.h"
#include "report.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int fail_log(const training_log *log)
{
    return fail("%s: cannot write: %s", log->path, strerror(errno));
}

/* Room for one more of `bytes` each; NULL without memory. */
static void *grow(void *items, int64_t count, int64_t *capacity, size_t bytes)
{
    if (count < *capacity)
        return items;
    int64_t larger = *capacity ? 2 * *capacity : 256;
    void *moved = realloc(items, (size_t)larger * bytes);
    if (moved)
        *capacity = larger;
    return moved;
}

static int keep_step(training_log *log, int64_t step, double loss)
{
    log_step_entry *steps = grow(log->steps, log->step_count, &log->step_capacity, sizeof *steps);
    if (!steps)
        return fail_memory();
    log->steps = steps;
    steps[log->step_count++] = (log_step_entry){step, loss};
    return EXIT_SUCCESS;
}

static int keep_validation(training_log *log, int64_t step, const cli_scores *scores)
{
    log_validation_entry *all =
        grow(log->validations, log->validation_count, &log->validation_capacity, sizeof *all);
    if (!all)
        return fail_memory();
    log->validations = all;
    all[log->validation_count++] = (log_validation_entry){step, *scores};
    return EXIT_SUCCESS;
}

json_t *log_describe_step(const nft_step_info *info)
{
    return json_pack("{s:I, s:o, s:o, s:o}", "step", (json_int_t)info->step, "loss", json_number(info->loss),
                     "lr", json_number(info->lr), "grad_norm", json_number(info->grad_norm));
}

json_t *log_describe_validation(int64_t step, const cli_scores *scores, bool best)
{
    json_t *object =
        json_pack("{s:I, s:o}", "step", (json_int_t)step, "validation_loss", json_number(scores->loss));
    if (object) {
        scores_to_json(object, scores);
        json_object_set_new(object, "best", json_boolean(best));
    }
    return object;
}

/* Takes the object. A line goes to the system in one piece: whatever ends the program leaves whole lines. */
static int write_line(const training_log *log, json_t *object)
{
    json_object_set_new(object, "time", json_integer((json_int_t)time(NULL)));
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text)
        return fail_memory();
    bool written = fprintf(log->file, "%s\n", text) > 0 && !fflush(log->file);
    free(text);
    return written ? EXIT_SUCCESS : fail_log(log);
}

int log_step(training_log *log, const nft_step_info *info, double samples_per_second)
{
    int failed = keep_step(log, info->step, info->loss);
    if (failed || !log->file)
        return failed;
    json_t *object = log_describe_step(info);
    json_object_set_new(object, "samples_per_s", json_number(samples_per_second));
    return write_line(log, object);
}

int log_validation(training_log *log, int64_t step, const cli_scores *scores, bool best)
{
    int failed = keep_validation(log, step, scores);
    return failed || !log->file ? failed : write_line(log, log_describe_validation(step, scores, best));
}

/* Whether a line is whole and of the past. Lines of a step count it from 0, those of a validation say how
 * many were done before it. */
static bool is_of_the_past(const json_t *object, const char *line, size_t length, int64_t steps)
{
    const json_t *step = json_object_get(object, "step");
    bool validation = json_object_get(object, "validation_loss") != NULL;
    return line[length - 1] == '\n' && json_is_integer(step) &&
           json_integer_value(step) < steps + (validation ? 1 : 0);
}

static int keep_line(training_log *log, const json_t *object)
{
    const json_t *loss = json_object_get(object, "validation_loss");
    int64_t step = (int64_t)json_integer_value(json_object_get(object, "step"));
    if (!loss)
        return keep_step(log, step, json_number_value(json_object_get(object, "loss")));
    cli_scores scores;
    scores_from_json(&scores, object);
    scores.loss = json_number_value(loss);
    return keep_validation(log, step, &scores);
}

/* Reads the lines of the past; `*end` is where the others begin. */
static int read_past(training_log *log, FILE *file, int64_t steps, off_t *end)
{
    char *line = NULL;
    size_t capacity = 0;
    int failed = EXIT_SUCCESS;
    bool past = true;
    for (ssize_t length; past && !failed && (length = getline(&line, &capacity, file)) > 0;) {
        json_error_t error = {0}; /* jansson leaves it so where it found no memory, or says that */
        json_t *object = json_loadb(line, (size_t)length, 0, &error);
        past = is_of_the_past(object, line, (size_t)length, steps);
        if (!object && (!error.text[0] || json_error_code(&error) == json_error_out_of_memory))
            failed = fail_memory();
        else if (!past && !*end && !json_is_integer(json_object_get(object, "step")))
            failed = fail("%s: is not the log of a training", log->path);
        if (past && !failed) {
            failed = keep_line(log, object);
            *end += (off_t)length;
        }
        json_decref(object);
    }
    free(line);
    if (!failed && past && !feof(file))
        failed = fail("%s: cannot read: %s", log->path, strerror(errno));
    return failed;
}

/* Cuts the file where the past ends; of a former training that is the beginning. An output that is no regular
 * file, such as a pipe, is not cut. */
static int cut(training_log *log, int64_t steps)
{
    struct stat about;
    off_t end = 0;
    char text[TEXT_CAPACITY];
    if (fstat(fileno(log->file), &about) || !S_ISREG(about.st_mode))
        return EXIT_SUCCESS;
    FILE *past = fopen(log->path, "r");
    if (!past)
        return fail("%s: cannot read: %s", log->path, strerror(errno));
    int failed = read_past(log, past, steps, &end);
    fclose(past);
    int64_t reached = log->step_count ? log->steps[log->step_count - 1].step + 1 : 0;
    if (!failed && end > 0 && reached < steps - 1) /* its last line may be one that was cut off */
        failed = fail("%s: ends after %s, but the training resumes after %" PRId64
                      ": it is not its log; give another --log",
                      log->path, text_plural(text, reached, "step"), steps);
    return !failed && ftruncate(fileno(log->file), end) ? fail_log(log) : failed;
}

int log_check(const char *path)
{
    struct stat about;
    training_log log = {.path = path};
    off_t end = 0;
    if (!path || stat(path, &about) || !S_ISREG(about.st_mode))
        return EXIT_SUCCESS;
    FILE *file = fopen(path, "r");
    if (!file)
        return fail("%s: cannot read: %s", path, strerror(errno));
    int failed = read_past(&log, file, 0, &end);
    fclose(file);
    return log_close(&log) ? EXIT_FAILED : failed;
}

int log_read(training_log *log, const char *path)
{
    off_t end = 0;
    *log = (training_log){.path = path};
    FILE *file = fopen(path, "r");
    if (!file)
        return fail("%s: cannot open: %s", path, strerror(errno));
    int failed = read_past(log, file, INT64_MAX - 1, &end);
    fclose(file);
    return failed || end ? failed : fail("%s: has no line of a training's log", path);
}

void log_keep(training_log *kept, training_log *log)
{
    *kept = *log;
    *log = (training_log){.path = kept->path, .file = kept->file};
    kept->path = NULL;
    kept->file = NULL;
}

int log_open(training_log *log, const char *path, int64_t steps)
{
    *log = (training_log){.path = path};
    if (!path)
        return EXIT_SUCCESS;
    log->file = fopen(path, "a");
    return log->file ? cut(log, steps) : fail_log(log);
}

int log_sync(training_log *log)
{
    /* A pipe, for example, cannot be synchronised. */
    if (!log->file || nft_sync(fileno(log->file)) || errno == EROFS)
        return EXIT_SUCCESS;
    return fail_log(log);
}

int log_close(training_log *log)
{
    int failed = log->file && fclose(log->file) ? fail_log(log) : EXIT_SUCCESS;
    free(log->steps);
    free(log->validations);
    *log = (training_log){0};
    return failed;
}
