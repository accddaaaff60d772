#include "space/space.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* No network has an axis or a layer count near this; it keeps a product of two of them inside 64 bits.
 * Longer products saturate, and a space of too many numbers is refused. */
#define MAX_AXIS INT64_C(0x7fffffff)
#define MAX_LAYERS 65536

void nft_layer_describe(const nft_layer *layer, char *text, size_t capacity)
{
    if (layer->type == NFT_LAYER_CONV2D)
        snprintf(text, capacity, "conv2d %" PRId64 " → %" PRId64 ", %" PRId64 "×%" PRId64, layer->in,
                 layer->out, layer->kernel_height, layer->kernel_width);
    else if (layer->positions > 1)
        snprintf(text, capacity, "linear %" PRId64 "·%" PRId64 " → %" PRId64, layer->in, layer->positions,
                 layer->out);
    else
        snprintf(text, capacity, "linear %" PRId64 " → %" PRId64, layer->in, layer->out);
}

static nft_status check_size(int64_t layer, const char *name, int64_t value)
{
    if (value >= 1 && value <= MAX_AXIS)
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG, "space: layers[%" PRId64 "].%s is %" PRId64 ", expected 1 … %" PRId64,
                    layer, name, value, MAX_AXIS);
}

static nft_status check_layer(const nft_layer *layers, int64_t i)
{
    const nft_layer *layer = &layers[i];
    nft_status status = NFT_OK;
    if (layer->type != NFT_LAYER_LINEAR && layer->type != NFT_LAYER_CONV2D)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: layers[%" PRId64 "].type is %d, expected linear (0) or conv2d (1)", i,
                        layer->type);
    if ((status = check_size(i, "in", layer->in)) || (status = check_size(i, "out", layer->out)))
        return status;
    if (layer->type == NFT_LAYER_CONV2D && ((status = check_size(i, "kernel[0]", layer->kernel_height)) ||
                                            (status = check_size(i, "kernel[1]", layer->kernel_width))))
        return status;
    if (layer->type == NFT_LAYER_LINEAR && (status = check_size(i, "positions", layer->positions)))
        return status;
    if (i > 0 && layers[i - 1].out != layer->in)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: layers[%" PRId64 "] takes %" PRId64 " inputs, but layers[%" PRId64
                        "] has %" PRId64 " outputs; each layer feeds the next",
                        i, layer->in, i - 1, layers[i - 1].out);
    return NFT_OK;
}

static int64_t layer_positions(const nft_layer *layer)
{
    return layer->type == NFT_LAYER_CONV2D ? nft_size_multiply(layer->kernel_height, layer->kernel_width)
                                           : layer->positions;
}

static void add_tensor(nft_space *space, nft_tensor tensor)
{
    tensor.tokens = nft_size_multiply(tensor.rows, tensor.columns);
    tensor.first_token = space->tokens;
    tensor.offset = space->numbers;
    space->tokens = nft_size_add(space->tokens, tensor.tokens);
    space->numbers = nft_size_add(space->numbers, nft_size_multiply(tensor.tokens, tensor.positions));
    space->one_position = space->one_position && tensor.positions == 1;
    space->tensors[space->tensor_count++] = tensor;
}

static void add_side(nft_axis *axis, int64_t tensor, bool rows, int64_t tokens)
{
    axis->sides[axis->side_count++] =
        (nft_axis_side){.tensor = tensor, .rows = rows, .tokens = tokens, .first = axis->tokens};
    axis->tokens = nft_size_add(axis->tokens, tokens);
}

/* Axis i indexes W_{i-1}'s rows, v_{i-1} and W_i's columns. */
static void fill_axes(nft_space *space)
{
    for (int64_t i = 0; i < space->axis_count; i++) {
        nft_axis *axis = &space->axes[i];
        axis->hidden = i > 0 && i < space->layer_count;
        axis->size = i < space->layer_count ? space->layers[i].in : space->layers[i - 1].out;
        if (i > 0) {
            add_side(axis, NFT_WEIGHT_OF(i - 1), true, space->layers[i - 1].in);
            add_side(axis, NFT_BIAS_OF(i - 1), true, 1);
        }
        if (i < space->layer_count)
            add_side(axis, NFT_WEIGHT_OF(i), false, space->layers[i].out);
    }
}

static nft_status allocate_space(nft_space **out, int64_t layers)
{
    nft_space *space = nft_allocate(sizeof *space);
    *out = space;
    if (!space)
        return nft_fail_memory("a space", sizeof *space);
    nft_references_init(&space->references);
    space->layer_count = layers;
    space->axis_count = layers + 1;
    space->one_position = true;
    space->layers = nft_allocate_array((size_t)layers, sizeof *space->layers);
    space->tensors = nft_allocate_array((size_t)(2 * layers), sizeof *space->tensors);
    space->axes = nft_allocate_array((size_t)space->axis_count, sizeof *space->axes);
    nft_axis_side *sides = nft_allocate_array((size_t)(3 * space->axis_count), sizeof *sides);
    if (space->axes)
        space->axes[0].sides = sides; /* owns the sides of all axes */
    if (space->layers && space->tensors && space->axes && sides) {
        for (int64_t i = 1; i < space->axis_count; i++)
            space->axes[i].sides = sides + 3 * i;
        return NFT_OK;
    }
    if (!space->axes)
        nft_release(sides);
    return nft_fail_memory("a space", layers * (int64_t)sizeof(nft_layer));
}

nft_status nft_space_create(nft_space **out, const nft_layer *layers, int64_t count)
{
    if (!out)
        return nft_fail_null("nft_space_create", "space");
    *out = NULL;
    if (!layers)
        return nft_fail_null("nft_space_create", "layers");
    if (count < 1 || count > MAX_LAYERS)
        return nft_fail(NFT_ERROR_CONFIG, "space: %" PRId64 " layers, expected 1 … %d", count, MAX_LAYERS);
    size_t stride = layers[0].size;
    if (stride < sizeof(nft_layer))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_space_create: layers[0].size is %zu, expected sizeof(nft_layer), %zu", stride,
                        sizeof(nft_layer));

    nft_space *space = NULL;
    nft_status status = allocate_space(&space, count);
    for (int64_t i = 0; i < count && !status; i++) {
        nft_layer *layer = &space->layers[i];
        memcpy(layer, (const char *)layers + (size_t)i * stride, sizeof *layer);
        if (layer->size != stride) {
            status =
                nft_fail(NFT_ERROR_ARGUMENT,
                         "nft_space_create: layers[%" PRId64 "].size is %zu, expected that of layers[0], %zu",
                         i, layer->size, stride);
            break;
        }
        layer->size = sizeof *layer;
        if (layer->type == NFT_LAYER_CONV2D || layer->positions == 0)
            layer->positions = 1;
        if (layer->type == NFT_LAYER_LINEAR)
            layer->kernel_height = layer->kernel_width = 0;
        if ((status = check_layer(space->layers, i)))
            break;
        add_tensor(space, (nft_tensor){.layer = i,
                                       .rows = layer->out,
                                       .columns = layer->in,
                                       .positions = layer_positions(layer),
                                       .row_axis = i + 1,
                                       .column_axis = i});
        add_tensor(space, (nft_tensor){.layer = i,
                                       .bias = true,
                                       .rows = layer->out,
                                       .columns = 1,
                                       .positions = 1,
                                       .row_axis = i + 1,
                                       .column_axis = -1});
    }
    if (!status && space->numbers > INT64_MAX / 1024)
        status = nft_fail(NFT_ERROR_LIMIT, "space: its layers have more weights than can be counted");
    if (status) {
        nft_space_free(space);
        return status;
    }
    fill_axes(space);
    *out = space;
    return NFT_OK;
}

nft_status nft_space_create_mlp(nft_space **out, const int64_t *widths, int64_t count)
{
    if (!out)
        return nft_fail_null("nft_space_create_mlp", "space");
    *out = NULL;
    if (!widths)
        return nft_fail_null("nft_space_create_mlp", "widths");
    if (count < 2 || count > MAX_LAYERS)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: %" PRId64 " widths, expected 2 … %d: inputs, hidden layers, outputs", count,
                        MAX_LAYERS);
    nft_layer *layers = nft_allocate_array((size_t)(count - 1), sizeof *layers);
    if (!layers)
        return nft_fail_memory("a space", count * (int64_t)sizeof *layers);
    for (int64_t i = 0; i < count - 1; i++)
        layers[i] = (nft_layer)NFT_LAYER_INIT_LINEAR(widths[i], widths[i + 1]);
    nft_status status = nft_space_create(out, layers, count - 1);
    nft_release(layers);
    return status;
}

void nft_space_free(nft_space *space)
{
    if (!space || !nft_references_drop(&space->references))
        return;
    if (space->axes)
        nft_release(space->axes[0].sides);
    nft_release(space->axes);
    nft_release(space->tensors);
    nft_release(space->layers);
    nft_release(space);
}

nft_space *nft_space_retain(const nft_space *space)
{
    nft_space *shared = (nft_space *)space;
    if (shared)
        nft_references_add(&shared->references);
    return shared;
}

int64_t nft_space_layer_count(const nft_space *space)
{
    return space ? space->layer_count : 0;
}

nft_status nft_space_layer(nft_layer *layer, const nft_space *space, int64_t index)
{
    if (!space || !layer)
        return nft_fail_null("nft_space_layer", space ? "layer" : "space");
    if (index < 0 || index >= space->layer_count)
        return nft_fail_index("nft_space_layer", index, space->layer_count);
    if (layer->size < sizeof *layer)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_space_layer: layer->size is %zu, expected %zu", layer->size,
                        sizeof *layer);
    size_t size = layer->size;
    *layer = space->layers[index];
    layer->size = size;
    return NFT_OK;
}

int64_t nft_space_parameter_count(const nft_space *space)
{
    return space ? space->numbers : 0;
}

/* The first layer in which they differ, the shorter one's count if one begins the other, -1 if they are
 * equal. */
static int64_t first_difference(const nft_space *a, const nft_space *b)
{
    int64_t common = a->layer_count < b->layer_count ? a->layer_count : b->layer_count;
    for (int64_t i = 0; i < common; i++) {
        const nft_layer *x = &a->layers[i], *y = &b->layers[i];
        if (x->type != y->type || x->in != y->in || x->out != y->out ||
            x->kernel_height != y->kernel_height || x->kernel_width != y->kernel_width ||
            x->positions != y->positions)
            return i;
    }
    return a->layer_count == b->layer_count ? -1 : common;
}

int nft_space_equal(const nft_space *a, const nft_space *b)
{
    return a == b || (a && b && first_difference(a, b) < 0);
}

nft_status nft_space_check_equal(const nft_space *expected, const nft_space *found)
{
    int64_t i = first_difference(expected, found);
    if (i < 0)
        return NFT_OK;
    if (i >= expected->layer_count || i >= found->layer_count)
        return nft_fail(NFT_ERROR_MISMATCH, "networks of %" PRId64 " layers, expected %" PRId64,
                        found->layer_count, expected->layer_count);
    char want[128], have[128];
    nft_layer_describe(&expected->layers[i], want, sizeof want);
    nft_layer_describe(&found->layers[i], have, sizeof have);
    return nft_fail(NFT_ERROR_MISMATCH, "layer %" PRId64 " of the networks is %s, expected %s", i, have,
                    want);
}
