/* Models of any space, and networks of several spaces for them. */
#ifndef NFT_TEST_ANY_SPACE_H
#define NFT_TEST_ANY_SPACE_H

#include "unit/support.h"

#include "model/backward.h"
#include "nft/train.h"

#define ANY(modules) "{'format_version': 1, 'space': 'any', 'modules': [" modules "]}"
#define BLOCK                                                                                                \
    "{'type': 'normalize'}, {'type': 'lift', 'out_channels': 8, 'positions': 9}, {'type': "                  \
    "'place_embedding'}, {'type': 'nft_block', 'num_heads': 2, 'dropout': 0.2}"
#define POOLED ANY(BLOCK ", {'type': 'role_pool'}, {'type': 'linear', 'out_features': 3}")
#define STATISTICS ANY("{'type': 'role_statistics'}, {'type': 'linear', 'out_features': 3}")
#define FEATURES ANY(BLOCK ", {'type': 'pointwise', 'out_channels': 2}")
#define TOKENS ANY(BLOCK ", {'type': 'flatten_weights'}")

static const char *const space_texts[] = {
    "{'layers': [{'type': 'linear', 'in': 2, 'out': 9}, {'type': 'linear', 'in': 9, 'out': 30}, {'type': "
    "'linear', 'in': 30, 'out': 4}]}",
    "{'axes': [{'name': 'image', 'size': 2, 'symmetry': 'none'}, {'name': 'c', 'size': 3}, {'name': 'm', "
    "'size': 4}, {'name': 'classes', 'size': 3, 'symmetry': 'none'}], 'tensors': [{'name': 'stem.weight', "
    "'shape': ['c', 'image', 3, 3]}, {'name': 'bn.weight', 'shape': ['c']}, {'name': 'bn.running_mean', "
    "'shape': ['c']}, {'name': 'a.weight', 'shape': ['m', 'c', 3, 2]}, {'name': 'b.weight', 'shape': ['c', "
    "'m', 3, 2]}, {'name': 'fc.weight', 'shape': ['classes', ['c', 4]]}]}",
    "{'axes': [{'name': 'in', 'size': 3, 'symmetry': 'none'}, {'name': 'h', 'size': 4}], 'tensors': "
    "[{'name': "
    "'weight_ih', 'shape': [[4, 'h'], 'in']}, {'name': 'weight_hh', 'shape': [[4, 'h'], 'h']}, {'name': "
    "'scale', 'shape': []}]}",
    "{'layers': [{'type': 'conv2d', 'in': 1, 'out': 6, 'kernel': [3, 3]}, {'type': 'linear', 'in': 6, 'out': "
    "5}]}"};
#define SPACES (int64_t) COUNT(space_texts)

/* Networks of each space. */
#define NETWORKS 3
typedef struct zoo {
    nft_space *spaces[COUNT(space_texts)];
    nft_weights *sets[COUNT(space_texts)];
} zoo;

static inline nft_space *parse_space(const char *text)
{
    char *json = support_json(text);
    nft_space *space = NULL;
    assert_ok(nft_space_parse(&space, json, strlen(json)));
    free(json);
    return space;
}

static inline zoo open_zoo(void)
{
    zoo z;
    for (int64_t i = 0; i < SPACES; i++) {
        z.spaces[i] = parse_space(space_texts[i]);
        z.sets[i] = support_weights(z.spaces[i], NETWORKS, 1, (uint64_t)i);
    }
    return z;
}

static inline void close_zoo(zoo *z)
{
    for (int64_t i = 0; i < SPACES; i++) {
        nft_weights_free(z->sets[i]);
        nft_space_free(z->spaces[i]);
    }
}

static inline nft_context *open_context(const nft_model *model, int32_t threads, int64_t max_batch, int keep,
                                        int recompute)
{
    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    nft_context *context = NULL;
    options.threads = threads;
    options.max_batch = max_batch;
    options.keep_for_backward = keep;
    options.recompute = recompute;
    assert_ok(nft_context_create(&context, model, &options));
    return context;
}

/* All networks of the zoo, their spaces in turn. */
static inline int64_t mix(nft_forward_sample *samples, const zoo *z)
{
    int64_t count = 0;
    for (int64_t i = 0; i < NETWORKS; i++)
        for (int64_t space = 0; space < SPACES; space++)
            samples[count++] = (nft_forward_sample){.weights = z->sets[space], .index = i};
    return count;
}

#endif
