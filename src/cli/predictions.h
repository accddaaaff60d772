/* Predictions as text: a table, CSV or JSON, a row for each network. Each function that can fail prints its
 * failure and returns the exit status. */
#ifndef NFT_CLI_PREDICTIONS_H
#define NFT_CLI_PREDICTIONS_H

#include "results.h"

typedef enum prediction_format {
    FORMAT_TABLE,
    FORMAT_CSV,
    FORMAT_JSON,  /* a list of objects */
    FORMAT_JSONL, /* an object on each line */
    FORMAT_SAFETENSORS
} prediction_format;

extern const char *const prediction_formats[]; /* their names in that order; NULL ends them */

/* The format that --format names, or else the ending of `path`, or for NULL a table (with --json JSON
 * lines). */
int choose_prediction_format(prediction_format *format, const cli_options *given, const char *path);
/* Fails unless the model gives a vector for each network. */
int check_prediction_output(const nft_model *model, const char *path);
/* A list with a text for each class, from the notes of the model on its training set, or else from `said`,
 * the metadata of the data or NULL; NULL if they are not known. Drop it. */
json_t *read_class_names(const nft_model *model, const char *said, int64_t classes);
/* Writes `predicted` to `path`, or to standard output if that is NULL. For a model that was trained with
 * cross_entropy these are classes, with their names where the data had them, and probabilities. */
int save_prediction_text(const char *path, prediction_format format, const nft_model *model,
                         const cli_input *input, const cli_predicted *predicted);

#endif
