/* Parameters: the numbers that a model learns, and the buffers that it does not. All of a model are one
 * allocation; this is its table of sizes, and how gradients and statistics come about. */
#ifndef NFT_MODULES_SHARED_PARAMETERS_H
#define NFT_MODULES_SHARED_PARAMETERS_H

#include "base/memory.h"
#include "modules/shared/memory.h"
#include "nft/array.h"

/* How fresh parameters are drawn. */
typedef struct nft_init {
    enum { NFT_INIT_CONSTANT, NFT_INIT_UNIFORM, NFT_INIT_NORMAL } kind;
    double a; /* the constant; uniform in ±a; N(0, a) */
} nft_init;

nft_init nft_init_constant(double value);
nft_init nft_init_uniform(double bound);
nft_init nft_init_normal(double deviation);
/* PyTorch's default, uniform in ±1/√fan_in; for weight and bias alike. */
nft_init nft_init_fan(int64_t fan_in);

typedef struct nft_parameter {
    char *name; /* with the module's path: "2.attn.to_qkv.linear.weight" */
    int64_t rank, shape[NFT_ARRAY_MAX_RANK];
    int64_t count;
    int64_t offset; /* floats from the start of the model's parameters */
    bool mapped;    /* a linear map's weight, which is packed */
    bool exact;     /* that map is nft_map_exact */
    bool trained;   /* else a buffer */
    nft_init init;
} nft_parameter;

typedef struct nft_parameters {
    nft_parameter *items;
    int64_t count, capacity;
    int64_t total; /* floats; saturates */
} nft_parameters;

void nft_parameters_clear(nft_parameters *parameters);

/* A parameter as its module knows it. */
typedef struct nft_param {
    int64_t index; /* in the table; -1: there is none */
    int64_t offset, count;
} nft_param;

/* The usual shapes: (a), (a, b). */
#define NFT_SHAPE(...) ((const int64_t[]){__VA_ARGS__})

/* Declares a parameter, or a buffer unless `trained`: its name is the builder's path and the formatted text.
 * Sizes may have saturated; the model's limit check finds that. In a model of any space every space declares
 * the same parameters in the same order, and all but the first time this finds them again. */
nft_status nft_parameter_add(nft_builder *builder, nft_param *parameter, bool trained, nft_init init,
                             int64_t rank, const int64_t *shape, const char *name_format, ...)
    NFT_PRINTF(7, 8);

/* A linear map: NAME.weight (outputs, inputs, then `ones` dimensions of 1 for the convolutions that PyTorch
 * uses) and NAME.bias (outputs), both drawn by `init`. */
typedef struct nft_map {
    int64_t inputs, outputs;
    nft_param weight, bias; /* bias.index -1: none */
    bool exact;             /* see nft_map_exact */
} nft_map;

nft_status nft_map_add(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs, int ones,
                       bool bias, nft_init init, const char *name_format, ...) NFT_PRINTF(8, 9);
/* The same with whole names and an init for each: PyTorch's attention has in_proj_weight and in_proj_bias. */
nft_status nft_map_add_as(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs, int ones,
                          nft_init weight_init, const char *weight_name, nft_init bias_init,
                          const char *bias_name);

/* The map is computed in single precision at every precision of the context, because the modules after it
 * enlarge errors. */
void nft_map_exact(nft_builder *builder, nft_map *map);

/* How the gradient of one parameter comes about for a sample: it is a product dyᵀ x, or a sum of dy's rows,
 * or backward leaves it itself. Products and sums may have several contributions: tensors of a role share a
 * map. */
typedef struct nft_contribution {
    nft_buffer x, dy; /* in the frame or the backward block; x is not used by a sum of rows */
    int64_t next;     /* index of the parameter's next contribution, -1 for none */
} nft_contribution;

typedef struct nft_gradient {
    enum nft_gradient_kind {
        NFT_GRADIENT_NONE,    /* a buffer, or a parameter that this space does not use: 0 */
        NFT_GRADIENT_PRODUCT, /* a map's weight (outputs, inputs): Σ dyᵀ x */
        NFT_GRADIENT_ROWS,    /* a map's bias (outputs): Σ over dy's rows */
        NFT_GRADIENT_SUM      /* backward leaves it in `own` */
    } kind;
    int64_t inputs, outputs;
    int64_t first, last; /* contributions */
    bool has_own;        /* else the factors are smaller, and stand for the product until it is added */
    nft_buffer own;      /* BACKWARD: the sample's gradient, (1, count) */
} nft_gradient;

/* Of all parameters of a model on one space; items[i] belongs to parameter i. */
typedef struct nft_gradient_table {
    nft_gradient *items;
    int64_t count, capacity;
    nft_contribution *contributions;
    int64_t contribution_count, contribution_capacity;
} nft_gradient_table;

void nft_gradient_table_clear(nft_gradient_table *table);

/* Declares that backward itself leaves the gradient of a parameter: returns where, (1, count) in the BACKWARD
 * arena. A second call for the same parameter returns the same place. Backward sets it for every sample. */
nft_status nft_gradient_add(nft_builder *builder, const nft_param *parameter, nft_buffer *own);
/* Declares that x (rows, inputs) and dy (rows, outputs) stand in the frame or in the BACKWARD arena after
 * backward, and contribute to the gradients of a map's weight, of its bias, or of both. */
nft_status nft_gradient_of_weight(nft_builder *builder, const nft_map *map, const nft_buffer *x,
                                  const nft_buffer *dy);
nft_status nft_gradient_of_bias(nft_builder *builder, const nft_map *map, const nft_buffer *dy);
nft_status nft_gradient_of_map(nft_builder *builder, const nft_map *map, const nft_buffer *x,
                               const nft_buffer *dy);
/* Call it after a module of the sequence is configured. Its parameters are first … end - 1. Decides which of
 * its products are made for each sample, and reserves their places. */
nft_status nft_gradients_finish(nft_builder *builder, int64_t first_parameter, int64_t end_parameter);

/* Two buffers, a mean and a standard deviation, that are set from the training data before the first step.
 * Several entries may name the same two: tensors of a role share them. */
typedef struct nft_statistics {
    int64_t mean, deviation; /* indices of the buffers */
    bool per_weight;         /* only over the samples; else over all entries, one number for each channel */
    int64_t channels;
    int64_t tensor;     /* of the space, with these entries */
    nft_buffer entries; /* FRAME: (tokens, channels · positions), as they arrive */
} nft_statistics;

typedef struct nft_statistics_table {
    nft_statistics *items;
    int64_t count, capacity;
} nft_statistics_table;

void nft_statistics_table_clear(nft_statistics_table *table);
nft_status nft_statistics_add(nft_builder *builder, const nft_statistics *statistics);

#endif
