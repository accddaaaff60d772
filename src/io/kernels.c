#include "io/kernels.h"

#include "io/views.h"
#include "space/array.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int64_t nft_kernel_channels(const nft_kernel *kernel, const nft_kernel *before)
{
    if (kernel->rank != 2 || before->rank < 3)
        return 0;
    int64_t out = before->shape[before->rank - 1], in = kernel->shape[0];
    return out > 1 && in > out && in % out == 0 ? out : 0;
}

/* (out, in, …) with strides that say where (…, in, out) has them. */
static nft_entry transposed(const nft_kernel *kernel)
{
    nft_entry view = {.is_strided = true, .offset = kernel->offset};
    int64_t strides[NFT_ARRAY_MAX_RANK] = {0}, rank = kernel->rank, stride = 1;
    for (int64_t axis = rank - 1; axis >= 0; axis--) {
        strides[axis] = stride;
        stride *= kernel->shape[axis];
    }
    if (kernel->networks) {
        view.shape[view.rank] = kernel->networks;
        view.strides[view.rank++] = kernel->distance;
    }
    for (int64_t k = 0; k < rank; k++) {
        int64_t axis = k < 2 ? rank - 1 - k : k - 2;
        view.shape[view.rank] = kernel->shape[axis];
        view.strides[view.rank++] = strides[axis];
    }
    return view;
}

/* A weight (out, positions · channels) becomes (out, channels · positions): through (out, channels,
 * positions), which is kept. */
static nft_status add_flattened(nft_file *file, const nft_kernel *kernel)
{
    nft_entry view = transposed(kernel), flat = {.rank = view.rank};
    int64_t last = view.rank - 1, channels = kernel->channels, out = kernel->shape[1];
    const nft_entry *kept = NULL;
    memcpy(flat.shape, view.shape, sizeof flat.shape);
    view.rank++;
    view.shape[last] = channels;
    view.strides[last] = out;
    view.shape[last + 1] = kernel->shape[0] / channels;
    view.strides[last + 1] = channels * out;
    view.count = nft_shape_count(view.shape, view.rank);
    view.name = (char *)kernel->name;
    view.type = kernel->base->type;
    view.base = kernel->base;
    view.offset *= nft_type_size(view.type);
    nft_status status = nft_views_keep(&kept, file, &view);
    return status ? status : nft_views_add(file, kernel->name, kept, &flat);
}

nft_status nft_kernel_add(nft_file *file, const nft_kernel *kernel)
{
    if (kernel->channels)
        return add_flattened(file, kernel);
    nft_entry view = transposed(kernel);
    return nft_views_add(file, kernel->name, kernel->base, &view);
}

/* --- names --- */

/* The last part of a name behind '.' or '/', without TensorFlow's ":0". */
static const char *last_part(const char *name, size_t *length)
{
    const char *part = name;
    for (const char *at = name; *at; at++)
        if (*at == '.' || *at == '/')
            part = at + 1;
    *length = strlen(part);
    if (*length > 2 && !strcmp(part + *length - 2, ":0"))
        *length -= 2;
    return part;
}

static bool is_part(const char *name, const char *wanted)
{
    size_t length;
    const char *part = last_part(name, &length);
    return length == strlen(wanted) && !strncmp(part, wanted, length);
}

/* PyTorch's name of a part, "" for a part without one. */
static const char *name_of_part(const char *name)
{
    static const char *const names[][2] = {
        {"kernel", "weight"},
        {"bias", "bias"},
        {"gamma", "weight"},
        {"beta", "bias"},
        {"scale", "weight"},
        {"mean", "running_mean"},
        {"moving_mean", "running_mean"},
        {"var", "running_var"},
        {"moving_variance", "running_var"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_part(name, names[i][0]))
            return names[i][1];
    return "";
}

/* "model/dense_1/kernel:0" becomes "model.dense_1.weight". */
static char *converted_name(const char *name)
{
    nft_text text = {0};
    size_t length;
    const char *part = last_part(name, &length), *known = name_of_part(name);
    nft_text_append(&text, "%.*s%s%.*s", (int)(part - name), name, known, *known ? 0 : (int)length, part);
    for (size_t i = 0; !text.failed && text.data[i]; i++)
        if (text.data[i] == '/')
            text.data[i] = '.';
    if (!text.failed)
        return text.data;
    nft_text_clear(&text);
    return NULL;
}

/* --- the layers of a file --- */

static const nft_entry *find_bias(const nft_file *file, const char *kernel)
{
    size_t length;
    const char *part = last_part(kernel, &length);
    nft_text name = {0};
    nft_text_append(&name, "%.*sbias%s", (int)(part - kernel), kernel, part + length);
    const nft_entry *bias = name.failed ? NULL : nft_file_find(file, name.data);
    nft_text_clear(&name);
    return bias;
}

/* Refuses layers with a kernel of another order than (…, in, out). */
static nft_status check_layer(const nft_entry *entry)
{
    static const char *const others[][2] = {
        {"depthwise_kernel", "a depthwise convolution"},
        {"pointwise_kernel", "a separable convolution"},
        {"recurrent_kernel", "a recurrent layer"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (is_part(entry->name, others[i][0]))
            return nft_fail(
                NFT_ERROR_FORMAT,
                "tensor '%s' is of %s of Keras, whose kernels are not read: save the network with "
                "PyTorch's names and shapes, or give its space in nft_load_options.space",
                entry->name, others[i][1]);
    const char *transposed = strstr(entry->name, "ranspose");
    if (is_part(entry->name, "kernel") && transposed && entry->rank > 2)
        return nft_fail(NFT_ERROR_FORMAT,
                        "tensor '%s' is of a transposed convolution of Keras or flax, whose kernels are not "
                        "read: give the network's space in nft_load_options.space",
                        entry->name);
    return NFT_OK;
}

static nft_status check_shapes(const nft_file *file, const nft_entry *kernel)
{
    const nft_entry *bias = find_bias(file, kernel->name);
    char shape[192], other[192];
    nft_shape_describe(kernel->shape, kernel->rank, shape, sizeof shape);
    if (kernel->rank < 2 || kernel->rank > 5)
        return nft_fail(
            NFT_ERROR_FORMAT,
            "tensor '%s' has shape %s, expected (in, out) or (height, width, in, out) of a kernel "
            "of one network",
            kernel->name, shape);
    if (!bias || bias->rank != 1 || bias->count == kernel->shape[kernel->rank - 1])
        return NFT_OK;
    nft_shape_describe(bias->shape, bias->rank, other, sizeof other);
    return nft_fail(
        NFT_ERROR_FORMAT,
        "tensor '%s' has shape %s, but its bias %s: a kernel's outputs are its last axis; this one "
        "looks transposed%s",
        kernel->name, shape, other,
        kernel->rank == 4 && bias->count == kernel->shape[2] * kernel->shape[3]
            ? ", or its convolution is depthwise, which is not read"
            : "");
}

/* A flattened map has its channels last. If the names do not say which layer a dense one follows, its numbers
 * cannot be put in order. */
static nft_status check_order(const nft_file *file, const nft_kernel *kernel, const nft_kernel *before)
{
    if (kernel->rank != 2 || kernel->channels ||
        (before->rank && before->shape[before->rank - 1] == kernel->shape[0]))
        return NFT_OK;
    for (int64_t i = 0; i < file->entry_count; i++) {
        const nft_entry *other = &file->entries[i];
        int64_t out = other->rank > 2 ? other->shape[other->rank - 1] : 0;
        if (is_part(other->name, "kernel") && out > 1 && kernel->shape[0] > out &&
            kernel->shape[0] % out == 0)
            return nft_fail(
                NFT_ERROR_FORMAT,
                "'%s' may read the flattened map of '%s', but the order of the names does not say "
                "so: rename the layers in their order",
                kernel->name, other->name);
    }
    return NFT_OK;
}

static nft_status convert_kernel(nft_file *file, const nft_entry *entry, const char *name, nft_kernel *before)
{
    nft_kernel kernel = {.name = name, .rank = entry->rank};
    nft_status status = check_shapes(file, entry);
    if (status)
        return status;
    memcpy(kernel.shape, entry->shape, sizeof kernel.shape);
    kernel.channels = nft_kernel_channels(&kernel, before);
    status = check_order(file, &kernel, before);
    if (!status)
        status = nft_views_keep(&kernel.base, file, entry);
    if (!status)
        status = nft_kernel_add(file, &kernel);
    kernel.name = NULL;
    *before = kernel;
    return status;
}

static nft_status rename_entry(nft_file *file, const nft_entry *entry, const char *name)
{
    nft_entry same = {.rank = entry->rank};
    const nft_entry *kept = NULL;
    memcpy(same.shape, entry->shape, sizeof same.shape);
    nft_status status = nft_views_keep(&kept, file, entry);
    return status ? status : nft_views_add(file, name, kept, &same);
}

static nft_status convert_all(nft_file *file, bool *removed)
{
    nft_kernel before = {0};
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->entry_count && !status; i++)
        status = check_layer(&file->entries[i]);
    for (int64_t i = 0; i < file->entry_count && !status; i++) {
        const nft_entry *entry = &file->entries[i];
        char *name = converted_name(entry->name);
        if (!name)
            return nft_fail_memory("a tensor's name", (int64_t)strlen(entry->name));
        removed[i] = true;
        status = is_part(entry->name, "kernel") ? convert_kernel(file, entry, name, &before)
                                                : rename_entry(file, entry, name);
        nft_release(name);
    }
    return status;
}

/* --- Keras 3: layers/NAME/vars/0, whose numbers stand for the parts of a layer --- */

/* The layer's name and the number behind "/vars/"; false for other names. */
static bool split_variable(const char *name, size_t *length, int *number)
{
    static const char mark[] = "/vars/";
    const char *at = strstr(name, mark), *digit = at ? at + strlen(mark) : NULL;
    bool is_layer = !strncmp(name, "layers/", 7) || !strncmp(name, "_layer_checkpoint_dependencies/", 31);
    if (!at || !is_layer || *digit < '0' || *digit > '3' || digit[1])
        return false;
    *length = (size_t)(at - name);
    *number = *digit - '0';
    return true;
}

static bool has_word(const char *name, size_t length, const char *word)
{
    const char *found = strstr(name, word);
    return found && found < name + length;
}

/* Keras' own name of a variable; NULL if it is of a layer that is not read. */
static const char *name_of_variable(const char *name, size_t length, int number)
{
    static const char *const norm[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    static const char *const others[] = {"depthwise", "separable", "transpose", "lstm",
                                         "gru",       "rnn",       "attention"};
    if (has_word(name, length, "normalization"))
        return norm[number];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (has_word(name, length, others[i]))
            return NULL;
    return number == 0 ? "kernel" : number == 1 ? "bias" : NULL;
}

static nft_status name_variable(nft_file *file, const nft_entry *entry, bool *removed)
{
    size_t length = 0;
    int number = 0;
    nft_text name = {0};
    if (!split_variable(entry->name, &length, &number))
        return NFT_OK;
    const char *part = name_of_variable(entry->name, length, number);
    if (!part)
        return nft_fail(NFT_ERROR_FORMAT,
                        "tensor '%s' is of a layer of Keras that is not read: give the network's space in "
                        "nft_load_options.space",
                        entry->name);
    nft_text_append(&name, "%.*s/%s", (int)length, entry->name, part);
    nft_status status = name.failed ? nft_fail_memory("a tensor's name", (int64_t)length)
                                    : rename_entry(file, entry, name.data);
    nft_text_clear(&name);
    *removed = true;
    return status;
}

static nft_status name_variables(nft_file *file, bool *removed)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < file->entry_count && !status; i++)
        status = name_variable(file, &file->entries[i], &removed[i]);
    return status;
}

/* --- both --- */

static nft_status change_table(nft_file *file, nft_status (*change)(nft_file *file, bool *removed))
{
    int64_t count = file->entry_count;
    bool *removed = nft_allocate_array((size_t)count, sizeof *removed);
    if (!removed)
        return nft_fail_memory("a table of tensors", count);
    nft_status status = change(file, removed);
    if (!status)
        status = nft_views_finish(file, removed);
    nft_release(removed);
    return status;
}

nft_status nft_kernels_convert(nft_file *file)
{
    int64_t kernels = 0, variables = 0;
    size_t length;
    int number;
    for (int64_t i = 0; i < file->entry_count; i++)
        variables += split_variable(file->entries[i].name, &length, &number);
    nft_status status = variables ? change_table(file, name_variables) : NFT_OK;
    for (int64_t i = 0; i < file->entry_count; i++)
        kernels += is_part(file->entries[i].name, "kernel");
    return status || !kernels ? status : change_table(file, convert_all);
}
