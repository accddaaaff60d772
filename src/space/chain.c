/* Chains: spaces that are made from a list of layers, each feeding the next. */
#include "space/build.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_LAYERS (NFT_MAX_TENSORS / 2)
#define NAME_CAPACITY 40

static nft_status check_size(int64_t layer, const char *name, int64_t value)
{
    if (value >= 1 && value <= NFT_MAX_AXIS)
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG, "space: layers[%" PRId64 "].%s is %" PRId64 ", expected 1 … %" PRId64,
                    layer, name, value, NFT_MAX_AXIS);
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

/* Fields that a layer's kind does not use get one value, so that layers compare as bytes would. */
static void normalise(nft_layer *layer)
{
    layer->size = sizeof *layer;
    if (layer->type == NFT_LAYER_CONV2D || layer->positions == 0)
        layer->positions = 1;
    if (layer->type == NFT_LAYER_LINEAR)
        layer->kernel_height = layer->kernel_width = 0;
}

static nft_status copy_layers(nft_layer *copies, const nft_layer *layers, int64_t count)
{
    size_t stride = layers[0].size;
    for (int64_t i = 0; i < count; i++) {
        memcpy(&copies[i], (const char *)layers + (size_t)i * stride, sizeof *copies);
        if (copies[i].size != stride)
            return nft_fail(NFT_ERROR_ARGUMENT,
                            "nft_space_create_chain: layers[%" PRId64
                            "].size is %zu, expected that of layers[0], %zu",
                            i, copies[i].size, stride);
        normalise(&copies[i]);
        nft_status status = check_layer(copies, i);
        if (status)
            return status;
    }
    return NFT_OK;
}

/* The weight's shape: (out, in), (out, in · positions) or (out, in, height, width). */
static int64_t weight_factors(const nft_layer *layer, int64_t i, nft_factor *factors)
{
    factors[0] = (nft_factor)NFT_AXIS((int32_t)i + 1);
    factors[1] = (nft_factor)NFT_AXIS((int32_t)i);
    if (layer->type == NFT_LAYER_CONV2D) {
        factors[2] = (nft_factor)NFT_POSITIONS(layer->kernel_height);
        factors[3] = (nft_factor)NFT_POSITIONS(layer->kernel_width);
        return 4;
    }
    factors[2] = (nft_factor)NFT_POSITIONS_JOINED(layer->positions);
    return layer->positions > 1 ? 3 : 2;
}

/* Memory for the description of a chain while it is made. */
typedef struct description {
    nft_layer *layers;
    nft_space_axis *axes;
    nft_space_tensor *tensors;
    nft_factor (*factors)[5]; /* of a weight 4, of the bias 1 */
    char (*axis_names)[NAME_CAPACITY];
    char (*tensor_names)[2][NAME_CAPACITY];
} description;

static nft_status allocate(description *d, size_t layers)
{
    d->layers = nft_allocate_array(layers, sizeof *d->layers);
    d->axes = nft_allocate_array(layers + 1, sizeof *d->axes);
    d->tensors = nft_allocate_array(2 * layers, sizeof *d->tensors);
    d->factors = nft_allocate_array(layers, sizeof *d->factors);
    d->axis_names = nft_allocate_array(layers + 1, sizeof *d->axis_names);
    d->tensor_names = nft_allocate_array(layers, sizeof *d->tensor_names);
    if (d->layers && d->axes && d->tensors && d->factors && d->axis_names && d->tensor_names)
        return NFT_OK;
    return nft_fail_memory("a space", (int64_t)(layers * sizeof *d->tensors));
}

static void clear(description *d)
{
    nft_release(d->layers);
    nft_release(d->axes);
    nft_release(d->tensors);
    nft_release(d->factors);
    nft_release(d->axis_names);
    nft_release(d->tensor_names);
}

static void describe(description *d, int64_t count)
{
    for (int64_t i = 0; i <= count; i++) {
        snprintf(d->axis_names[i], NAME_CAPACITY, "n%" PRId64, i);
        d->axes[i] = (nft_space_axis)NFT_SPACE_AXIS(
            d->axis_names[i], i < count ? d->layers[i].in : d->layers[i - 1].out,
            i > 0 && i < count ? NFT_SYMMETRY_PERMUTATION : NFT_SYMMETRY_NONE);
    }
    for (int64_t i = 0; i < count; i++) {
        nft_factor *factors = d->factors[i];
        snprintf(d->tensor_names[i][0], NAME_CAPACITY, "%" PRId64 ".weight", i);
        snprintf(d->tensor_names[i][1], NAME_CAPACITY, "%" PRId64 ".bias", i);
        d->tensors[NFT_WEIGHT_OF(i)] = (nft_space_tensor)NFT_SPACE_TENSOR(
            d->tensor_names[i][0], factors, weight_factors(&d->layers[i], i, factors));
        factors[4] = factors[0];
        d->tensors[NFT_BIAS_OF(i)] =
            (nft_space_tensor)NFT_SPACE_TENSOR(d->tensor_names[i][1], &factors[4], 1);
    }
}

nft_status nft_space_create_chain(nft_space **space, const nft_layer *layers, int64_t count)
{
    if (!space)
        return nft_fail_null("nft_space_create_chain", "space");
    *space = NULL;
    if (!layers)
        return nft_fail_null("nft_space_create_chain", "layers");
    if (count < 1 || count > MAX_LAYERS)
        return nft_fail(NFT_ERROR_CONFIG, "space: %" PRId64 " layers, expected 1 … %d", count, MAX_LAYERS);
    if (layers[0].size < sizeof(nft_layer))
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "nft_space_create_chain: layers[0].size is %zu, expected sizeof(nft_layer), %zu",
                        layers[0].size, sizeof(nft_layer));
    description d = {0};
    nft_status status = allocate(&d, (size_t)count);
    if (!status)
        status = copy_layers(d.layers, layers, count);
    if (!status) {
        describe(&d, count);
        status = nft_space_create_whole(space, d.axes, count + 1, d.tensors, 2 * count, d.layers, count);
    }
    clear(&d);
    return status;
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
    nft_status status = nft_space_create_chain(out, layers, count - 1);
    nft_release(layers);
    return status;
}

/* The layer that a weight of this shape would have; false if none has it. */
static bool read_weight(nft_layer *layer, const nft_tensor *weight)
{
    const nft_factor *factors = weight->declared;
    if (weight->rank != 2 || factors[0].axis < 0 || factors[1].axis < 0)
        return false;
    *layer = (nft_layer)NFT_LAYER_INIT_LINEAR(weight->sizes[1], weight->sizes[0]);
    if (weight->factor_count == 3)
        layer->positions = factors[2].positions;
    if (weight->factor_count == 4)
        *layer = (nft_layer)NFT_LAYER_INIT_CONV2D(weight->sizes[1], weight->sizes[0], factors[2].positions,
                                                  factors[3].positions);
    return weight->factor_count <= 4;
}

nft_status nft_space_as_chain(nft_space **chain, const nft_space *space)
{
    int64_t count = space->tensor_count / 2;
    bool fits = space->tensor_count % 2 == 0 && space->axis_count == count + 1;
    *chain = NULL;
    nft_layer *layers = nft_allocate_array((size_t)count, sizeof *layers);
    if (!layers)
        return nft_fail_memory("a space", count * (int64_t)sizeof *layers);
    for (int64_t i = 0; i < count && fits; i++)
        fits = read_weight(&layers[i], &space->tensors[NFT_WEIGHT_OF(i)]) &&
               (i == 0 || layers[i - 1].out == layers[i].in);
    nft_status status = fits ? nft_space_create_chain(chain, layers, count) : NFT_OK;
    nft_release(layers);
    if (*chain && !nft_space_equal(*chain, space)) {
        nft_space_free(*chain);
        *chain = NULL;
    }
    return status;
}

nft_status nft_space_set_layers(nft_space *space, const nft_layer *layers, int64_t count)
{
    space->layers = nft_allocate_array((size_t)count, sizeof *space->layers);
    if (!space->layers)
        return nft_fail_memory("a space", count * (int64_t)sizeof *layers);
    if (count)
        memcpy(space->layers, layers, (size_t)count * sizeof *layers);
    space->layer_count = count;
    return NFT_OK;
}

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
