/* The tensors that travel with a weight set: labels and the like. */
#include "base/utf8.h"
#include "space/array.h"
#include "space/weights.h"

#include <inttypes.h>
#include <string.h>

const char *nft_weights_extra_name(const nft_weights *weights, int64_t index)
{
    return weights && index >= 0 && index < weights->extra_count ? weights->extras[index].name : NULL;
}

static nft_extra *find(const nft_weights *weights, const char *name)
{
    for (int64_t i = 0; i < weights->extra_count; i++)
        if (!strcmp(weights->extras[i].name, name))
            return &weights->extras[i];
    return NULL;
}

const nft_array *nft_weights_extra(const nft_weights *weights, const char *name)
{
    const nft_extra *extra = weights && name ? find(weights, name) : NULL;
    return extra ? extra->array : NULL;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t length = strlen(text), end = strlen(suffix);
    return length >= end && !strcmp(text + length - end, suffix);
}

/* A chain's file has its layers by these names, any other file its tensors. */
static bool names_a_tensor(const nft_weights *weights, const char *name)
{
    if (weights->space->layer_count && (ends_with(name, ".weight") || ends_with(name, ".bias")))
        return true;
    for (int64_t t = 0; t < weights->space->tensor_count; t++) {
        const char *from = weights->space->tensors[t].from;
        if (!strcmp(name, weights->names[t]) || (from && !strcmp(name, from)))
            return true;
    }
    return false;
}

static nft_status check_extra(const nft_weights *weights, const char *name, const nft_array *array)
{
    if (!nft_is_utf8(name))
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_weights_set_extra: the name '%s' is not UTF-8", name);
    if (names_a_tensor(weights, name) || !strcmp(name, "__metadata__"))
        return nft_fail(
            NFT_ERROR_ARGUMENT,
            "nft_weights_set_extra: a file gives the name '%s' another meaning, that of a network's "
            "tensors or of metadata; choose another name",
            name);
    if (array->rank > 0 && array->shape[0] == weights->count)
        return NFT_OK;
    return nft_fail(NFT_ERROR_ARGUMENT,
                    "nft_weights_set_extra: the leading axis of '%s' is %" PRId64 ", expected %" PRId64
                    ", the networks",
                    name, nft_array_size(array, 0), weights->count);
}

static void remove_extra(nft_weights *weights, nft_extra *extra)
{
    nft_release(extra->name);
    nft_array_free(extra->array);
    nft_extra *end = weights->extras + weights->extra_count--;
    memmove(extra, extra + 1, (size_t)(end - (extra + 1)) * sizeof *extra);
}

/* Takes `array` over if it succeeds. */
static nft_status add_extra(nft_weights *weights, const char *name, nft_array *array)
{
    int64_t count = weights->extra_count;
    nft_extra *extras = nft_allocate_array((size_t)count + 1, sizeof *extras);
    char *copy = nft_copy_text(name);
    if (!extras || !copy) {
        nft_release(extras);
        nft_release(copy);
        return nft_fail_memory("a table of tensors", (count + 1) * (int64_t)sizeof *extras);
    }
    if (count)
        memcpy(extras, weights->extras, (size_t)count * sizeof *extras);
    extras[count] = (nft_extra){.name = copy, .array = array};
    nft_release(weights->extras);
    weights->extras = extras;
    weights->extra_count++;
    return NFT_OK;
}

nft_status nft_weights_set_extra(nft_weights *weights, const char *name, const nft_array *array)
{
    if (!weights || !name)
        return nft_fail_null("nft_weights_set_extra", weights ? "name" : "weights");
    nft_extra *present = find(weights, name);
    if (!array) {
        if (present)
            remove_extra(weights, present);
        return NFT_OK;
    }
    nft_array *copy = NULL;
    nft_status status = check_extra(weights, name, array);
    if (!status)
        status = nft_array_create(&copy, array->type, array->shape, array->rank, array->data);
    if (status)
        return status;
    if (present) {
        nft_array_free(present->array);
        present->array = copy;
        return NFT_OK;
    }
    status = add_extra(weights, name, copy);
    if (status)
        nft_array_free(copy);
    return status;
}
