/* What is inside a model. */
#ifndef NFT_MODEL_MODEL_H
#define NFT_MODEL_MODEL_H

#include "io/safetensors.h"
#include "modules/module.h"
#include "nft/model.h"

/* A module of the sequence and the rows of the parameter table that are its own. */
typedef struct nft_step {
    nft_module *module;
    int64_t first_parameter, end_parameter;
    int64_t frame;     /* floats of what is kept for backward: what arrives, its inside, what leaves */
    int64_t frame_out; /* where in it what leaves begins */
    int64_t sides;     /* floats of what backward leaves besides */
} nft_step;

struct nft_model {
    nft_references references;
    int64_t memory_limit; /* of the caller, for all that is allocated until the model is there */
    char *config;         /* compact JSON */
    nft_file *file;       /* header of the file that it came from, for its metadata; NULL for a fresh model */
    nft_space *space;     /* NULL for a model on tokens */
    nft_value input;
    nft_step *steps; /* the modules, then the decoder if there is one */
    int64_t module_count;
    bool has_decoder;
    nft_parameters parameters; /* the table of sizes */
    float *values;             /* all parameters and buffers, at the table's offsets */
    nft_packed_cache packed;   /* the weights of its linear maps once more, as its contexts need them */
};

/* Number of steps, the decoder included. */
int64_t nft_model_step_count(const nft_model *model);

/* A model without values: the configuration read, every module configured, every size known. */
nft_status nft_model_configure(nft_model **model, const char *json, size_t length, int64_t memory_limit);
/* Allocates the values, after checking them against the limit. */
nft_status nft_model_allocate(nft_model *model);
/* Packs again what its contexts have packed, after values have changed: all, or one parameter of the table. */
void nft_model_pack(nft_model *model);
void nft_model_pack_parameter(nft_model *model, int64_t index);
/* A model of the same configuration and metadata with other values, those of the model's table of sizes. */
nft_status nft_model_copy(nft_model **copy, const nft_model *model, const float *values,
                          int64_t memory_limit);
/* Adds or replaces a text of a copy's metadata: the loss, or ω, that a trainer knows. */
nft_status nft_model_set_metadata(nft_model *copy, const char *key, const char *value);
nft_model *nft_model_retain(const nft_model *model); /* one more reference */
/* Draws fresh values: each depends on the seed and its tensor's name alone. */
void nft_model_initialize(nft_model *model, uint64_t seed);

#endif
