#include "io/space_json.h"
#include "space/space.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LARGEST INT64_C(0x7fffffff)

static nft_status read_kernel(nft_options *options, nft_layer *layer)
{
    const json_t *kernel = NULL;
    nft_status status = nft_options_value(options, "kernel", true, &kernel);
    if (status)
        return status;
    if (!json_is_array(kernel) || json_array_size(kernel) != 2 ||
        !json_is_integer(json_array_get(kernel, 0)) || !json_is_integer(json_array_get(kernel, 1)))
        return nft_fail(NFT_ERROR_CONFIG, "%s: 'kernel' is not two integers, expected [height, width]",
                        options->where);
    layer->kernel_height = json_integer_value(json_array_get(kernel, 0));
    layer->kernel_width = json_integer_value(json_array_get(kernel, 1));
    return NFT_OK;
}

static nft_status read_layer(nft_layer *layer, const json_t *value, int64_t index)
{
    static const char *const types[] = {"linear", "conv2d"};
    char where[64];
    snprintf(where, sizeof where, "space: layers[%" PRId64 "]", index);
    nft_options options;
    int type = 0;
    nft_status status;
    *layer = (nft_layer)NFT_LAYER_INIT_LINEAR(0, 0);
    if ((status = nft_options_open(&options, value, where)) ||
        (status = nft_options_choice(&options, "type", true, types, 2, &type)) ||
        (status = nft_options_integer(&options, "in", true, 1, LARGEST, &layer->in)) ||
        (status = nft_options_integer(&options, "out", true, 1, LARGEST, &layer->out)))
        return status;
    layer->type = type == 1 ? NFT_LAYER_CONV2D : NFT_LAYER_LINEAR;
    status = layer->type == NFT_LAYER_CONV2D
                 ? read_kernel(&options, layer)
                 : nft_options_integer(&options, "positions", false, 1, LARGEST, &layer->positions);
    return status ? status : nft_options_finish(&options);
}

/* An error unless `list` is a list of `least` elements or more. */
static nft_status check_list(const json_t *list, const char *key, size_t least)
{
    if (json_is_array(list) && json_array_size(list) >= least)
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG, "space: '%s' is %s, expected a list%s", key,
                    json_is_array(list) ? "an empty list" : "not a list", least ? " of at least one" : "");
}

static nft_status read_chain(nft_space **space, const json_t *list)
{
    nft_status status = check_list(list, "layers", 1);
    if (status)
        return status;
    size_t count = json_array_size(list);
    nft_layer *layers = nft_allocate_array(count, sizeof *layers);
    if (!layers)
        return nft_fail_memory("a space", (int64_t)(count * sizeof *layers));
    for (size_t i = 0; i < count && !status; i++)
        status = read_layer(&layers[i], json_array_get(list, i), (int64_t)i);
    if (!status)
        status = nft_space_create_chain(space, layers, (int64_t)count);
    nft_release(layers);
    return status;
}

static nft_status read_axis(nft_space_axis *axis, const json_t *value, int64_t index)
{
    static const char *const symmetries[] = {"permutation", "none"};
    char where[64];
    snprintf(where, sizeof where, "space: axes[%" PRId64 "]", index);
    nft_options options;
    int symmetry = 0;
    nft_status status;
    *axis = (nft_space_axis)NFT_SPACE_AXIS(NULL, 0, 0);
    if ((status = nft_options_open(&options, value, where)) ||
        (status = nft_options_text(&options, "name", true, &axis->name)) ||
        (status = nft_options_integer(&options, "size", true, 1, LARGEST, &axis->neurons)) ||
        (status = nft_options_choice(&options, "symmetry", false, symmetries, 2, &symmetry)))
        return status;
    axis->symmetry = symmetry == 1 ? NFT_SYMMETRY_NONE : NFT_SYMMETRY_PERMUTATION;
    return nft_options_finish(&options);
}

/* The axes that are known by name: an object from each name to its index. */
static nft_status read_factor(nft_space_tensor *tensor, nft_factor *factors, const json_t *value,
                              const json_t *axes, bool joined)
{
    if (tensor->factor_count == NFT_TENSOR_MAX_FACTORS)
        return nft_fail(NFT_ERROR_CONFIG, "space: the shape of tensor '%s' has more than %d factors",
                        tensor->name, NFT_TENSOR_MAX_FACTORS);
    nft_factor factor = {.axis = -1, .joined = joined, .positions = 0};
    if (json_is_integer(value)) {
        factor.positions = json_integer_value(value);
    } else if (json_is_string(value)) {
        const json_t *index = json_object_get(axes, json_string_value(value));
        if (!index)
            return nft_fail(NFT_ERROR_CONFIG, "space: tensor '%s' names '%s', which is no axis", tensor->name,
                            json_string_value(value));
        factor.axis = (int32_t)json_integer_value(index);
    } else {
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: the shape of tensor '%s' has a dimension that is neither the name of an axis "
                        "nor a number nor a list of these",
                        tensor->name);
    }
    factors[tensor->factor_count++] = factor;
    return NFT_OK;
}

static nft_status read_shape(nft_space_tensor *tensor, nft_factor *factors, const json_t *shape,
                             const json_t *axes)
{
    nft_status status = NFT_OK;
    if (!json_is_array(shape))
        return nft_fail(NFT_ERROR_CONFIG, "space: 'shape' of tensor '%s' is not a list", tensor->name);
    for (size_t i = 0; i < json_array_size(shape) && !status; i++) {
        const json_t *dimension = json_array_get(shape, i);
        if (json_is_array(dimension) && !json_array_size(dimension))
            return nft_fail(NFT_ERROR_CONFIG, "space: dimension %zu of tensor '%s' is an empty list", i,
                            tensor->name);
        if (!json_is_array(dimension))
            status = read_factor(tensor, factors, dimension, axes, false);
        for (size_t k = 0; json_is_array(dimension) && k < json_array_size(dimension) && !status; k++)
            status = read_factor(tensor, factors, json_array_get(dimension, k), axes, k > 0);
    }
    tensor->factors = factors;
    return status;
}

/* "slice": [dimension, start, count]; the count must be the tensor's size in that dimension. */
static nft_status read_slice(nft_space_tensor *tensor, const json_t *slice, int64_t *count)
{
    int64_t numbers[3];
    bool fits = json_is_array(slice) && json_array_size(slice) == 3;
    for (size_t i = 0; i < 3 && fits; i++) {
        const json_t *number = json_array_get(slice, i);
        numbers[i] = json_integer_value(number);
        fits = json_is_integer(number) && numbers[i] >= 0 && numbers[i] <= LARGEST;
    }
    if (!fits)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: 'slice' of tensor '%s' is not [dimension, start, count], three integers",
                        tensor->name);
    tensor->slice_dimension = (int32_t)numbers[0];
    tensor->slice_start = numbers[1];
    *count = numbers[2];
    return NFT_OK;
}

static nft_status read_tensor(nft_space_tensor *tensor, nft_factor *factors, int64_t *slice_count,
                              const json_t *value, const json_t *axes, int64_t index)
{
    static const char *const roles[] = {"linear", "conv",         "depthwise",   "gain",
                                        "bias",   "running_mean", "running_var", "scalar"};
    char where[64];
    snprintf(where, sizeof where, "space: tensors[%" PRId64 "]", index);
    nft_options options;
    const json_t *shape = NULL, *slice = NULL;
    int role = -1;
    nft_status status;
    *tensor = (nft_space_tensor)NFT_SPACE_TENSOR(NULL, NULL, 0);
    if ((status = nft_options_open(&options, value, where)) ||
        (status = nft_options_text(&options, "name", true, &tensor->name)) ||
        (status = nft_options_value(&options, "shape", true, &shape)) ||
        (status = nft_options_choice(&options, "role", false, roles, 8, &role)) ||
        (status = nft_options_text(&options, "from", false, &tensor->from)) ||
        (status = nft_options_value(&options, "slice", tensor->from != NULL, &slice)) ||
        (status = nft_options_finish(&options)) || (status = read_shape(tensor, factors, shape, axes)))
        return status;
    tensor->role = role + 1;
    if (slice && !tensor->from)
        return nft_fail(NFT_ERROR_CONFIG, "space: tensor '%s' has a 'slice', but no 'from' to cut it out of",
                        tensor->name);
    return slice ? read_slice(tensor, slice, slice_count) : NFT_OK;
}

static nft_status check_slices(const nft_space *space, const int64_t *slice_counts)
{
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        if (tensor->from && tensor->shape[tensor->slice_dimension] != slice_counts[t])
            return nft_fail(NFT_ERROR_CONFIG,
                            "space: the slice of tensor '%s' counts %" PRId64 ", but its shape has %" PRId64
                            " there",
                            tensor->name, slice_counts[t], tensor->shape[tensor->slice_dimension]);
    }
    return NFT_OK;
}

/* Memory for a description while it is read. */
typedef struct description {
    nft_space_axis *axes;
    nft_space_tensor *tensors;
    nft_factor (*factors)[NFT_TENSOR_MAX_FACTORS];
    int64_t *slice_counts;
    json_t *names; /* from each axis's name to its index */
} description;

static nft_status allocate(description *d, size_t axes, size_t tensors)
{
    d->axes = nft_allocate_array(axes, sizeof *d->axes);
    d->tensors = nft_allocate_array(tensors, sizeof *d->tensors);
    d->factors = nft_allocate_array(tensors, sizeof *d->factors);
    d->slice_counts = nft_allocate_array(tensors, sizeof *d->slice_counts);
    d->names = json_object();
    if (d->axes && d->tensors && d->factors && d->slice_counts && d->names)
        return NFT_OK;
    return nft_fail_memory("a space", (int64_t)(tensors * sizeof *d->factors));
}

static void clear(description *d)
{
    nft_release(d->axes);
    nft_release(d->tensors);
    nft_release(d->factors);
    nft_release(d->slice_counts);
    json_decref(d->names);
}

static nft_status fill(description *d, const json_t *axes, const json_t *tensors)
{
    nft_status status = NFT_OK;
    for (size_t i = 0; i < json_array_size(axes) && !status; i++) {
        status = read_axis(&d->axes[i], json_array_get(axes, i), (int64_t)i);
        if (!status && json_object_set_new(d->names, d->axes[i].name, json_integer((json_int_t)i)))
            status = nft_fail_memory("a space", (int64_t)strlen(d->axes[i].name));
    }
    for (size_t i = 0; i < json_array_size(tensors) && !status; i++)
        status = read_tensor(&d->tensors[i], d->factors[i], &d->slice_counts[i], json_array_get(tensors, i),
                             d->names, (int64_t)i);
    return status;
}

static nft_status read_tensors(nft_space **space, const json_t *axes, const json_t *tensors)
{
    nft_status status = check_list(axes, "axes", 0);
    if (!status)
        status = check_list(tensors, "tensors", 1);
    if (status)
        return status;
    description d = {0};
    size_t axis_count = json_array_size(axes), tensor_count = json_array_size(tensors);
    status = allocate(&d, axis_count, tensor_count);
    if (!status)
        status = fill(&d, axes, tensors);
    if (!status)
        status = nft_space_create(space, d.axes, (int64_t)axis_count, d.tensors, (int64_t)tensor_count);
    if (!status && (status = check_slices(*space, d.slice_counts))) {
        nft_space_free(*space);
        *space = NULL;
    }
    clear(&d);
    return status;
}

nft_status nft_space_from_json(nft_space **space, const json_t *value)
{
    *space = NULL;
    nft_options options;
    const json_t *layers = NULL, *axes = NULL, *tensors = NULL;
    nft_status status;
    if ((status = nft_options_open(&options, value, "space")) ||
        (status = nft_options_value(&options, "layers", false, &layers)) ||
        (status = nft_options_value(&options, "axes", false, &axes)) ||
        (status = nft_options_value(&options, "tensors", false, &tensors)) ||
        (status = nft_options_finish(&options)))
        return status;
    if (layers && (axes || tensors))
        return nft_fail(NFT_ERROR_CONFIG, "space: has both 'layers' and 'tensors', expected one of them");
    if (!layers && (!axes || !tensors))
        return nft_fail(NFT_ERROR_CONFIG, "space: lacks %s, expected 'layers', or 'axes' and 'tensors'",
                        !axes && !tensors ? "'layers'"
                        : axes            ? "'tensors'"
                                          : "'axes'");
    return layers ? read_chain(space, layers) : read_tensors(space, axes, tensors);
}

nft_status nft_space_parse(nft_space **space, const char *json, size_t length)
{
    if (!space)
        return nft_fail_null("nft_space_parse", "space");
    *space = NULL;
    if (!json)
        return nft_fail_null("nft_space_parse", "json");
    json_t *value = NULL;
    nft_status status = nft_json_parse(&value, json, length);
    if (!status)
        status = nft_space_from_json(space, value);
    json_decref(value);
    return status;
}
