/* The inside of a model. */
#ifndef NFT_MODEL_MODEL_H
#define NFT_MODEL_MODEL_H

#include "config/options.h"
#include "model/sequence.h"
#include "nft/model.h"
#include "space/metadata.h"

/* The description of a model, set when it is configured. */
typedef struct nft_model_facts {
    nft_model_description description; /* points to the two others */
    nft_module_info input, output;
} nft_model_facts;

struct nft_model {
    nft_references references;
    int64_t memory_limit;  /* of the caller, for all that is allocated until the model is there */
    char *config;          /* compact JSON */
    nft_metadata metadata; /* of the file that it came from, without the configuration */
    bool any_space;        /* networks of every architecture: parameters belong to the roles of tensors */
    nft_space *space;      /* NULL for a model on tokens or of any space */
    nft_value input;
    nft_sequence *sequence; /* of a model of any space that for a small prototype */
    nft_value *outputs;     /* of each step; tokens or width 0 where they depend on the space */
    int64_t module_count;
    bool has_decoder;
    nft_parameters parameters; /* the table of sizes */
    float *values;             /* all parameters and buffers, at the table's offsets */
    nft_model_facts facts;
    nft_packed_cache packed; /* the weights of its linear maps once more, as its contexts need them */
};

/* Number of steps, the decoder included. */
int64_t nft_model_step_count(const nft_model *model);
/* The output of the last step. */
const nft_value *nft_model_last_value(const nft_model *model);
/* Whether a value has the same shape for every space that the model takes. */
bool nft_model_value_is_fixed(const nft_model *model, const nft_value *value);

/* A model without values: the configuration read, every module configured, every size known. */
nft_status nft_model_configure(nft_model **model, const char *json, size_t length, int64_t memory_limit);
/* A head of a model without values: modules, of which there may be none, and a decoder for networks of the
 * model's space. They read one of its values, tokens or a vector, as tokens. `owner` begins the names of its
 * parameters. It has no configuration, and belongs to whoever trains the model. */
nft_status nft_model_configure_head(nft_model **head, const nft_model *model, const nft_value *value,
                                    const nft_json *modules, const nft_json *decoder, const char *owner);
/* The modules for a space: those of the model, or of a model of any space new ones. Free it with
 * nft_sequence_free(). Threads may call it at the same time. */
nft_status nft_model_bind(nft_sequence **sequence, const nft_model *model, const nft_space *space);
/* Sets the facts of a model that is configured. */
void nft_model_note_facts(nft_model *model);
/* Allocates the values, after checking them against the limit. */
nft_status nft_model_allocate(nft_model *model);
/* Packs weights again after values have changed, those that its contexts have packed: all, or one parameter
 * of the table. */
void nft_model_pack(nft_model *model);
void nft_model_pack_parameter(nft_model *model, int64_t index);
/* A model of the same configuration and metadata with other values, those of the model's table of sizes. */
nft_status nft_model_copy(nft_model **copy, const nft_model *model, const float *values,
                          int64_t memory_limit);
/* Sets a text of the metadata of a model that nobody else has yet: the loss, or ω, that a trainer knows. */
nft_status nft_model_set_metadata(nft_model *model, const char *key, const char *text);
nft_model *nft_model_retain(const nft_model *model); /* one more reference */
/* Draws fresh values: each depends only on the seed and its tensor's name. */
void nft_model_initialize(nft_model *model, uint64_t seed);

#endif
