/* What every module of a model has in common. A module is one file: its options, parameters and shapes in
 * `configure`, then forward. It handles one sample at a time; the samples of a batch run beside each other on
 * the threads.
 *
 * In memory, features of one sample are [tensor][row][column][channel * positions + position] in the order
 * W_0, v_0, W_1, … of the space, so tensor t of C-channel features begins at C * space->tensors[t].offset and
 * is a row-major matrix of (tokens, C * positions). Tokens are a matrix (tokens, channels), a vector is
 * (channels). */
#ifndef NFT_MODULES_MODULE_H
#define NFT_MODULES_MODULE_H

#include "base/memory.h"
#include "base/threads.h"
#include "io/json.h"
#include "math/blas.h"
#include "math/products.h"
#include "math/vector.h"
#include "modules/packed_weights.h"
#include "nft/model.h"
#include "space/space.h"

typedef struct nft_module nft_module;
typedef struct nft_module_class nft_module_class;
typedef struct nft_exec nft_exec;
typedef struct nft_dropout_key nft_dropout_key;

/* What flows between modules, for one sample. */
typedef struct nft_value {
    int32_t kind;     /* NFT_VALUE_… */
    int64_t tokens;   /* of tokens; else 0 */
    int64_t channels; /* of features C, of tokens and vectors the width */
} nft_value;

int64_t nft_value_floats(const nft_value *value, const nft_space *space); /* saturates */

/* How fresh parameters are drawn. */
typedef struct nft_init {
    enum { NFT_INIT_CONSTANT, NFT_INIT_UNIFORM, NFT_INIT_NORMAL } kind;
    double a; /* the constant; uniform in ±a; N(0, a) */
} nft_init;

nft_init nft_init_constant(double value);
nft_init nft_init_uniform(double bound);
nft_init nft_init_normal(double deviation);
nft_init
nft_init_fan(int64_t fan_in); /* PyTorch's default, uniform in ±1/√fan_in; for weight and bias alike */

/* What is kept of a sample for backward is cut into frames, one for each module of the sequence: [the value
 * that arrives | what it and the modules inside it keep | the value that leaves]. What only backward writes,
 * for the parameters' gradients, stands in the sides: memory that a few samples have at a time, until their
 * gradients are added. Offsets are floats from the start of the frame, or of the sides; NFT_SIDES is added to
 * the latter where both may be meant. */
#define NFT_SIDES (INT64_C(1) << 62)

/* How a parameter's gradient comes about from what backward left in each sample's frame and sides. */
typedef struct nft_gradient {
    enum {
        NFT_GRADIENT_NONE,    /* a buffer */
        NFT_GRADIENT_PRODUCT, /* a map's weight (outputs, inputs): dyᵀ x */
        NFT_GRADIENT_ROWS,    /* a map's bias (outputs): the sum of dy's rows */
        NFT_GRADIENT_SUM      /* (count) that backward itself leaves at `own` */
    } kind;
    int64_t rows, inputs, outputs;
    int64_t x, x_stride, dy, dy_stride; /* x and dy in the frame, or from NFT_SIDES on in the sides */
    int64_t own; /* in the sides: the sample's gradient itself; -1 where its factors are smaller, and stand
                    for it until it is added */
} nft_gradient;

/* Two buffers, a mean and a standard deviation, that are set from the training data before the first step:
 * of what arrives at the module, (tokens, channels * positions) in a sample's frame. Both have
 * PyTorch's layout, (channels, tokens, positions). Declared by the deviation. */
typedef struct nft_statistics {
    bool declared;
    bool per_weight; /* over the samples alone; else one number for each channel */
    int64_t value;   /* where the module's whole value is kept */
    int64_t first;   /* where the tensor begins in it */
    int64_t tokens, channels, positions;
    int64_t mean; /* the other buffer's offset */
} nft_statistics;

typedef struct nft_parameter {
    char *name; /* with the module's path: "2.attn.to_qkv.linear.weight" */
    int64_t rank, shape[NFT_ARRAY_MAX_RANK];
    int64_t count;
    int64_t offset; /* floats from the start of the model's parameters */
    bool mapped;    /* a linear map's weight, which is packed */
    bool exact;     /* that map is nft_map_exact */
    bool trained;   /* else a buffer */
    nft_gradient gradient;
    nft_statistics statistics;
    nft_init init;
} nft_parameter;

/* The table of sizes of a model: all parameters live in one allocation of `total` floats. */
typedef struct nft_parameters {
    nft_parameter *items;
    int64_t count, capacity;
    int64_t total; /* saturates */
} nft_parameters;

void nft_parameters_clear(nft_parameters *parameters);

/* What `configure` is given. */
typedef struct nft_builder {
    const nft_space *space; /* NULL for a model on tokens */
    nft_value input;        /* the model's own input */
    nft_value value;        /* what arrives at this module */
    nft_parameters *parameters;
    int64_t *kept;     /* size of the frame so far: nft_reserve */
    int64_t *sides;    /* the same of the sides */
    int64_t in_kept;   /* where in the frame the value that arrives stands in backward */
    const char *where; /* names the module in messages: "modules[3] (nft_block)" */
    const char *path;  /* begins its parameters' names: "3." */
    int depth;         /* of modules inside modules */
    int64_t
        memory_limit; /* of the model, for what a module allocates while it is configured; 0: the machine's */
} nft_builder;

/* Declares a parameter (or buffer): its name is the builder's path and the formatted text. Returns its offset
 * through `offset`. Shape: `rank` sizes. Sizes may have saturated; the model's limit check finds that. */
nft_status nft_parameter_add(nft_builder *builder, int64_t *offset, bool trained, nft_init init, int64_t rank,
                             const int64_t *shape, const char *name_format, ...) NFT_PRINTF(7, 8);

/* The usual shapes: (a), (a, b). */
#define NFT_SHAPE(...) ((const int64_t[]){__VA_ARGS__})

/* A linear map's parameters: NAME.weight (outputs, inputs, then `ones` axes of 1 for the convolutions that
 * PyTorch uses) and NAME.bias (outputs), both drawn by `init`. */
typedef struct nft_map {
    int64_t inputs, outputs;
    int64_t weight, bias; /* offsets; bias -1 when there is none */
    int64_t index;        /* of the weight in the table of parameters; the bias comes next */
    bool exact;           /* see nft_map_exact */
} nft_map;

nft_status nft_map_add(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs, int ones,
                       bool bias, nft_init init, const char *name_format, ...) NFT_PRINTF(8, 9);
/* The same under names of their own, with a bias: PyTorch's attention has in_proj_weight and in_proj_bias. */
nft_status nft_map_add_as(nft_builder *builder, nft_map *map, int64_t outputs, int64_t inputs,
                          nft_init weight_init, const char *weight_name, nft_init bias_init,
                          const char *bias_name);

/* The map is computed in single precision whatever the context's precision is: the modules after it enlarge
 * errors. */
void nft_map_exact(nft_builder *builder, nft_map *map);

/* Declares the gradient of the parameter that was added last: backward writes the sample's own, (count), to
 * the sides at *side. */
void nft_gradient_add(nft_builder *builder, int64_t *side);
/* The same for the parameter at `index` in the table, also in place of what a map declared for it. */
void nft_gradient_add_of(nft_builder *builder, int64_t index, int64_t *side);
/* Declares the gradients of a map: x (rows, inputs) and dy (rows, outputs) stand in the frame, or from
 * NFT_SIDES on in the sides, after backward. */
void nft_gradient_of_map(nft_builder *builder, const nft_map *map, int64_t rows, int64_t x, int64_t x_stride,
                         int64_t dy, int64_t dy_stride);

/* Declares where the parameter that was added last, and the one at statistics->mean, get their values. */
void nft_statistics_declare(nft_builder *builder, const nft_statistics *statistics);

struct nft_module_class {
    const char *type;
    bool in_place; /* forward may be given out == in */
    /* Reads and checks the options (nft_options_finish is the caller's), checks what arrives, declares the
     * parameters, and sets out, scratch, thread_scratch, flops and state. On failure the caller releases the
     * module. */
    nft_status (*configure)(nft_module *module, nft_builder *builder, nft_options *options);
    /* One sample. Cannot fail: everything was checked, and all memory set aside, before. In training it may
     * run a second time on the same input, for a frame that was not kept. */
    void (*forward)(const nft_module *module, const nft_exec *exec, const float *in, float *out);
    /* From the gradient of the output to that of the input, for one sample after a forward that kept. Leaves
     * in frame and sides what the parameters' gradients are made of. No two of the four overlap. */
    void (*backward)(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in);
    void (*release)(
        nft_module *module); /* frees what state owns; state itself is the caller's. May be NULL. */
};

struct nft_module {
    const nft_module_class *class;
    const nft_space *space;   /* the builder's */
    nft_value in, out;        /* `out` begins as a copy of `in` */
    int64_t scratch;          /* floats that forward needs for a sample; see nft_reserve */
    int64_t training_scratch; /* the same in training, where it is larger; else 0 */
    int64_t thread_scratch;   /* floats that each item of nft_exec_for needs */
    int64_t flops;            /* of the matrix products for a sample: 2·m·n·k each */
    void *state;              /* the module's own; zeroed memory from nft_module_state */
};

/* Space in `scratch` or `thread_scratch`: returns where it begins and moves *size on, to a multiple of 16
 * floats. Saturates. */
int64_t nft_reserve(int64_t *size, int64_t floats);

/* Where row `first` of rows of `width` floats begins that stand at `base`. Saturates. */
int64_t nft_row_at(int64_t base, int64_t first, int64_t width);

/* A place in the sides, where one in the frame may be meant too. Saturates. */
int64_t nft_side(int64_t offset);

nft_status nft_module_state(nft_module *module, size_t bytes); /* sets module->state */

/* An error "WHERE: takes features, but …" unless `kind` (a NFT_VALUE_…) arrives. */
nft_status nft_require_kind(const nft_builder *builder, int32_t kind);
/* An error that names module and layer unless every f_i is 1. */
nft_status nft_require_one_position(const nft_builder *builder);
/* That features of the space, or the tokens that arrive, are no more rows than a product takes. */
nft_status nft_require_product_rows(const nft_builder *builder, int32_t kind);

/* A module from its JSON object {"type": …, options}. Free with nft_module_free, also after a failure. */
nft_status nft_module_create(nft_module **module, nft_builder *builder, const json_t *config);
/* The same for a class that the caller knows: `config` need not have a "type" of the table. */
nft_status nft_module_create_as(nft_module **module, const nft_module_class *class, nft_builder *builder,
                                const json_t *config);
void nft_module_free(nft_module *module);
const nft_module_class *nft_module_find(const char *type); /* NULL if there is no such type */
const nft_module_class *nft_module_at(int index);          /* 0, 1, …; NULL after the last */
const char *
nft_module_nearest(const char *type); /* the type that it may have been meant for, NULL if none is near */

/* Which random numbers dropout draws: they depend on these, the module and the element alone. */
struct nft_dropout_key {
    uint64_t seed, step, sample;
};

/* y = x with each element dropped with probability p, the others scaled by 1/(1 - p). `module` tells modules
 * apart (nft_random_stream of the path). The same call in backward drops the same elements of the gradient. y
 * may be x. */
void nft_drop(const nft_exec *exec, uint64_t module, double p, int64_t n, const float *x, float *y);
/* y = x + that of branch; y may be branch, and not x. */
void nft_add_dropped(const nft_exec *exec, uint64_t module, double p, int64_t n, const float *x,
                     const float *branch, float *y);

/* What forward is given. */
struct nft_exec {
    const float *parameters;          /* the model's, at the offsets that configure was told */
    const nft_packed_weights *packed; /* of its linear maps */
    const float *input;               /* the model's own input for this sample */
    float *scratch;                   /* module->scratch floats */
    float *thread_scratch;            /* of worker 0; worker w's begins w * thread_stride further */
    int64_t thread_stride;
    float *kept;                           /* in training this sample's frame of the module; NULL otherwise */
    float *sides;                          /* in backward its sides */
    const nft_packed_weights *packed_back; /* the transposes, for backward */
    float *input_gradient;          /* in backward: what modules that read `input` add to its gradient */
    const nft_dropout_key *dropout; /* NULL: none */
    nft_pool *team;                 /* threads that share this sample; NULL: the calling thread alone */
};

/* Runs items 0 … items - 1 of a sample on its team. What an item computes must not depend on the team. */
typedef void nft_exec_work(void *argument, int64_t item, float *thread_scratch);
void nft_exec_for(const nft_exec *exec, int64_t items, nft_exec_work *work, void *argument);

/* y (rows, outputs) = map(x) for the rows of one item. x and y must not overlap. */
void nft_map_rows(const nft_exec *exec, const nft_map *map, int64_t rows, const float *x, int64_t x_stride,
                  float *y, int64_t y_stride, nft_map_mode mode);

/* dx (rows, inputs) = or += dy (rows, outputs) weight. */
void nft_map_rows_back(const nft_exec *exec, const nft_map *map, int64_t rows, const float *dy,
                       int64_t dy_stride, float *dx, int64_t dx_stride, nft_map_mode mode);

/* Rows of a matrix are cut into chunks that depend on their number alone, so that what is summed over a
 * chunk, and each sgemm call, is the same whatever the batch and the threads. */
#define NFT_CHUNK_ROWS 128
int64_t nft_chunk_count(int64_t rows);
void nft_chunk(int64_t rows, int64_t index, int64_t *first, int64_t *count);

/* The same on dense rows, in chunks on the team. */
void nft_exec_linear(const nft_exec *exec, const nft_map *map, int64_t rows, const float *x, float *y,
                     nft_map_mode mode);

/* The same for nft_map_rows_back. */
void nft_exec_linear_back(const nft_exec *exec, const nft_map *map, int64_t rows, const float *dy, float *dx,
                          nft_map_mode mode);

/* Floating-point operations of a matrix product, and of a linear map on `rows` rows: 2·m·n·k. Saturate. */
int64_t nft_product_flops(int64_t m, int64_t n, int64_t k);
int64_t nft_map_flops(const nft_map *map, int64_t rows);

#endif
