/* A module: one step of a model, and one file. `configure` reads its options, checks its input, and declares
 * parameters, buffers and its output. Then forward and backward run without failing. A module handles one
 * sample at a time; samples of a batch run on the threads.
 *
 * To write a module: src/README.md has the steps and all places. modules/weights/pointwise.c is a short one
 * with a map. The backward of modules/weights/learned_scale.c makes the gradient itself. */
#ifndef NFT_MODULES_SHARED_MODULE_H
#define NFT_MODULES_SHARED_MODULE_H

#include "config/options.h"
#include "modules/shared/exec.h"
#include "modules/shared/memory.h"
#include "modules/shared/parameters.h"
#include "modules/shared/value.h"

typedef struct nft_module nft_module;
typedef struct nft_module_class nft_module_class;

/* Where a module may stand in a model of any space. */
typedef enum nft_any_space {
    NFT_ANY_SPACE_NEVER,
    NFT_ANY_SPACE_SIZED,  /* nowhere: the size of its output depends on the space */
    NFT_ANY_SPACE_LIFTED, /* behind `lift`, where every tensor has f = 1 */
    NFT_ANY_SPACE_ALWAYS
} nft_any_space;

/* The arguments of `configure`. */
struct nft_builder {
    const nft_space *space; /* of the features that arrive, lifted or not; NULL for a model on tokens */
    const nft_space *whole; /* the model's own space */
    bool any_space;         /* parameters belong to the roles of tensors, not to the tensors */
    nft_value input;        /* the model's own input */
    nft_value value;        /* the value that arrives at this module */
    nft_buffer arrives;     /* FRAME: where that stands in backward, (1, floats) */
    nft_parameters *parameters;
    bool binding;   /* the parameters exist: parameter_at counts those that were declared again */
    int64_t *bound; /* how many, when binding */
    nft_gradient_table *gradients;
    nft_statistics_table *statistics;
    nft_memory *memory;   /* of this module */
    int64_t *frame;       /* floats of the frame so far */
    int64_t *backward;    /* floats of the backward block so far */
    const char *where;    /* names the module in messages: "modules[3] (nft_block)" */
    const char *path;     /* begins its parameters' names: "3." */
    int depth;            /* of modules inside modules */
    int64_t memory_limit; /* of the model, for allocations during configure; 0: the machine's memory */
};

struct nft_module_class {
    const char *type;
    bool in_place; /* forward may be given out == in */
    nft_any_space any_space;
    /* Reads and checks the options (nft_options_finish is the caller's), checks the input value, declares
     * parameters and buffers, and sets out, flops and state. On failure the caller releases the module. */
    nft_status (*configure)(nft_module *module, nft_builder *builder, nft_options *options);
    /* One sample. In training it may run a second time on the same input, for a frame that was not kept. */
    void (*forward)(const nft_module *module, const nft_exec *exec, const float *in, float *out);
    /* From the gradient of the output to that of the input, for one sample after a forward in training.
     * Leaves the factors of the parameters' gradients in frame and backward block. No two of the four
     * overlap. */
    void (*backward)(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in);
    /* Frees the objects that the state owns; the state itself is the caller's. May be NULL. */
    void (*release)(nft_module *module);
};

struct nft_module {
    const nft_module_class *class;
    const nft_space *space; /* the builder's: of the features that arrive */
    nft_value in, out;      /* `out` begins as a copy of `in` */
    nft_memory memory;
    int64_t flops; /* of the matrix products for a sample: 2·m·n·k each */
    void *state;   /* the module's own; zeroed memory from nft_module_state */
};

nft_status nft_module_state(nft_module *module, size_t bytes); /* sets module->state */

/* An error "WHERE: takes features, but …" unless `kind` (a NFT_VALUE_…) arrives. */
nft_status nft_require_kind(const nft_builder *builder, int32_t kind);
/* An error that names module and tensor unless every tensor has f = 1. */
nft_status nft_require_one_position(const nft_builder *builder);
/* An error that names module and tensor unless the space was made from layers. */
nft_status nft_require_layers(const nft_builder *builder);
/* An error unless raw weights of SIRENs arrive: features of one channel, linear layers, two coordinates. */
nft_status nft_require_sirens(const nft_builder *builder);
/* An error if features of the space, or the tokens that arrive, are more rows than a product takes. */
nft_status nft_require_product_rows(const nft_builder *builder, int32_t kind);

/* A module from its JSON object {"type": …, options}. Free with nft_module_free, also after a failure. */
nft_status nft_module_create(nft_module **module, nft_builder *builder, const nft_json *config);
/* The same for a class that the caller knows: `config` need not have a "type" of the table. */
nft_status nft_module_create_as(nft_module **module, const nft_module_class *class, nft_builder *builder,
                                const nft_json *config);
void nft_module_free(nft_module *module);
const nft_module_class *nft_module_find(const char *type); /* NULL if there is no such type */
const nft_module_class *nft_module_at(int index);          /* 0, 1, …; NULL after the last */
/* The type that it may have been meant for, NULL if none is near. */
const char *nft_module_nearest(const char *type);

/* Runs a module inside another one. `memory` is its scratch: the outer module's buffer for it (CALL,
 * nft_inner_floats() long). */
int64_t nft_inner_floats(const nft_module *inner);
nft_exec nft_exec_inside(const nft_exec *exec, const nft_module *inner, const nft_buffer *memory);

#endif
