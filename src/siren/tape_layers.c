#include "siren/tape_layers.h"

#include "math/kernel_set.h"

#include <string.h>

/* Hands out pieces of memory, or with `memory` NULL counts them. */
typedef struct pieces {
    float *memory;
    int64_t used;
    bool bf16;
    int64_t width; /* of the kernels */
} pieces;

static int64_t padded(const pieces *from, int64_t columns)
{
    return nft_size_multiply(nft_size_add(columns, from->width - 1) / from->width, from->width);
}

static float *take(pieces *from, int64_t rows, int64_t columns)
{
    float *piece = from->memory ? from->memory + from->used : NULL;
    from->used = nft_size_add(from->used, padded(from, nft_size_multiply(rows, columns)));
    return piece;
}

/* Two bf16 numbers are as large as a float. */
static nft_pairs take_pairs(pieces *from, int64_t rows, int64_t stride, bool both)
{
    nft_pairs pairs = {.stride = stride};
    if (both)
        pairs.across = (uint32_t *)(void *)take(from, rows, stride / 2);
    pairs.down = (uint32_t *)(void *)take(from, (rows + 1) / 2, stride);
    return pairs;
}

/* Layer i of a chain. */
static void place_layer(nft_tape_layer *layer, int64_t i, int64_t last, pieces *from)
{
    bool inner = from->bf16 && i > 0 && i < last;
    layer->weight = take(from, layer->out, layer->in_stride);
    layer->bias = take(from, 1, layer->out_stride);
    if (i == last)
        return;
    layer->transposed = take(from, layer->in, layer->out_stride);
    layer->sine = take(from, NFT_SIREN_CHUNK, layer->out_stride);
    layer->cosine = take(from, NFT_SIREN_CHUNK, layer->out_stride);
    if (from->bf16 && i + 1 < last)
        layer->sine_pairs = take_pairs(from, NFT_SIREN_CHUNK, layer->out_stride, true);
    if (!inner)
        return;
    layer->angle_gradient = take_pairs(from, NFT_SIREN_CHUNK, layer->out_stride, true);
    layer->weight_pairs = take_pairs(from, layer->out, layer->in_stride, false);
    layer->transposed_pairs = take_pairs(from, layer->in, layer->out_stride, false);
}

static void place_gradient(nft_tape_layer *layer, bool last, pieces *from)
{
    layer->gradient =
        last ? take(from, layer->out, layer->in_stride) : take(from, layer->in, layer->out_stride);
    layer->bias_gradient = take(from, 1, layer->out_stride);
}

static nft_tape_layer shape_of(const nft_space *space, int64_t i, float omega, const pieces *from)
{
    const nft_layer *layer = &space->layers[i];
    return (nft_tape_layer){.in = layer->in,
                            .out = layer->out,
                            .in_stride = padded(from, layer->in),
                            .out_stride = padded(from, layer->out),
                            .scale = i + 1 == space->layer_count ? 1 : omega};
}

/* With `tape` NULL it only counts. */
static void place_all(nft_siren_tape *tape, const nft_space *space, float omega, pieces *from)
{
    int64_t last = space->layer_count - 1;
    nft_tape_layer counted = {0};
    float *input = take(from, NFT_SIREN_CHUNK, padded(from, space->layers[0].in));
    for (int64_t i = 0; i <= last; i++) {
        nft_tape_layer *layer = tape ? &tape->layers[i] : &counted;
        *layer = shape_of(space, i, omega, from);
        place_layer(layer, i, last, from);
    }
    int64_t before = from->used;
    for (int64_t i = 0; i <= last; i++) {
        counted = shape_of(space, i, omega, from);
        place_gradient(tape ? &tape->layers[i] : &counted, i == last, from);
    }
    if (!tape)
        return;
    tape->input = input;
    tape->gradients = from->memory + before;
    tape->gradient_floats = from->used - before;
}

/* The tape and its layers stand before the floats. */
static int64_t bytes_before_floats(const nft_space *space)
{
    int64_t bytes =
        nft_size_add(sizeof(nft_siren_tape), nft_size_multiply(space->layer_count, sizeof(nft_tape_layer)));
    return nft_size_multiply(nft_size_add(bytes, NFT_ALIGNMENT - 1) / NFT_ALIGNMENT, NFT_ALIGNMENT);
}

static pieces pieces_for(const nft_siren_bf16 *bf16)
{
    return (pieces){.bf16 = bf16 != NULL, .width = bf16 ? bf16->width : nft_vector()->width};
}

int64_t nft_tape_padded(int64_t columns, const nft_siren_bf16 *bf16)
{
    const pieces from = pieces_for(bf16);
    return padded(&from, columns);
}

const nft_siren_bf16 *nft_tape_kernels_bf16(const nft_space *space, int32_t precision)
{
    return precision == NFT_PRECISION_BF16 && space->layer_count > 2 ? nft_siren_vector_bf16() : NULL;
}

int64_t nft_tape_bytes(const nft_space *space, const nft_siren_bf16 *bf16)
{
    pieces from = pieces_for(bf16);
    place_all(NULL, space, 1, &from);
    return nft_size_add(bytes_before_floats(space), nft_size_multiply(from.used, sizeof(float)));
}

nft_siren_tape *nft_tape_place(void *memory, const nft_space *space, float omega, const nft_siren_bf16 *bf16)
{
    nft_siren_tape *tape = memory;
    pieces from = pieces_for(bf16);
    from.memory = (float *)(void *)((char *)memory + bytes_before_floats(space));
    memset(memory, 0, (size_t)nft_tape_bytes(space, bf16));
    tape->kernels = nft_siren_vector();
    tape->placed_for = tape->bf16 = bf16;
    tape->space = space;
    tape->layer_count = space->layer_count;
    tape->layers = (nft_tape_layer *)(tape + 1);
    place_all(tape, space, omega, &from);
    return tape;
}
