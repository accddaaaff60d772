#include "predictions.h"

#include "escape.h"
#include "file_names.h"
#include "metrics.h"
#include "neighbour.h"
#include "outputs.h"
#include "report.h"
#include "scores.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_CAPACITY 256
#define SHOWN 5 /* numbers of a network in a table */

const char *const prediction_formats[] = {"table", "csv", "json", "jsonl", "safetensors", NULL};

static const struct ending {
    const char *text;
    prediction_format format;
} endings[] = {{".txt", FORMAT_TABLE},
               {".csv", FORMAT_CSV},
               {".json", FORMAT_JSON},
               {".jsonl", FORMAT_JSONL},
               {".safetensors", FORMAT_SAFETENSORS}};

/* The data of the rows, one for each network. */
typedef struct prediction_rows {
    FILE *stream;
    const cli_predicted *predicted;
    bool of_classes;
    json_t *names;     /* of the classes; NULL if they are not known */
    nft_array *label;  /* NULL if the data have none that fits */
    int64_t labels;    /* numbers of each label */
    int failed;        /* exit status of a file's name that cannot be read */
    file_names *files; /* of the networks; NULL if they are not known */
    double *shares;    /* of the network at hand: a probability for each class */
} prediction_rows;

static int choose_by_name(prediction_format *format, const char *path)
{
    *format = FORMAT_SAFETENSORS;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (text_ends_with(path, endings[i].text)) {
            *format = endings[i].format;
            return EXIT_SUCCESS;
        }
    return has_foreign_ending(path)
               ? fail("%s: expected a name that ends in .safetensors, .csv, .json, .jsonl or .txt; "
                      "--format writes one of these formats under any name",
                      path)
               : EXIT_SUCCESS;
}

int choose_prediction_format(prediction_format *format, const cli_options *given, const char *path)
{
    const char *name = option_text(given, "format");
    *format = given->json ? FORMAT_JSONL : FORMAT_TABLE;
    if (!name)
        return path ? choose_by_name(format, path) : EXIT_SUCCESS;
    int i = 0;
    while (strcmp(prediction_formats[i], name) != 0)
        i++;
    *format = (prediction_format)i;
    return *format == FORMAT_SAFETENSORS && !path ? fail("--format safetensors needs --output")
                                                  : EXIT_SUCCESS;
}

int check_prediction_output(const nft_model *model, const char *path)
{
    int32_t output = nft_model_describe(model)->output->output;
    return output == NFT_VALUE_VECTOR
               ? EXIT_SUCCESS
               : fail("%s: the model gives %s for each network, which only a file of safetensors holds: give "
                      "-o OUT.safetensors",
                      path, output == NFT_VALUE_TOKENS ? "tokens" : "features");
}

/* NULL unless the text is a list with a text for each class. */
static json_t *parse_names(const char *text, int64_t classes)
{
    json_t *list = text ? json_loads(text, 0, NULL) : NULL;
    bool fits = json_is_array(list) && (int64_t)json_array_size(list) == classes;
    for (size_t i = 0; fits && i < json_array_size(list); i++)
        fits = json_is_string(json_array_get(list, i));
    if (fits)
        return list;
    json_decref(list);
    return NULL;
}

json_t *read_class_names(const nft_model *model, const char *said, int64_t classes)
{
    const char *noted = nft_model_metadata(model, "nft.trained_on");
    json_t *object = noted ? json_loads(noted, 0, NULL) : NULL;
    json_t *list = parse_names(json_string_value(json_object_get(object, "nft.classes")), classes);
    json_decref(object);
    return list ? list : parse_names(said, classes);
}

/* The label of each network, one number or as many as the model gives. */
static int read_label(prediction_rows *rows, const cli_input *input)
{
    const cli_predicted *predicted = rows->predicted;
    const char *name = has_extra(input, "label") ? "label" : "target";
    nft_array *one = NULL;
    if (!has_extra(input, name))
        return EXIT_SUCCESS;
    int failed = read_extra(&one, input, name, 0, 1);
    rows->labels = failed ? 0 : nft_array_count(one);
    nft_array_free(one);
    if (failed || (rows->labels != 1 && (rows->of_classes || rows->labels != predicted->row)))
        return failed;
    return read_extra(&rows->label, input, name, 0, predicted->count);
}

/* The sign of a NaN says nothing. */
static double plain_number(double value)
{
    return isnan(value) ? (double)NAN : value;
}

/* "cat", or the number of a class without a name. */
static const char *class_name(char *text, const prediction_rows *rows, int64_t number)
{
    const char *name = number < 0 ? NULL : json_string_value(json_array_get(rows->names, (size_t)number));
    if (name)
        escape_text(text, NAME_CAPACITY, name);
    else
        snprintf(text, NAME_CAPACITY, "%" PRId64, number);
    return text;
}

static const char *label_text(char *text, const prediction_rows *rows, int64_t index)
{
    const int64_t *integers = nft_array_i64(rows->label);
    if (!integers)
        snprintf(text, NAME_CAPACITY, "%.6g", plain_number((double)nft_array_f32(rows->label)[index]));
    else if (rows->of_classes)
        class_name(text, rows, integers[index]);
    else
        snprintf(text, NAME_CAPACITY, "%" PRId64, integers[index]);
    return text;
}

static const float *values_of(const prediction_rows *rows, int64_t n)
{
    return rows->predicted->values + n * rows->predicted->row;
}

/* The softmax of network n's logits, and the largest. */
static int64_t find_class(const prediction_rows *rows, int64_t n)
{
    const float *logits = values_of(rows, n);
    int64_t classes = rows->predicted->row, best = metrics_largest(logits, classes);
    double sum = 0;
    for (int64_t c = 0; c < classes; c++)
        sum += rows->shares[c] = exp((double)logits[c] - (double)logits[best]);
    for (int64_t c = 0; c < classes; c++)
        rows->shares[c] /= sum;
    return best;
}

/* The file of network n, or an empty text; a failure was printed, and the exit status is kept. */
static const char *file_text(char *text, prediction_rows *rows, int64_t n)
{
    text[0] = 0;
    if (!rows->failed)
        rows->failed = file_names_read(text, rows->files, n);
    return text;
}

/* --- a table for people --- */

static int64_t shown_of(const prediction_rows *rows)
{
    return rows->predicted->row < SHOWN ? rows->predicted->row : SHOWN;
}

static void add_titles(cli_table *table, const prediction_rows *rows)
{
    int64_t row = rows->predicted->row;
    table_cell(table, "network");
    if (rows->files)
        table_cell(table, "file");
    if (rows->of_classes) {
        table_cell(table, "class");
        table_cell(table, "probability");
    }
    for (int64_t i = 0; !rows->of_classes && i < shown_of(rows); i++)
        table_cell(table, row == 1 ? "output" : "output %" PRId64, i);
    if (!rows->of_classes && row > SHOWN)
        table_cell(table, "… of %" PRId64, row);
    if (rows->label && rows->labels == 1)
        table_cell(table, "label");
}

static void add_row(cli_table *table, prediction_rows *rows, int64_t n)
{
    char text[NAME_CAPACITY], path[FILE_NAME_CAPACITY], file[4 * FILE_NAME_CAPACITY];
    table_cell(table, "%" PRId64, n);
    if (rows->files) {
        escape_text(file, sizeof file, file_text(path, rows, n));
        table_cell(table, "%s", file);
    }
    if (rows->of_classes) {
        int64_t best = find_class(rows, n);
        table_cell(table, "%s", class_name(text, rows, best));
        table_cell(table, "%.4f", plain_number(rows->shares[best]));
    }
    for (int64_t i = 0; !rows->of_classes && i < shown_of(rows); i++)
        table_cell(table, "%.6g", plain_number((double)values_of(rows, n)[i]));
    if (!rows->of_classes && rows->predicted->row > SHOWN)
        table_cell(table, "…");
    if (rows->label && rows->labels == 1)
        table_cell(table, "%s", label_text(text, rows, n));
}

static int write_table(prediction_rows *rows)
{
    bool more = !rows->of_classes && rows->predicted->row > SHOWN, files = rows->files != NULL;
    cli_table table = TABLE_INIT("rrrrrrrr", 0);
    table.columns =
        1 + files + (rows->of_classes ? 2 : (int)shown_of(rows) + more) + (rows->label && rows->labels == 1);
    if (rows->of_classes)
        table.align = files ? "rllrl" : "rlrl";
    else if (files)
        table.align = "rlrrrrrrr";
    add_titles(&table, rows);
    for (int64_t n = 0; n < rows->predicted->count; n++)
        add_row(&table, rows, n);
    return table_write(&table, rows->stream);
}

/* --- CSV --- */

/* A field as RFC 4180 has it. */
static void write_field(FILE *stream, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fprintf(stream, ",%s", text);
        return;
    }
    fputs(",\"", stream);
    for (; *text; text++)
        fprintf(stream, *text == '"' ? "\"\"" : "%c", *text);
    fputc('"', stream);
}

static void write_titles(const prediction_rows *rows, const char *word, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        fprintf(rows->stream, count == 1 ? ",%s" : ",%s_%" PRId64, word, i);
}

static void write_csv_row(prediction_rows *rows, int64_t n)
{
    char text[NAME_CAPACITY], file[FILE_NAME_CAPACITY];
    fprintf(rows->stream, "%" PRId64, n);
    if (rows->files)
        write_field(rows->stream, file_text(file, rows, n));
    if (rows->of_classes) {
        int64_t best = find_class(rows, n);
        write_field(rows->stream, class_name(text, rows, best));
        fprintf(rows->stream, ",%.6g", plain_number(rows->shares[best]));
    }
    for (int64_t i = 0; i < rows->predicted->row; i++)
        fprintf(rows->stream, ",%.9g",
                plain_number(rows->of_classes ? rows->shares[i] : (double)values_of(rows, n)[i]));
    for (int64_t i = 0; rows->label && i < rows->labels; i++)
        write_field(rows->stream, label_text(text, rows, n * rows->labels + i));
    fputc('\n', rows->stream);
}

static int write_csv(prediction_rows *rows)
{
    char text[NAME_CAPACITY + sizeof "probability_"];
    fputs(rows->files ? "network,file" : "network", rows->stream);
    if (rows->of_classes)
        fputs(",class,probability", rows->stream);
    else
        write_titles(rows, "output", rows->predicted->row);
    for (int64_t c = 0; rows->of_classes && c < rows->predicted->row; c++) {
        size_t used = (size_t)snprintf(text, sizeof text, "probability_");
        class_name(text + used, rows, c);
        write_field(rows->stream, text);
    }
    if (rows->label)
        write_titles(rows, "label", rows->labels);
    fputc('\n', rows->stream);
    for (int64_t n = 0; n < rows->predicted->count; n++)
        write_csv_row(rows, n);
    return EXIT_SUCCESS;
}

/* --- JSON --- */

static json_t *class_json(const prediction_rows *rows, int64_t number)
{
    json_t *name = number < 0 ? NULL : json_array_get(rows->names, (size_t)number);
    return name ? json_incref(name) : json_integer(number);
}

static json_t *label_json(const prediction_rows *rows, int64_t n)
{
    const int64_t *integers = nft_array_i64(rows->label);
    json_t *list = rows->labels == 1 ? NULL : json_array(), *value = NULL;
    for (int64_t i = n * rows->labels; i < (n + 1) * rows->labels; i++) {
        value = !integers          ? json_number((double)nft_array_f32(rows->label)[i])
                : rows->of_classes ? class_json(rows, integers[i])
                                   : json_integer(integers[i]);
        if (list)
            json_array_append_new(list, value);
    }
    return list ? list : value;
}

/* {"network": 0, "class": …, "probability": …, "probabilities": […], "label": …}, or with "output". */
static json_t *row_json(prediction_rows *rows, int64_t n)
{
    char file[FILE_NAME_CAPACITY];
    int64_t best = rows->of_classes ? find_class(rows, n) : 0;
    json_t *object = json_object(), *numbers = json_array();
    for (int64_t i = 0; i < rows->predicted->row; i++)
        json_array_append_new(
            numbers, json_number(rows->of_classes ? rows->shares[i] : (double)values_of(rows, n)[i]));
    json_object_set_new(object, "network", json_integer(n));
    if (rows->files)
        json_object_set_new(object, "file", json_text(file_text(file, rows, n)));
    if (rows->of_classes) {
        json_object_set_new(object, "class", class_json(rows, best));
        json_object_set_new(object, "probability", json_number(rows->shares[best]));
    }
    json_object_set_new(object, rows->of_classes ? "probabilities" : "output", numbers);
    if (rows->label)
        json_object_set_new(object, "label", label_json(rows, n));
    return object;
}

static int write_json(prediction_rows *rows, bool as_list)
{
    int64_t count = rows->predicted->count;
    int failed = EXIT_SUCCESS;
    fputs(as_list ? "[" : "", rows->stream);
    for (int64_t n = 0; n < count && !failed; n++) {
        json_t *object = row_json(rows, n);
        if (!object ||
            (json_dumpf(object, rows->stream, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9)) &&
             !ferror(rows->stream)))
            failed = fail_memory();
        json_decref(object);
        fputs(!as_list ? "\n" : n + 1 < count ? ",\n" : "]\n", rows->stream);
    }
    return failed;
}

static int write_rows(prediction_rows *rows, prediction_format format)
{
    int failed = format == FORMAT_TABLE ? write_table(rows)
                 : format == FORMAT_CSV ? write_csv(rows)
                                        : write_json(rows, format == FORMAT_JSON);
    return failed ? failed : rows->failed;
}

static int write_to(const char *path, prediction_rows *rows, prediction_format format)
{
    cli_neighbour file;
    rows->stream = stdout;
    if (!path)
        return write_rows(rows, format);
    int failed = neighbour_begin(&file, path);
    rows->stream = file.stream;
    if (!failed)
        failed = write_rows(rows, format);
    return neighbour_finish(&file, failed);
}

int save_prediction_text(const char *path, prediction_format format, const nft_model *model,
                         const cli_input *input, const cli_predicted *predicted)
{
    const char *loss = nft_model_metadata(model, "nft.loss");
    file_names files = file_names_of(input);
    prediction_rows rows = {.predicted = predicted, .files = files.input ? &files : NULL};
    rows.of_classes = loss && loss_of(loss) == LOSS_CROSS_ENTROPY && predicted->row > 0;
    rows.names = rows.of_classes ? read_class_names(model, NULL, predicted->row) : NULL;
    rows.shares = malloc((size_t)predicted->row * sizeof *rows.shares + 1);
    int failed = rows.shares ? read_label(&rows, input) : fail_memory();
    if (!failed)
        failed = write_to(path, &rows, format);
    file_names_clear(&files);
    free(rows.shares);
    json_decref(rows.names);
    nft_array_free(rows.label);
    return failed;
}
