/* What a command reads: models, weights, and whatever a model runs on. Each function prints its failure and
 * returns the exit status. */
#ifndef NFT_CLI_SOURCES_H
#define NFT_CLI_SOURCES_H

#include "options.h"

#include <jansson.h>
#include <nft/nft.h>

/* Whether a file is JSON, a configuration: by its name, or by its first bytes. */
bool is_configuration(const char *path);

/* A model file; or a configuration, which is freshly initialised from --seed; or a recipe, for its model. */
int load_model(nft_model **model, const char *path, const cli_options *given);
/* What the recipe `path` says of its model: a configuration, or the path of a model or configuration as seen
 * from the folder of the recipe. */
int load_model_of_recipe(nft_model **model, const char *path, const json_t *said, const cli_options *given);
/* `path` as seen from the folder of a recipe; NULL when there is no memory. */
char *path_beside(const char *recipe, const char *path);

/* The images of a model's decoder. */
int read_decoder(const nft_model *model, int64_t *height, int64_t *width, double *omega);

/* Weights, their layers in the order of --layers if that was given. */
int load_weights(nft_weights **weights, const char *path, const cli_options *given);

/* Why the library did not read weights, with the program's name of the option that it may advise. */
void layers_message(char *text, size_t capacity);

/* The same for a data set that is read piece by piece, or one of tokens. */
int open_dataset(nft_dataset **dataset, const char *path, const cli_options *given);
/* All texts of the metadata, borrowed from the file, as nft_array_save() takes them, and `text` for `key`
 * unless the text is NULL or the key is there; NULL when there is no memory. Free the list. */
const char **list_metadata(const nft_file *file, const char *key, const char *text);
bool has_tensor(const nft_file *file, const char *name);
/* Its tensor `label`, or else `target`. */
int read_targets(nft_array **targets, const nft_dataset *dataset);

/* What --first and --count choose of the `count` that are in a file; `word` says what they are. */
int choose_range(int64_t *first, int64_t *chosen, const cli_options *given, const char *path, int64_t count,
                 const char *word);

/* Fails where --layers is given and the file at `path` is `what` ("a model"), not weights. */
int refuse_layers(const cli_options *given, const char *path, const char *what);

/* The option of every command that reads weights. */
#define LAYERS_OPTION                                                                                        \
    {                                                                                                        \
        "layers", 0, OPTION_TEXT, "A,B,C",                                                                   \
            "names of the layers in order, where their natural order is not it", 0, 0, NULL                  \
    }

typedef struct cli_extra {
    char *name;
    const nft_array *array;
    nft_array *owned; /* the same array if the input holds it alone */
} cli_extra;

/* What a model runs on: weights, or the tensor `output` of a file for a model on tokens; and the tensors
 * beside it. */
typedef struct cli_input {
    nft_weights *weights;
    nft_array *tokens;
    int64_t count; /* N */
    cli_extra *extras;
    int64_t extra_count;
} cli_input;

/* Fails for N = 0 as well. */
int load_input(cli_input *input, const nft_model *model, const char *path, const cli_options *given);
void free_input(cli_input *input);
/* An extra tensor, NULL if there is none of that name. */
const nft_array *input_extra(const cli_input *input, const char *name);
/* How many of the N have a value that is not finite. */
int64_t count_non_finite_networks(const nft_weights *weights);
int64_t count_non_finite_inputs(const cli_input *input);

#endif
