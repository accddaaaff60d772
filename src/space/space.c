#include "base/utf8.h"
#include "space/build.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const role_names[NFT_ROLE_COUNT] = {"linear", "conv",         "depthwise",   "gain",
                                                       "bias",   "running_mean", "running_var", "scalar"};

const char *nft_role_name(int64_t role)
{
    return role_names[role];
}

/* From the last part of the name and from the axes. */
static int32_t role_by_name(const nft_tensor *tensor)
{
    const char *dot = strrchr(tensor->name, '.'), *last = dot ? dot + 1 : tensor->name;
    if (!strcmp(last, "running_mean"))
        return NFT_ROLE_RUNNING_MEAN;
    if (!strcmp(last, "running_var"))
        return NFT_ROLE_RUNNING_VAR;
    if (tensor->rank == 0)
        return NFT_ROLE_SCALAR;
    if (tensor->rank > 1)
        return tensor->positions == 1 ? NFT_ROLE_LINEAR : NFT_ROLE_CONV;
    if (strstr(last, "bias"))
        return NFT_ROLE_BIAS;
    return tensor->positions == 1 ? NFT_ROLE_GAIN : NFT_ROLE_DEPTHWISE;
}

static nft_status check_name(const char *kind, int64_t index, const char *name)
{
    if (name && name[0] && nft_is_utf8(name))
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG, "space: %s %" PRId64 " has %s", kind, index,
                    name && name[0] ? "a name that is not UTF-8" : "no name");
}

static nft_status add_axis(nft_space *space, const nft_space_axis *given)
{
    nft_status status = check_name("axis", space->axis_count, given->name);
    if (status)
        return status;
    if (given->neurons < 1 || given->neurons > NFT_MAX_AXIS)
        return nft_fail(NFT_ERROR_CONFIG, "space: axis '%s' has the size %" PRId64 ", expected 1 … %" PRId64,
                        given->name, given->neurons, NFT_MAX_AXIS);
    if (given->symmetry != NFT_SYMMETRY_PERMUTATION && given->symmetry != NFT_SYMMETRY_NONE)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: axis '%s' has the symmetry %d, expected permutation (0) or none (1)",
                        given->name, given->symmetry);
    nft_axis *axis = &space->axes[space->axis_count];
    axis->name = nft_copy_text(given->name);
    if (!axis->name)
        return nft_fail_memory("the name of an axis", (int64_t)strlen(given->name));
    axis->size = given->neurons;
    axis->permutable = given->symmetry == NFT_SYMMETRY_PERMUTATION;
    space->axis_count++;
    return NFT_OK;
}

static nft_status check_factor(const nft_space *space, const nft_space_tensor *given, int64_t i)
{
    const nft_factor *factor = &given->factors[i];
    if (factor->axis < -1 || factor->axis >= space->axis_count)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: factor %" PRId64 " of tensor '%s' is axis %d, expected 0 … %" PRId64
                        ", or -1 for positions",
                        i, given->name, factor->axis, space->axis_count - 1);
    if (factor->axis == -1 && (factor->positions < 1 || factor->positions > NFT_MAX_AXIS))
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: factor %" PRId64 " of tensor '%s' is %" PRId64
                        " positions, expected 1 … %" PRId64,
                        i, given->name, factor->positions, NFT_MAX_AXIS);
    if (i == 0 && factor->joined)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: the first factor of tensor '%s' is joined to none before it", given->name);
    return NFT_OK;
}

static nft_status add_factor(const nft_space *space, nft_tensor *tensor, const nft_factor *given)
{
    bool is_axis = given->axis >= 0;
    int64_t size = is_axis ? space->axes[given->axis].size : given->positions;
    tensor->declared[tensor->factor_count] = *given;
    tensor->factor_sizes[tensor->factor_count++] = size;
    if (given->joined) {
        int64_t *dimension = &tensor->shape[tensor->shape_rank - 1];
        *dimension = nft_size_multiply(*dimension, size);
    } else {
        if (tensor->shape_rank == NFT_ARRAY_MAX_RANK - 2)
            return nft_fail(NFT_ERROR_CONFIG, "space: tensor '%s' has more than %d dimensions", tensor->name,
                            NFT_ARRAY_MAX_RANK - 2);
        tensor->shape[tensor->shape_rank++] = size;
    }
    if (!is_axis) {
        tensor->positions = nft_size_multiply(tensor->positions, size);
        return NFT_OK;
    }
    if (tensor->rank == NFT_TENSOR_MAX_AXES)
        return nft_fail(NFT_ERROR_CONFIG, "space: tensor '%s' names more than %d axes", tensor->name,
                        NFT_TENSOR_MAX_AXES);
    tensor->axes[tensor->rank] = given->axis;
    tensor->sizes[tensor->rank++] = size;
    tensor->tokens = nft_size_multiply(tensor->tokens, size);
    return NFT_OK;
}

/* Row-major over the factors; a tensor is plain if no positions of more than one stand before an axis. */
static void fill_strides(nft_tensor *tensor)
{
    int64_t stride = 1;
    bool axis_behind = false;
    tensor->plain = true;
    for (int64_t i = tensor->factor_count - 1; i >= 0; i--) {
        tensor->factor_strides[i] = stride;
        stride = nft_size_multiply(stride, tensor->factor_sizes[i]);
        if (tensor->declared[i].axis >= 0)
            axis_behind = true;
        else if (axis_behind && tensor->factor_sizes[i] > 1)
            tensor->plain = false;
    }
}

static nft_status set_slice(nft_tensor *tensor, const nft_space_tensor *given)
{
    if (!given->from)
        return NFT_OK;
    if (given->slice_dimension < 0 || given->slice_dimension >= tensor->shape_rank)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: tensor '%s' is a slice along dimension %d, expected 0 … %" PRId64,
                        given->name, given->slice_dimension, tensor->shape_rank - 1);
    if (!given->from[0] || given->slice_start < 0 || given->slice_start > NFT_MAX_AXIS)
        return nft_fail(NFT_ERROR_CONFIG, "space: tensor '%s' is a slice of '%s' that begins at %" PRId64,
                        given->name, given->from, given->slice_start);
    tensor->from = nft_copy_text(given->from);
    tensor->slice_dimension = given->slice_dimension;
    tensor->slice_start = given->slice_start;
    return tensor->from ? NFT_OK : nft_fail_memory("the name of a tensor", (int64_t)strlen(given->from));
}

/* A name that two tensors share is found when all are there. */
static nft_status add_tensor(nft_space *space, const nft_space_tensor *given)
{
    nft_status status = check_name("tensor", space->tensor_count, given->name);
    if (status)
        return status;
    if (given->factor_count < 0 || given->factor_count > NFT_TENSOR_MAX_FACTORS)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: the shape of tensor '%s' has %" PRId64 " factors, expected "
                        "0 … %d",
                        given->name, given->factor_count, NFT_TENSOR_MAX_FACTORS);
    if (given->factor_count && !given->factors)
        return nft_fail_null("nft_space_create", "factors");
    nft_tensor *tensor = &space->tensors[space->tensor_count];
    *tensor = (nft_tensor){.tokens = 1, .positions = 1};
    tensor->name = nft_copy_text(given->name);
    if (!tensor->name)
        return nft_fail_memory("the name of a tensor", (int64_t)strlen(given->name));
    space->tensor_count++;
    for (int64_t i = 0; i < given->factor_count; i++)
        if ((status = check_factor(space, given, i)) ||
            (status = add_factor(space, tensor, &given->factors[i])))
            return status;
    if ((status = set_slice(tensor, given)))
        return status;
    if (given->role < NFT_ROLE_BY_NAME || given->role > NFT_ROLE_SCALAR)
        return nft_fail(NFT_ERROR_CONFIG, "space: tensor '%s' has the role %d, expected 0 … %d", given->name,
                        given->role, NFT_ROLE_SCALAR);
    fill_strides(tensor);
    tensor->role_given = given->role != NFT_ROLE_BY_NAME;
    tensor->role = (given->role ? given->role : role_by_name(tensor)) - 1;
    tensor->own_positions = tensor->positions;
    tensor->first_token = space->tokens;
    tensor->offset = space->numbers;
    space->tokens = nft_size_add(space->tokens, tensor->tokens);
    space->numbers = nft_size_add(space->numbers, nft_size_multiply(tensor->tokens, tensor->positions));
    space->one_position = space->one_position && tensor->positions == 1;
    return NFT_OK;
}

static int compare_axes(const void *a, const void *b)
{
    return strcmp((*(const nft_axis *const *)a)->name, (*(const nft_axis *const *)b)->name);
}

/* No two axes have one name. */
static nft_status check_axes(const nft_space *space)
{
    nft_status status = NFT_OK;
    const nft_axis **sorted = nft_allocate_array((size_t)space->axis_count, sizeof *sorted);
    if (!sorted)
        return nft_fail_memory("a table of axes", space->axis_count * (int64_t)sizeof *sorted);
    for (int64_t a = 0; a < space->axis_count; a++)
        sorted[a] = &space->axes[a];
    qsort(sorted, (size_t)space->axis_count, sizeof *sorted, compare_axes);
    for (int64_t a = 1; a < space->axis_count && !status; a++)
        if (!strcmp(sorted[a - 1]->name, sorted[a]->name))
            status = nft_fail(NFT_ERROR_CONFIG,
                              "space: axis '%s' is described twice, with sizes %" PRId64 " and %" PRId64,
                              sorted[a]->name, sorted[a - 1]->size, sorted[a]->size);
    nft_release(sorted);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const nft_tensor *const *)a)->name, (*(const nft_tensor *const *)b)->name);
}

/* Parts of one file's tensor next to each other, in the order in which they cover it. */
static int compare_parts(const void *a, const void *b)
{
    const nft_tensor *x = *(const nft_tensor *const *)a, *y = *(const nft_tensor *const *)b;
    int order = strcmp(x->from ? x->from : x->name, y->from ? y->from : y->name);
    if (order)
        return order;
    return x->slice_start < y->slice_start ? -1 : x->slice_start > y->slice_start;
}

/* `part` follows `before`, which is NULL for the first part of its file's tensor. */
static nft_status check_part(const nft_tensor *before, const nft_tensor *part)
{
    int64_t d = part->slice_dimension, end = before ? before->slice_start + before->shape[d] : 0;
    if (part->slice_start > end)
        return nft_fail(NFT_ERROR_CONFIG,
                        "space: no tensor covers '%s' from %" PRId64 " to %" PRId64
                        " along dimension %" PRId64 "; '%s' begins behind that",
                        part->from, end, part->slice_start, d, part->name);
    if (before && part->slice_start < end)
        return nft_fail(NFT_ERROR_CONFIG, "space: '%s' and '%s' overlap in '%s'", before->name, part->name,
                        part->from);
    if (!before)
        return NFT_OK;
    bool fits = before->slice_dimension == d && before->shape_rank == part->shape_rank;
    for (int64_t i = 0; fits && i < part->shape_rank; i++)
        fits = i == d || before->shape[i] == part->shape[i];
    if (fits)
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG,
                    "space: '%s' and '%s' are slices of '%s', but not along one dimension of equal others",
                    before->name, part->name, part->from);
}

static nft_status check_sorted(const nft_tensor **sorted, int64_t count)
{
    nft_status status = NFT_OK;
    qsort(sorted, (size_t)count, sizeof *sorted, compare_names);
    for (int64_t i = 1; i < count; i++)
        if (!strcmp(sorted[i - 1]->name, sorted[i]->name))
            return nft_fail(NFT_ERROR_CONFIG, "space: two tensors are named '%s'", sorted[i]->name);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_parts);
    for (int64_t i = 0; i < count && !status; i++) {
        const nft_tensor *before = i > 0 ? sorted[i - 1] : NULL, *part = sorted[i];
        const char *file = before ? before->from ? before->from : before->name : "";
        bool same = before && !strcmp(file, part->from ? part->from : part->name);
        if (same && (!before->from || !part->from))
            return nft_fail(NFT_ERROR_CONFIG, "space: tensor '%s' is whole, and another one is a slice of it",
                            file);
        if (part->from)
            status = check_part(same ? before : NULL, part);
    }
    return status;
}

static nft_status check_tensors(const nft_space *space)
{
    const nft_tensor **sorted = nft_allocate_array((size_t)space->tensor_count, sizeof *sorted);
    if (!sorted)
        return nft_fail_memory("a table of tensors", space->tensor_count * (int64_t)sizeof *sorted);
    for (int64_t t = 0; t < space->tensor_count; t++)
        sorted[t] = &space->tensors[t];
    nft_status status = check_sorted(sorted, space->tensor_count);
    nft_release(sorted);
    if (!status && space->numbers > INT64_MAX / 1024)
        status = nft_fail(NFT_ERROR_LIMIT, "space: its tensors have more numbers than can be counted");
    return status;
}

static nft_status allocate(nft_space **out, int64_t axes, int64_t tensors)
{
    nft_space *space = nft_allocate(sizeof *space);
    *out = space;
    if (!space)
        return nft_fail_memory("a space", sizeof *space);
    nft_references_init(&space->references);
    space->one_position = true;
    space->axes = nft_allocate_array((size_t)axes, sizeof *space->axes);
    space->tensors = nft_allocate_array((size_t)tensors, sizeof *space->tensors);
    if (space->axes && space->tensors)
        return NFT_OK;
    return nft_fail_memory("a space", nft_size_add(axes * (int64_t)sizeof *space->axes,
                                                   nft_size_multiply(tensors, sizeof *space->tensors)));
}

static nft_status check_counts(int64_t axes, int64_t tensors)
{
    if (axes < 0 || axes > NFT_MAX_TENSORS)
        return nft_fail(NFT_ERROR_CONFIG, "space: %" PRId64 " axes, expected 0 … %d", axes, NFT_MAX_TENSORS);
    if (tensors < 1 || tensors > NFT_MAX_TENSORS)
        return nft_fail(NFT_ERROR_CONFIG, "space: %" PRId64 " tensors, expected 1 … %d", tensors,
                        NFT_MAX_TENSORS);
    return NFT_OK;
}

static nft_status check_stride(const char *what, int64_t index, size_t size, size_t stride, size_t least)
{
    if (size == stride && size >= least)
        return NFT_OK;
    return nft_fail(NFT_ERROR_ARGUMENT, "nft_space_create: %s[%" PRId64 "].size is %zu, expected %zu", what,
                    index, size, stride < least ? least : stride);
}

/* The callers' arrays may have larger elements than this library knows. */
static nft_status add_all(nft_space *space, const nft_space_axis *axes, int64_t axis_count,
                          const nft_space_tensor *tensors, int64_t tensor_count)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < axis_count && !status; i++) {
        const nft_space_axis *axis = (const void *)((const char *)axes + (size_t)i * axes->size);
        if (!(status = check_stride("axes", i, axis->size, axes->size, sizeof *axis)))
            status = add_axis(space, axis);
    }
    for (int64_t i = 0; i < tensor_count && !status; i++) {
        const nft_space_tensor *tensor = (const void *)((const char *)tensors + (size_t)i * tensors->size);
        if (!(status = check_stride("tensors", i, tensor->size, tensors->size, sizeof *tensor)))
            status = add_tensor(space, tensor);
    }
    return status;
}

static uint64_t mix(uint64_t hash, int64_t number)
{
    hash = (hash ^ (uint64_t)number) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static void fill_hash(nft_space *space)
{
    uint64_t hash = mix((uint64_t)space->axis_count, space->tensor_count);
    for (int64_t a = 0; a < space->axis_count; a++)
        hash = mix(mix(hash, space->axes[a].size), space->axes[a].permutable);
    for (int64_t t = 0; t < space->tensor_count; t++)
        for (int64_t i = 0; i < space->tensors[t].factor_count; i++) {
            const nft_factor *factor = &space->tensors[t].declared[i];
            hash = mix(mix(hash, factor->axis), factor->axis < 0 ? factor->positions : factor->joined);
        }
    space->hash = hash;
}

static nft_status finish(nft_space *space, const nft_layer *layers, int64_t layer_count)
{
    nft_status status = check_axes(space);
    if (!status)
        status = check_tensors(space);
    if (!status)
        status = nft_space_set_layers(space, layers, layer_count);
    if (!status)
        status = nft_space_fill_sides(space);
    if (!status)
        status = nft_space_fill_json(space);
    if (!status && !space->one_position)
        status = nft_space_fill_lifted(space);
    fill_hash(space);
    space->description = (nft_space_description){.size = sizeof space->description,
                                                 .axis_count = space->axis_count,
                                                 .tensor_count = space->tensor_count,
                                                 .layer_count = space->layer_count,
                                                 .parameter_count = space->numbers,
                                                 .json = space->json};
    return status;
}

nft_status nft_space_create_whole(nft_space **out, const nft_space_axis *axes, int64_t axis_count,
                                  const nft_space_tensor *tensors, int64_t tensor_count,
                                  const nft_layer *layers, int64_t layer_count)
{
    nft_space *space = NULL;
    nft_status status = check_counts(axis_count, tensor_count);
    if (!status)
        status = allocate(&space, axis_count, tensor_count);
    if (!status)
        status = add_all(space, axes, axis_count, tensors, tensor_count);
    if (!status)
        status = finish(space, layers, layer_count);
    if (status) {
        nft_space_free(space);
        return status;
    }
    *out = space;
    return NFT_OK;
}

nft_status nft_space_create(nft_space **space, const nft_space_axis *axes, int64_t axis_count,
                            const nft_space_tensor *tensors, int64_t tensor_count)
{
    if (!space)
        return nft_fail_null("nft_space_create", "space");
    *space = NULL;
    if ((axis_count > 0 && !axes) || !tensors)
        return nft_fail_null("nft_space_create", tensors ? "axes" : "tensors");
    return nft_space_create_whole(space, axes, axis_count, tensors, tensor_count, NULL, 0);
}

/* The factors without positions; a dimension that has only positions is removed. */
static int64_t lift_factors(const nft_tensor *tensor, nft_factor *factors)
{
    int64_t count = 0;
    bool begun = false; /* an axis of the present dimension is kept */
    for (int64_t i = 0; i < tensor->factor_count; i++) {
        nft_factor factor = tensor->declared[i];
        begun = begun && factor.joined;
        if (factor.axis < 0)
            continue;
        factor.joined = begun;
        factors[count++] = factor;
        begun = true;
    }
    return count;
}

static nft_status create_lifted(nft_space *space, nft_space_axis *axes, nft_space_tensor *tensors,
                                nft_factor *factors, nft_layer *layers)
{
    for (int64_t a = 0; a < space->axis_count; a++)
        axes[a] = (nft_space_axis)NFT_SPACE_AXIS(space->axes[a].name, space->axes[a].size,
                                                 space->axes[a].permutable ? NFT_SYMMETRY_PERMUTATION
                                                                           : NFT_SYMMETRY_NONE);
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        nft_factor *own = factors + t * NFT_TENSOR_MAX_FACTORS;
        int64_t count = lift_factors(tensor, own);
        tensors[t] = (nft_space_tensor)NFT_SPACE_TENSOR(tensor->name, own, count);
        tensors[t].role = tensor->role + 1;
    }
    for (int64_t i = 0; i < space->layer_count; i++)
        layers[i] = (nft_layer)NFT_LAYER_INIT_LINEAR(space->layers[i].in, space->layers[i].out);
    nft_status status =
        nft_space_create_whole(&space->lifted, axes, space->axis_count, tensors, space->tensor_count,
                               space->layer_count ? layers : NULL, space->layer_count);
    for (int64_t t = 0; t < space->tensor_count && !status; t++)
        space->lifted->tensors[t].own_positions = space->tensors[t].positions;
    return status;
}

/* Slices go: a lifted tensor is no part of a file's. */
nft_status nft_space_fill_lifted(nft_space *space)
{
    size_t tensor_count = (size_t)space->tensor_count;
    nft_space_axis *axes = nft_allocate_array((size_t)space->axis_count, sizeof *axes);
    nft_space_tensor *tensors = nft_allocate_array(tensor_count, sizeof *tensors);
    nft_factor *factors = nft_allocate_array(tensor_count * NFT_TENSOR_MAX_FACTORS, sizeof *factors);
    nft_layer *layers = nft_allocate_array((size_t)space->layer_count, sizeof *layers);
    nft_status status = NFT_OK;
    if (axes && tensors && factors && layers)
        status = create_lifted(space, axes, tensors, factors, layers);
    else
        status = nft_fail_memory("a space", space->tensor_count * (int64_t)sizeof *tensors);
    nft_release(layers);
    nft_release(factors);
    nft_release(tensors);
    nft_release(axes);
    return status;
}

const nft_space *nft_space_lifted(const nft_space *space)
{
    return space->lifted ? space->lifted : space;
}

void nft_space_free(nft_space *space)
{
    if (!space || !nft_references_drop(&space->references))
        return;
    for (int64_t a = 0; space->axes && a < space->axis_count; a++)
        nft_release(space->axes[a].name);
    for (int64_t t = 0; space->tensors && t < space->tensor_count; t++) {
        nft_release(space->tensors[t].name);
        nft_release(space->tensors[t].from);
    }
    nft_space_free(space->lifted);
    nft_release(space->axes);
    nft_release(space->tensors);
    nft_release(space->layers);
    nft_release(space->sides);
    nft_release(space->colour_starts);
    nft_release(space->colour_axes);
    nft_release(space->json);
    nft_release(space);
}

nft_space *nft_space_retain(const nft_space *space)
{
    nft_space *shared = (nft_space *)space;
    if (shared)
        nft_references_add(&shared->references);
    return shared;
}

bool nft_dimension_is_ordered(const nft_space *space, const nft_tensor *tensor, int64_t d)
{
    return !space->axes[tensor->axes[d]].permutable;
}

int64_t nft_ordered_positions(const nft_space *space, const nft_tensor *tensor)
{
    int64_t positions = tensor->positions;
    for (int64_t d = 0; d < tensor->rank; d++)
        if (nft_dimension_is_ordered(space, tensor, d))
            positions = nft_size_multiply(positions, tensor->sizes[d]);
    return positions;
}

int64_t nft_space_find_tensor(const nft_space *space, const char *name)
{
    for (int64_t t = 0; t < space->tensor_count; t++)
        if (!strcmp(space->tensors[t].name, name))
            return t;
    return -1;
}
