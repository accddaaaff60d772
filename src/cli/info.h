/* The facts of nftool info about a file, gathered once for people and for JSON. */
#ifndef NFT_CLI_INFO_H
#define NFT_CLI_INFO_H

#include "input.h"
#include "report.h"

#include <nft/file.h>
#include <nft/nft.h>

/* A space as configurations write it; null without a space. */
json_t *space_json(const nft_space *space);
/* One tensor of a list: name, type, shape. */
json_t *tensor_json(const nft_tensor_info *info);

/* "3 layers" of a chain, else "62 tensors". */
const char *describe_space_size(char *text, const nft_space *space);
/* Prints a space: its layers, whose names `weights` (or NULL) knows, or its axes and tensors. The exit
 * status. */
int print_space(const nft_space *space, const nft_weights *weights);
/* Prints a list of `count` tensors, which `get` describes. The exit status. */
typedef nft_status tensor_getter(const void *object, int64_t index, nft_tensor_info *info);
int print_tensors(const void *object, int64_t count, tensor_getter *get);
/* How many tensors of the file have names that end alike, and equally many axes. The exit status. */
int print_tensor_kinds(const nft_file *file);
json_t *tensors_json(const void *object, int64_t count, tensor_getter *get);

/* The texts of the metadata: an object, and a block of lines, long texts cut. Nothing for a NULL file. */
json_t *metadata_json(const nft_file *file);
int print_metadata(const nft_file *file);
/* Appends ": cat, dog", the classes that a tensor of labels numbers; nothing where the metadata name none. */
void append_class_names(char *said, size_t size, const nft_file *file, const char *tensor);

/* The model of a file or, with `file` NULL, that of a configuration, a fresh one. */
int info_model(const nft_model *model, const nft_file *file, const cli_options *given);
/* Weights, and the other tensors of the file. */
int info_weights(cli_input *input, const nft_file *file, const cli_options *given);
/* A data set of several parts. */
int info_index(cli_input *input, const cli_options *given);

#endif
