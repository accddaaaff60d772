/* role_pool: for each role the mean and √(biased variance + 1e-5) of each channel over all entries of its
 * tensors: index role · 2 C + statistic · C + channel. 0 for a role without tensors. */
#include "modules/weights/features.h"

#include <math.h>
#include <string.h>

#define BLOCK 16 /* channels of an item: a cache line of each token */
#define EPSILON 1e-5

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    (void)options;
    module->out.kind = NFT_VALUE_VECTOR;
    module->out.channels = nft_size_multiply(2 * NFT_ROLE_COUNT, builder->value.channels);
    return nft_require_kind(builder, NFT_VALUE_FEATURES);
}

/* An item: some channels of all tensors of a role. */
typedef struct block {
    const nft_module *module;
    int32_t role;
    int64_t first, count; /* channels */
} block;

static int64_t block_count(const nft_module *module)
{
    return NFT_ROLE_COUNT * ((module->in.channels + BLOCK - 1) / BLOCK);
}

static block block_at(const nft_module *module, int64_t item)
{
    int64_t channels = module->in.channels, blocks = (channels + BLOCK - 1) / BLOCK,
            first = item % blocks * BLOCK;
    return (block){module, (int32_t)(item / blocks), first,
                   channels - first < BLOCK ? channels - first : BLOCK};
}

/* The block's tensor number t, or NULL if it has another role. */
static const nft_tensor *tensor_of(const block *b, int64_t t)
{
    const nft_tensor *tensor = &b->module->space->tensors[t];
    return tensor->role == b->role ? tensor : NULL;
}

static int64_t entries_of(const block *b)
{
    int64_t entries = 0;
    for (int64_t t = 0; t < b->module->space->tensor_count; t++)
        if (tensor_of(b, t))
            entries += tensor_of(b, t)->tokens * tensor_of(b, t)->positions;
    return entries;
}

/* Where the block's channels of a token begin in the features. */
static int64_t place_of(const block *b, const nft_tensor *tensor, int64_t token)
{
    int64_t f = tensor->positions;
    return (tensor->offset + token * f) * b->module->in.channels + b->first * f;
}

/* sums[c] += x - means[c], or its square, of the entries of one token */
static void add_entries(const block *b, int64_t positions, const float *x, const double *means, bool square,
                        double *sums)
{
    for (int64_t c = 0; c < b->count; c++)
        for (int64_t p = 0; p < positions; p++) {
            double value = (double)x[c * positions + p] - means[c];
            sums[c] += square ? value * value : value;
        }
}

static void sum_entries(const block *b, const float *x, const double *means, bool square, double *sums)
{
    for (int64_t t = 0; t < b->module->space->tensor_count; t++) {
        const nft_tensor *tensor = tensor_of(b, t);
        for (int64_t token = 0; tensor && token < tensor->tokens; token++)
            add_entries(b, tensor->positions, x + place_of(b, tensor, token), means, square, sums);
    }
}

static void take_moments(const block *b, const float *x, double *means, double *deviations)
{
    double zeros[BLOCK] = {0}, sums[BLOCK] = {0}, squares[BLOCK] = {0}, n = (double)entries_of(b);
    sum_entries(b, x, zeros, false, sums);
    for (int64_t c = 0; c < b->count; c++)
        means[c] = sums[c] / n;
    sum_entries(b, x, means, true, squares);
    for (int64_t c = 0; c < b->count; c++)
        deviations[c] = sqrt(squares[c] / n + EPSILON);
}

typedef struct work {
    const nft_module *module;
    const float *in;
    float *out;
    const float *grad_out; /* in backward */
    float *grad_in;
} work;

static void pool(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const work *w = argument;
    block b = block_at(w->module, item);
    int64_t channels = w->module->in.channels;
    float *out_means = w->out + b.role * 2 * channels + b.first, *out_deviations = out_means + channels;
    double means[BLOCK] = {0}, deviations[BLOCK] = {0};
    if (entries_of(&b))
        take_moments(&b, w->in, means, deviations);
    for (int64_t c = 0; c < b.count; c++) {
        out_means[c] = (float)means[c];
        out_deviations[c] = (float)deviations[c];
    }
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    work w = {.module = module, .in = in, .out = out};
    nft_exec_for(exec, block_count(module), pool, &w);
}

/* The gradient of each entry x of a channel is constant + slope (x - mean). */
typedef struct lines {
    double means[BLOCK], constants[BLOCK], slopes[BLOCK];
} lines;

/* dx = d(mean) / n + d(deviation) (x - mean) / (n deviation) */
static void take_lines(const block *b, const work *w, double n, lines *l)
{
    int64_t channels = w->module->in.channels;
    const float *d_means = w->grad_out + b->role * 2 * channels + b->first,
                *d_deviations = d_means + channels;
    double deviations[BLOCK] = {0};
    take_moments(b, w->in, l->means, deviations);
    for (int64_t c = 0; c < b->count; c++) {
        l->constants[c] = (double)d_means[c] / n;
        l->slopes[c] = (double)d_deviations[c] / (n * deviations[c]);
    }
}

static void pool_back(void *argument, int64_t item, float *memory)
{
    (void)memory;
    const work *w = argument;
    block b = block_at(w->module, item);
    int64_t entries = entries_of(&b);
    lines l = {{0}, {0}, {0}};
    if (!entries)
        return;
    take_lines(&b, w, (double)entries, &l);
    for (int64_t t = 0; t < w->module->space->tensor_count; t++) {
        const nft_tensor *tensor = tensor_of(&b, t);
        for (int64_t token = 0; tensor && token < tensor->tokens; token++) {
            int64_t at = place_of(&b, tensor, token);
            for (int64_t c = 0; c < b.count; c++)
                for (int64_t p = 0; p < tensor->positions; p++, at++)
                    w->grad_in[at] = (float)(l.constants[c] + l.slopes[c] * ((double)w->in[at] - l.means[c]));
        }
    }
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)out;
    work w = {.module = module, .in = in, .grad_out = grad_out, .grad_in = grad_in};
    nft_exec_for(exec, block_count(module), pool_back, &w);
}

const nft_module_class nft_module_role_pool = {.type = "role_pool",
                                               .any_space = NFT_ANY_SPACE_LIFTED,
                                               .configure = configure,
                                               .forward = forward,
                                               .backward = backward};
