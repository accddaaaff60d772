/* Spaces as others see them: getters, text, JSON, and whether two are equal. */
#include "space/build.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const nft_space_description *nft_space_describe(const nft_space *space)
{
    static const nft_space_description none = {sizeof none, 0, 0, 0, 0, NULL};
    return space ? &space->description : &none;
}

nft_status nft_space_get_axis(nft_space_axis *axis, const nft_space *space, int64_t index)
{
    if (!space || !axis)
        return nft_fail_null("nft_space_get_axis", space ? "axis" : "space");
    if (index < 0 || index >= space->axis_count)
        return nft_fail_index("nft_space_get_axis", index, space->axis_count);
    if (axis->size < sizeof *axis)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_space_get_axis: axis->size is %zu, expected %zu", axis->size,
                        sizeof *axis);
    const nft_axis *own = &space->axes[index];
    *axis = (nft_space_axis){.size = axis->size,
                             .name = own->name,
                             .neurons = own->size,
                             .symmetry = own->permutable ? NFT_SYMMETRY_PERMUTATION : NFT_SYMMETRY_NONE};
    return NFT_OK;
}

nft_status nft_space_get_tensor(nft_space_tensor *tensor, const nft_space *space, int64_t index)
{
    if (!space || !tensor)
        return nft_fail_null("nft_space_get_tensor", space ? "tensor" : "space");
    if (index < 0 || index >= space->tensor_count)
        return nft_fail_index("nft_space_get_tensor", index, space->tensor_count);
    if (tensor->size < sizeof *tensor)
        return nft_fail(NFT_ERROR_ARGUMENT, "nft_space_get_tensor: tensor->size is %zu, expected %zu",
                        tensor->size, sizeof *tensor);
    const nft_tensor *own = &space->tensors[index];
    *tensor = (nft_space_tensor){.size = tensor->size,
                                 .name = own->name,
                                 .factors = own->declared,
                                 .factor_count = own->factor_count,
                                 .role = own->role + 1,
                                 .slice_dimension = (int32_t)own->slice_dimension,
                                 .from = own->from,
                                 .slice_start = own->slice_start,
                                 .rank = own->shape_rank};
    memcpy(tensor->shape, own->shape, sizeof tensor->shape);
    return NFT_OK;
}

static void append_quoted(nft_text *text, const char *name)
{
    nft_text_append(text, "\"");
    for (const char *c = name; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte == '"' || byte == '\\')
            nft_text_append(text, "\\%c", byte);
        else if (byte < 0x20)
            nft_text_append(text, "\\u%04x", byte);
        else
            nft_text_append_bytes(text, c, 1);
    }
    nft_text_append(text, "\"");
}

static void append_layers(nft_text *text, const nft_space *space)
{
    nft_text_append(text, "{\"layers\":[");
    for (int64_t i = 0; i < space->layer_count; i++) {
        const nft_layer *layer = &space->layers[i];
        bool conv = layer->type == NFT_LAYER_CONV2D;
        nft_text_append(text, "%s{\"type\":\"%s\",\"in\":%" PRId64 ",\"out\":%" PRId64, i ? "," : "",
                        conv ? "conv2d" : "linear", layer->in, layer->out);
        if (conv)
            nft_text_append(text, ",\"kernel\":[%" PRId64 ",%" PRId64 "]", layer->kernel_height,
                            layer->kernel_width);
        else if (layer->positions > 1)
            nft_text_append(text, ",\"positions\":%" PRId64, layer->positions);
        nft_text_append(text, "}");
    }
    nft_text_append(text, "]}");
}

static void append_axes(nft_text *text, const nft_space *space)
{
    for (int64_t a = 0; a < space->axis_count; a++) {
        const nft_axis *axis = &space->axes[a];
        nft_text_append(text, "%s{\"name\":", a ? "," : "");
        append_quoted(text, axis->name);
        nft_text_append(text, ",\"size\":%" PRId64 "%s}", axis->size,
                        axis->permutable ? "" : ",\"symmetry\":\"none\"");
    }
}

/* Dimensions; a list where one has several factors. */
static void append_shape(nft_text *text, const nft_space *space, const nft_tensor *tensor)
{
    bool in_list = false;
    for (int64_t i = 0; i < tensor->factor_count; i++) {
        const nft_factor *factor = &tensor->declared[i];
        bool joins = i + 1 < tensor->factor_count && tensor->declared[i + 1].joined;
        nft_text_append(text, "%s%s", i ? "," : "", joins && !in_list ? "[" : "");
        in_list = in_list || joins;
        if (factor->axis >= 0)
            append_quoted(text, space->axes[factor->axis].name);
        else
            nft_text_append(text, "%" PRId64, factor->positions);
        if (in_list && !joins) {
            nft_text_append(text, "]");
            in_list = false;
        }
    }
}

static void append_tensors(nft_text *text, const nft_space *space)
{
    for (int64_t t = 0; t < space->tensor_count; t++) {
        const nft_tensor *tensor = &space->tensors[t];
        nft_text_append(text, "%s{\"name\":", t ? "," : "");
        append_quoted(text, tensor->name);
        nft_text_append(text, ",\"shape\":[");
        append_shape(text, space, tensor);
        nft_text_append(text, "]");
        if (tensor->from) {
            nft_text_append(text, ",\"from\":");
            append_quoted(text, tensor->from);
            nft_text_append(text, ",\"slice\":[%" PRId64 ",%" PRId64 ",%" PRId64 "]", tensor->slice_dimension,
                            tensor->slice_start, tensor->shape[tensor->slice_dimension]);
        }
        if (tensor->role_given)
            nft_text_append(text, ",\"role\":\"%s\"", nft_role_name(tensor->role));
        nft_text_append(text, "}");
    }
}

nft_status nft_space_fill_json(nft_space *space)
{
    nft_text text = {0};
    if (space->layer_count) {
        append_layers(&text, space);
    } else {
        nft_text_append(&text, "{\"axes\":[");
        append_axes(&text, space);
        nft_text_append(&text, "],\"tensors\":[");
        append_tensors(&text, space);
        nft_text_append(&text, "]}");
    }
    if (text.failed) {
        nft_text_clear(&text);
        return nft_fail_memory("the text of a space", (int64_t)text.length);
    }
    space->json = text.data;
    return NFT_OK;
}

void nft_tensor_describe(const nft_space *space, const nft_tensor *tensor, char *text, size_t capacity)
{
    size_t length = 0;
    for (int64_t i = 0; i <= tensor->factor_count && length < capacity; i++) {
        const nft_factor *factor = i < tensor->factor_count ? &tensor->declared[i] : NULL;
        const char *before = i == 0 ? "(" : !factor ? "" : factor->joined ? "·" : ", ";
        int written =
            !factor ? snprintf(text + length, capacity - length, i ? ")" : "()")
            : factor->axis >= 0
                ? snprintf(text + length, capacity - length, "%s%s", before, space->axes[factor->axis].name)
                : snprintf(text + length, capacity - length, "%s%" PRId64, before, factor->positions);
        length += written > 0 ? (size_t)written : 0;
    }
}

static bool tensors_equal(const nft_tensor *a, const nft_tensor *b)
{
    if (a->factor_count != b->factor_count || !a->from != !b->from)
        return false;
    if (a->from && (a->slice_dimension != b->slice_dimension || a->slice_start != b->slice_start))
        return false;
    for (int64_t i = 0; i < a->factor_count; i++) {
        const nft_factor *x = &a->declared[i], *y = &b->declared[i];
        if (x->axis != y->axis || x->joined != y->joined || (x->axis < 0 && x->positions != y->positions))
            return false;
    }
    return true;
}

/* The first axis in which they differ, the common count if one begins the other, -1 if they are equal. */
static int64_t different_axis(const nft_space *a, const nft_space *b)
{
    int64_t common = a->axis_count < b->axis_count ? a->axis_count : b->axis_count;
    for (int64_t i = 0; i < common; i++)
        if (a->axes[i].size != b->axes[i].size || a->axes[i].permutable != b->axes[i].permutable)
            return i;
    return a->axis_count == b->axis_count ? -1 : common;
}

static int64_t different_tensor(const nft_space *a, const nft_space *b)
{
    int64_t common = a->tensor_count < b->tensor_count ? a->tensor_count : b->tensor_count;
    for (int64_t i = 0; i < common; i++)
        if (!tensors_equal(&a->tensors[i], &b->tensors[i]))
            return i;
    return a->tensor_count == b->tensor_count ? -1 : common;
}

int nft_space_equal(const nft_space *a, const nft_space *b)
{
    if (a == b || !a || !b)
        return a == b;
    return a->hash == b->hash && different_axis(a, b) < 0 && different_tensor(a, b) < 0;
}

static int64_t different_layer(const nft_space *a, const nft_space *b)
{
    int64_t common = a->layer_count < b->layer_count ? a->layer_count : b->layer_count;
    for (int64_t i = 0; i < common; i++) {
        const nft_layer *x = &a->layers[i], *y = &b->layers[i];
        if (x->type != y->type || x->in != y->in || x->out != y->out ||
            x->kernel_height != y->kernel_height || x->kernel_width != y->kernel_width ||
            x->positions != y->positions)
            return i;
    }
    return common;
}

static nft_status fail_layers(const nft_space *expected, const nft_space *found)
{
    int64_t i = different_layer(expected, found);
    if (i >= expected->layer_count || i >= found->layer_count)
        return nft_fail(NFT_ERROR_MISMATCH, "networks of %" PRId64 " layers, expected %" PRId64,
                        found->layer_count, expected->layer_count);
    char want[128], have[128];
    nft_layer_describe(&expected->layers[i], want, sizeof want);
    nft_layer_describe(&found->layers[i], have, sizeof have);
    return nft_fail(NFT_ERROR_MISMATCH, "layer %" PRId64 " of the networks is %s, expected %s", i, have,
                    want);
}

static nft_status fail_axis(const nft_space *expected, const nft_space *found, int64_t a)
{
    const nft_axis *want = &expected->axes[a], *have = &found->axes[a];
    if (want->size != have->size)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "axis '%s' of the networks has the size %" PRId64 ", expected %" PRId64, have->name,
                        have->size, want->size);
    return nft_fail(NFT_ERROR_MISMATCH, "axis '%s' of the networks %s, expected the opposite", have->name,
                    have->permutable ? "may be permuted" : "has no symmetry");
}

nft_status nft_space_check_equal(const nft_space *expected, const nft_space *found)
{
    if (nft_space_equal(expected, found))
        return NFT_OK;
    if (expected->layer_count && found->layer_count)
        return fail_layers(expected, found);
    int64_t t = different_tensor(expected, found);
    if (expected->tensor_count != found->tensor_count || expected->axis_count != found->axis_count)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "networks of %" PRId64 " tensors and %" PRId64 " axes, expected %" PRId64
                        " and %" PRId64,
                        found->tensor_count, found->axis_count, expected->tensor_count, expected->axis_count);
    if (t < 0)
        return fail_axis(expected, found, different_axis(expected, found));
    char want[192], have[192];
    nft_tensor_describe(expected, &expected->tensors[t], want, sizeof want);
    nft_tensor_describe(found, &found->tensors[t], have, sizeof have);
    return nft_fail(NFT_ERROR_MISMATCH, "tensor '%s' of the networks is %s, expected '%s' %s",
                    found->tensors[t].name, have, expected->tensors[t].name, want);
}
