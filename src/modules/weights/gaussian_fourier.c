/* gaussian_fourier: each C-vector x becomes [sin p, cos p] of p = 2π xᵀB with a fixed random B (Tancik et
 * al., arXiv 2006.10739). */
#include "modules/weights/features.h"

#define ROWS 64    /* tokens whose angles are computed together */
#define COLUMNS 64 /* of B at a time */

typedef struct state {
    int64_t mapping_size;
    nft_param b; /* not trained: (C, mapping_size) */
    nft_buffer turns, sine,
        cosine;   /* ITEM: (ROWS, mapping_size); backward has one row of gradients in `turns` */
    nft_buffer x; /* ITEM: (ROWS, C) */
} state;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    int64_t mapping_size = 0;
    double scale = 10;
    nft_status status;
    if ((status = nft_require_kind(builder, NFT_VALUE_FEATURES)) ||
        (status = nft_module_state(module, sizeof(state))) ||
        (status = nft_options_integer(options, "mapping_size", true, 1, 1 << 24, &mapping_size)) ||
        (status = nft_options_number(options, "scale", false, 0, 1e6, &scale)))
        return status;
    state *own = module->state;
    own->mapping_size = mapping_size;
    module->out.channels = 2 * mapping_size;
    own->turns = nft_reserve(builder, NFT_ARENA_ITEM, ROWS, mapping_size);
    own->sine = nft_reserve(builder, NFT_ARENA_ITEM, ROWS, mapping_size);
    own->cosine = nft_reserve(builder, NFT_ARENA_ITEM, ROWS, mapping_size);
    own->x = nft_reserve(builder, NFT_ARENA_ITEM, ROWS, builder->value.channels);
    module->flops = nft_size_multiply(2 * builder->space->numbers,
                                      nft_size_multiply(builder->value.channels, mapping_size));
    return nft_parameter_add(builder, &own->b, false, nft_init_normal(scale), 2,
                             NFT_SHAPE(builder->value.channels, mapping_size), "_B");
}

typedef struct work {
    const nft_module *module;
    const float *b, *in;
    float *out;
    const float *grad_out; /* in backward */
    float *grad_in;
} work;

/* The nearest integer of |x| < 2^51, where larger numbers of turns have lost their fraction anyway; unlike
 * rint, it is inlined for every machine. */
static inline double nearest(double x)
{
    const double rounder = 6755399441055744.0; /* 1.5 · 2^52 */
    return (x + rounder) - rounder;
}

/* Angles, in turns, of `count` vectors: (count, C) · B. Whole turns are taken off while the sum is in double:
 * a rounding of many turns would be an error of the angle. */
static void fourier(const work *w, int64_t count, const float *x, float *turns, float *sine, float *cosine)
{
    const state *own = w->module->state;
    int64_t channels = w->module->in.channels, m = own->mapping_size;
    for (int64_t i = 0; i < count; i++)
        for (int64_t first = 0; first < m; first += COLUMNS) {
            int64_t columns = m - first < COLUMNS ? m - first : COLUMNS;
            double sums[COLUMNS] = {0};
            for (int64_t c = 0; c < channels; c++) {
                const double value = (double)x[i * channels + c];
                const float *b = w->b + c * m + first;
                for (int64_t k = 0; k < columns; k++)
                    sums[k] += value * (double)b[k];
            }
            for (int64_t k = 0; k < columns; k++)
                turns[i * m + first + k] = (float)(sums[k] - nearest(sums[k]));
        }
    nft_vector()->sincos_turns(count * m, turns, sine, cosine);
}

/* A block of at most ROWS vectors: vector i is position i % f of token i / f. The output channel k of a token
 * is at k·f + position. */
static void vectors(const work *w, const nft_tensor *tensor, int64_t first, int64_t count, float *memory)
{
    const state *own = w->module->state;
    int64_t channels = w->module->in.channels, m = own->mapping_size, f = tensor->positions;
    float *turns = nft_in_item(memory, &own->turns), *sine = nft_in_item(memory, &own->sine),
          *cosine = nft_in_item(memory, &own->cosine), *x = nft_in_item(memory, &own->x);
    const float *in = w->in + tensor->offset * channels;
    float *out = w->out + tensor->offset * 2 * m;
    for (int64_t i = 0; i < count; i++) {
        int64_t token = (first + i) / f, position = (first + i) % f;
        for (int64_t c = 0; c < channels; c++)
            x[i * channels + c] = in[(token * channels + c) * f + position];
    }
    fourier(w, count, x, turns, sine, cosine);
    for (int64_t i = 0; i < count; i++) {
        float *row = out + (first + i) / f * 2 * m * f + (first + i) % f;
        for (int64_t k = 0; k < m; k++) {
            row[k * f] = sine[i * m + k];
            row[(m + k) * f] = cosine[i * m + k];
        }
    }
}

static void chunk(void *argument, int64_t item, float *memory)
{
    const work *w = argument;
    nft_rows rows = nft_rows_at(w->module->space, item);
    const nft_tensor *tensor = &w->module->space->tensors[rows.tensor];
    int64_t end = (rows.first + rows.count) * tensor->positions;
    for (int64_t first = rows.first * tensor->positions; first < end; first += ROWS)
        vectors(w, tensor, first, end - first < ROWS ? end - first : ROWS, memory);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const state *own = module->state;
    work w = {.module = module, .b = nft_param_at(exec, &own->b), .in = in, .out = out};
    nft_exec_for(exec, nft_rows_count(module->space), chunk, &w);
}

/* With p = 2π xᵀB and out = [sin p, cos p]: dx = 2π B (cos p · d_sin - sin p · d_cos). */
static void chunk_back(void *argument, int64_t item, float *memory)
{
    const work *w = argument;
    const state *own = w->module->state;
    int64_t C = w->module->in.channels, m = own->mapping_size;
    nft_rows rows = nft_rows_at(w->module->space, item);
    const nft_tensor *tensor = &w->module->space->tensors[rows.tensor];
    int64_t f = tensor->positions, end = (rows.first + rows.count) * f;
    float *gradient = nft_in_item(memory, &own->turns);
    for (int64_t i = rows.first * f; i < end; i++) {
        int64_t token = tensor->offset + i / f * f, position = i % f;
        const float *sine = w->out + token * 2 * m + position, *cosine = sine + m * f;
        const float *d_sine = w->grad_out + token * 2 * m + position, *d_cosine = d_sine + m * f;
        for (int64_t k = 0; k < m; k++)
            gradient[k] = cosine[k * f] * d_sine[k * f] - sine[k * f] * d_cosine[k * f];
        for (int64_t c = 0; c < C; c++)
            w->grad_in[token * C + c * f + position] =
                6.28318531f * nft_vector()->dot(m, w->b + c * m, gradient);
    }
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    const state *own = module->state;
    work w = {.module = module,
              .b = nft_param_at(exec, &own->b),
              .in = in,
              .out = (float *)out,
              .grad_out = grad_out,
              .grad_in = grad_in};
    nft_exec_for(exec, nft_rows_count(module->space), chunk_back, &w);
}

const nft_module_class nft_module_gaussian_fourier = {.type = "gaussian_fourier",
                                                      .any_space = NFT_ANY_SPACE_ALWAYS,
                                                      .configure = configure,
                                                      .forward = forward,
                                                      .backward = backward};
