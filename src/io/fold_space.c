#include "io/fold_space.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The space on a norm and a layer. */
typedef enum verdict {
    VERDICT_FITS,
    VERDICT_NO_LAYER,
    VERDICT_PARTS,
    VERDICT_NOT_OUTPUTS, /* the layer's first dimension is not one whole axis */
    VERDICT_NO_AXIS,     /* the norm's tensors are not one whole axis */
    VERDICT_OTHER_AXIS
} verdict;

static const char *const norm_parts[] = {"weight", "bias", "running_mean", "running_var"};
#define NORM_PARTS (sizeof norm_parts / sizeof *norm_parts)

nft_status nft_fold_space_begin(nft_fold_space *f, const nft_space *space, const char *prefix)
{
    *f = (nft_fold_space){.prefix = prefix};
    if (!space || space->layer_count)
        return NFT_OK;
    f->space = space;
    f->removed = nft_allocate_array((size_t)space->tensor_count, sizeof *f->removed);
    f->gets_bias = nft_allocate_array((size_t)space->tensor_count, sizeof *f->gets_bias);
    return f->removed && f->gets_bias ? NFT_OK
                                      : nft_fail_memory("a table of tensors", 2 * space->tensor_count);
}

void nft_fold_space_clear(nft_fold_space *f)
{
    nft_release(f->removed);
    nft_release(f->gets_bias);
    *f = (nft_fold_space){0};
}

/* The first tensor of the space that is MODULE.PART of the file, or a part of it; NULL if none is. */
static const nft_tensor *find_part(const nft_fold_space *f, const char *module, const char *part)
{
    size_t prefix = strlen(f->prefix);
    if (strncmp(module, f->prefix, prefix) != 0)
        return NULL;
    module += prefix;
    size_t length = strlen(module);
    for (int64_t t = 0; t < f->space->tensor_count; t++) {
        const nft_tensor *tensor = &f->space->tensors[t];
        const char *name = tensor->from ? tensor->from : tensor->name;
        if (!strncmp(name, module, length) && name[length] == '.' && !strcmp(name + length + 1, part))
            return tensor;
    }
    return NULL;
}

/* The axis that is a whole dimension of the tensor, its first; -1 if that is none. */
static int64_t first_axis(const nft_tensor *tensor)
{
    bool is_joined = tensor->factor_count > 1 && tensor->declared[1].joined;
    return tensor->factor_count && !is_joined ? tensor->declared[0].axis : -1;
}

static const nft_tensor *find_norm(const nft_fold_space *f, const char *norm)
{
    const nft_tensor *found = NULL;
    for (size_t i = 0; i < NORM_PARTS && !found; i++)
        found = find_part(f, norm, norm_parts[i]);
    return found;
}

/* All tensors of a norm that the space has are whole and have one axis. */
static verdict judge_norm(const nft_fold_space *f, const char *norm, int64_t axis)
{
    for (size_t i = 0; i < NORM_PARTS; i++) {
        const nft_tensor *tensor = find_part(f, norm, norm_parts[i]);
        if (tensor && tensor->from)
            return VERDICT_PARTS;
        if (tensor && (tensor->factor_count != 1 || first_axis(tensor) < 0))
            return VERDICT_NO_AXIS;
        if (tensor && first_axis(tensor) != axis)
            return VERDICT_OTHER_AXIS;
    }
    return VERDICT_FITS;
}

static verdict judge(const nft_fold_space *f, const char *norm, const char *layer)
{
    const nft_tensor *weight = find_part(f, layer, "weight"), *bias = find_part(f, layer, "bias");
    if (!weight)
        return VERDICT_NO_LAYER;
    if (weight->from || (bias && bias->from))
        return VERDICT_PARTS;
    if (weight->shape_rank < 2 || first_axis(weight) < 0)
        return VERDICT_NOT_OUTPUTS;
    return judge_norm(f, norm, first_axis(weight));
}

bool nft_fold_space_is_outside(const nft_fold_space *f, const char *norm, const char *layer)
{
    return f->space && !find_norm(f, norm) && !find_part(f, layer, "weight");
}

bool nft_fold_space_allows(const nft_fold_space *f, const char *norm, const char *layer)
{
    return !f->space || nft_fold_space_is_outside(f, norm, layer) || judge(f, norm, layer) == VERDICT_FITS;
}

bool nft_fold_space_tells_outputs(const nft_fold_space *f, const char *layer)
{
    const nft_tensor *weight = f->space ? find_part(f, layer, "weight") : NULL;
    return weight && weight->factor_count > 1 && weight->declared[1].axis != weight->declared[0].axis;
}

nft_status nft_fold_space_check(const nft_fold_space *f, const char *norm, const char *layer)
{
    if (!f->space)
        return NFT_OK;
    switch (judge(f, norm, layer)) {
    case VERDICT_FITS:
        return NFT_OK;
    case VERDICT_NO_LAYER:
        return nft_fail(NFT_ERROR_FORMAT,
                        "norm '%s' cannot be folded: the space does not have the layer before it, '%s'", norm,
                        layer);
    case VERDICT_PARTS:
        return nft_fail(NFT_ERROR_FORMAT,
                        "norm '%s' cannot be folded: the space cuts it, or the layer '%s' before it, into "
                        "parts",
                        norm, layer);
    case VERDICT_NOT_OUTPUTS:
        return nft_fail(NFT_ERROR_FORMAT,
                        "norm '%s' cannot be folded: the space has no axis of outputs as the first dimension "
                        "of '%s.weight'",
                        norm, layer);
    case VERDICT_NO_AXIS:
        return nft_fail(NFT_ERROR_FORMAT,
                        "norm '%s' cannot be folded: its tensors are not one axis in the space", norm);
    default:
        break;
    }
    const nft_tensor *own = find_norm(f, norm), *weight = find_part(f, layer, "weight");
    char found[192], expected[192];
    nft_tensor_describe(f->space, own, found, sizeof found);
    nft_tensor_describe(f->space, weight, expected, sizeof expected);
    return nft_fail(
        NFT_ERROR_FORMAT,
        "norm '%s' cannot be folded: it is %s in the space, and the layer before it, '%s', is %s, "
        "with other outputs",
        norm, found, layer, expected);
}

void nft_fold_space_take(nft_fold_space *f, const char *norm, const char *layer)
{
    if (!f->space)
        return;
    for (size_t i = 0; i < NORM_PARTS; i++) {
        const nft_tensor *tensor = find_part(f, norm, norm_parts[i]);
        if (tensor)
            f->removed[tensor - f->space->tensors] = true;
    }
    if (!find_part(f, layer, "bias")) {
        f->gets_bias[find_part(f, layer, "weight") - f->space->tensors] = true;
        f->added++;
    }
    f->is_changed = true;
}

/* The bias of a weight "NAME.weight": one axis, the outputs. */
static nft_status add_bias(nft_space_tensor *bias, char **name, const nft_tensor *weight)
{
    nft_text text = {0};
    nft_text_append(&text, "%.*s.bias", (int)(strlen(weight->name) - strlen(".weight")), weight->name);
    *name = text.data;
    *bias = (nft_space_tensor)NFT_SPACE_TENSOR(text.data, weight->declared, 1);
    return text.failed ? nft_fail_memory("a tensor's name", (int64_t)strlen(weight->name)) : NFT_OK;
}

/* The tensors that are left. Returns how many. */
static nft_status list_tensors(nft_space_tensor *tensors, char **names, int64_t *count,
                               const nft_fold_space *f)
{
    nft_status status = NFT_OK;
    int64_t added = 0;
    *count = 0;
    for (int64_t t = 0; t < f->space->tensor_count && !status; t++) {
        if (f->removed[t])
            continue;
        nft_space_tensor *tensor = &tensors[(*count)++];
        tensor->size = sizeof *tensor;
        status = nft_space_get_tensor(tensor, f->space, t);
        if (!f->space->tensors[t].role_given)
            tensor->role = NFT_ROLE_BY_NAME;
        if (!status && f->gets_bias[t])
            status = add_bias(&tensors[(*count)++], &names[added++], &f->space->tensors[t]);
    }
    return status;
}

nft_status nft_fold_space_finish(nft_space **folded, const nft_fold_space *f)
{
    *folded = NULL;
    if (!f->is_changed)
        return NFT_OK;
    int64_t axis_count = f->space->axis_count, count = f->space->tensor_count + f->added;
    nft_space_axis *axes = nft_allocate_array((size_t)axis_count, sizeof *axes);
    nft_space_tensor *tensors = nft_allocate_array((size_t)count, sizeof *tensors);
    char **names = nft_allocate_array((size_t)f->added, sizeof *names);
    nft_status status = axes && tensors && names ? NFT_OK : nft_fail_memory("a space", count);
    for (int64_t a = 0; a < axis_count && !status; a++) {
        axes[a].size = sizeof *axes;
        status = nft_space_get_axis(&axes[a], f->space, a);
    }
    if (!status)
        status = list_tensors(tensors, names, &count, f);
    if (!status)
        status = nft_space_create(folded, axes, axis_count, tensors, count);
    for (int64_t i = 0; names && i < f->added; i++)
        nft_release(names[i]);
    nft_release(names);
    nft_release(tensors);
    nft_release(axes);
    return status;
}
