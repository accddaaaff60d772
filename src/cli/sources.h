/* The inputs of a command: models, weights, and tokens. Each function prints its failure and returns the exit
 * status. */
#ifndef NFT_CLI_SOURCES_H
#define NFT_CLI_SOURCES_H

#include "options.h"

#include <jansson.h>
#include <nft/file.h>
#include <nft/nft.h>
#include <nft/train.h>

/* Whether a file is JSON, a configuration: by its name, or by its first bytes. */
bool is_configuration(const char *path);

/* JSON that is an object, and neither a configuration nor a recipe; NULL if the file is none. */
json_t *load_other_json(const char *path, const cli_options *given);

/* A model file; or a configuration, which is freshly initialised from --seed; or a recipe, for its model. */
int load_model(nft_model **model, const char *path, const cli_options *given);
/* The model of the recipe `path`: a configuration, or the path of a model or configuration as seen from the
 * folder of the recipe. */
int load_model_of_recipe(nft_model **model, const char *path, const json_t *said, const cli_options *given);
/* `path` as seen from the folder of a recipe; NULL when there is no memory. */
char *path_from_recipe(const char *recipe, const char *path);

/* The images of a model's decoder. */
int read_decoder(const nft_model *model, int64_t *height, int64_t *width);

/* A message of the library, with the program's names of the options that it may advise. */
void translate_options(char *text, size_t capacity, const char *message);
/* Why the library did not read weights, with the program's names of the options that it may advise. */
void layers_message(char *text, size_t capacity);
int fail_layers(void); /* prints it, and returns the exit status */
/* Prints that about a file, and returns the exit status. */
int fail_weights(const char *path);

/* The space in a JSON file (itself, or inside a configuration or a sidecar), or that of weights or a model.
 * Free it. */
int read_space(nft_space **space, const char *path);

/* The same for the command's main file, to which --layers and --prefix apply. */
int load_space(nft_space **space, const char *path, const cli_options *given);
bool is_model_file(const char *path);

/* The index of a data set of several parts. */
bool is_index(const char *path);
/* The same for a data set that is read piece by piece, or one of tokens, or an index. A model (or NULL) of
 * one space gives its space to networks without one. `what` is the expected kind: "weights". */
int open_dataset_for(nft_dataset **dataset, const char *path, const char *what, const nft_model *model,
                     const cli_options *given);
int open_dataset(nft_dataset **dataset, const char *path, const nft_model *model, const cli_options *given);
/* All texts of a set's metadata, borrowed from it, as nft_file_writer_create() takes them; NULL when there is
 * no memory. Free the list. */
const char **list_weights_metadata(const nft_weights *weights);
bool has_tensor(const nft_file *file, const char *name);

/* Applies --first and --count to the `count` items of a file; `word` names the items. */
int choose_range(int64_t *first, int64_t *chosen, const cli_options *given, const char *path, int64_t count,
                 const char *word);

/* Fails where --layers is given and the file at `path` is `what` ("a model"), not weights. */
int refuse_layers(const cli_options *given, const char *path, const char *what);

/* The names of layers, of every command that reads networks, and the other options that choose tensors. */
#define LAYER_NAMES_OPTION                                                                                   \
    {                                                                                                        \
        "layers", 0, OPTION_TEXT, "A,B,C",                                                                   \
            "names of the layers in order, where their natural order is not it", 0, 0, NULL                  \
    }
#define LAYERS_OPTION                                                                                        \
    LAYER_NAMES_OPTION,                                                                                      \
        {"prefix", 0, OPTION_TEXT, "P", "read the tensors whose names begin with P", 0, 0, NULL},            \
    {                                                                                                        \
        "space", 0, OPTION_INPUT, "FILE", "JSON with the space of the networks, or a network of it", 0, 0,   \
            NULL                                                                                             \
    }

#endif
