#include "io/fold.h"

#include "io/fold_space.h"
#include "io/formats/format.h"
#include "io/views.h"
#include "space/array.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char mean_suffix[] = ".running_mean";

/* A norm and the layer before it, as entries of the file. */
typedef struct folding {
    nft_file *file;
    nft_fold_space space;
    double eps;
    bool has_order;     /* the file lists modules in the order in which they were made */
    nft_text *note;     /* that the order follows from names; empty: it does not */
    bool *removed;      /* for each entry that the file had */
    int64_t count;      /* of those */
    char *norm, *layer; /* names of the modules */
    int64_t networks, channels;
    const nft_entry *weight, *bias; /* of the layer; bias NULL: zeros */
} folding;

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), suffix = strlen(end);
    return length >= suffix && !strcmp(text + length - suffix, end);
}

static const nft_entry *find_part(const nft_file *file, const char *module, size_t length, const char *part)
{
    nft_text name = {0};
    nft_text_append(&name, "%.*s.%s", (int)length, module, part);
    const nft_entry *entry = name.failed ? NULL : nft_file_find(file, name.data);
    nft_text_clear(&name);
    return entry;
}

/* Whether a module of this name has weights of two axes or more. */
static bool is_layer(const folding *f, const char *name)
{
    const nft_entry *weight = find_part(f->file, name, strlen(name), "weight");
    int64_t leading = f->networks ? 1 : 0;
    return weight && weight->rank >= leading + 2 && nft_type_is_float(weight->type);
}

static const char *last_component(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* --- which layer --- */

/* "features.4" is behind "features.3". */
static void layer_by_number(const folding *f, nft_text *found)
{
    const char *number = last_component(f->norm);
    int64_t k = strtoll(number, NULL, 10);
    if (k > 0)
        nft_text_append(found, "%.*s%" PRId64, (int)(number - f->norm), f->norm, k - 1);
}

/* The module whose tensors the file lists right before those of the norm. */
static bool is_right_before(const folding *f, const char *layer)
{
    const nft_entry *last = NULL;
    int64_t first = INT64_MAX;
    size_t norm = strlen(f->norm), length = strlen(layer);
    for (int64_t i = 0; i < f->count; i++) {
        const nft_entry *entry = &f->file->entries[i];
        if (!strncmp(entry->name, f->norm, norm) && entry->name[norm] == '.' && entry->position < first)
            first = entry->position;
    }
    for (int64_t i = 0; i < f->count; i++) {
        const nft_entry *entry = &f->file->entries[i];
        if (entry->position < first && (!last || entry->position > last->position))
            last = entry;
    }
    return last && !strncmp(last->name, layer, length) && last->name[length] == '.';
}

/* Whether the norm may be behind the layer of this name. */
static bool may_be_before(const folding *f, const char *name)
{
    return is_layer(f, name) &&
           find_part(f->file, name, strlen(name), "weight")->shape[f->networks ? 1 : 0] == f->channels &&
           nft_fold_space_allows(&f->space, f->norm, name) && (!f->has_order || is_right_before(f, name));
}

/* Adds a layer of this name, if the norm may be behind it. Two: no layer's name. */
static void try_layer(const folding *f, nft_text *found, const char *folder, size_t length, const char *word,
                      const char *end)
{
    nft_text name = {0};
    nft_text_append(&name, "%.*s%s%s", (int)length, folder, word, end);
    if (!name.failed && may_be_before(f, name.data))
        nft_text_append(found, "%s%s", found->length ? "|" : "", name.data);
    nft_text_clear(&name);
}

/* "bn1" is behind "conv1", "bn" behind "pointwise", "bn_depthwise" behind "depthwise". Where the file shows
 * the order, "bn1" may also be right behind "depthwise", which has no number. */
static void layer_by_end(const folding *f, nft_text *found, const char *end)
{
    static const char *const layers[] = {"conv",    "fc",      "linear",    "lin",       "layer", "dense",
                                         "conv_dw", "conv_pw", "depthwise", "pointwise", "dw",    "pw",
                                         "dw_conv", "pw_conv", "dwconv",    "pwconv"};
    const size_t separable = 6; /* the first of those of a depthwise separable convolution */
    size_t folder = (size_t)(last_component(f->norm) - f->norm);
    bool is_number = *end && strspn(end, "0123456789") == strlen(end);
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        try_layer(f, found, f->norm, folder, layers[i], end);
        if (i >= separable && is_number && f->has_order)
            try_layer(f, found, f->norm, folder, layers[i], "");
    }
    if (*end == '_')
        try_layer(f, found, f->norm, folder, end + 1, "");
}

/* "fc1_bn" is behind "fc1"; other names begin with the word. */
static void layer_by_word(const folding *f, nft_text *found)
{
    static const char *const norms[] = {"batch_norm", "batchnorm", "norm", "bn"};
    const char *word = last_component(f->norm);
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) {
        nft_text end = {0};
        nft_text_append(&end, "_%s", norms[i]);
        bool is_end = !end.failed && ends_with(word, end.data);
        nft_text_clear(&end);
        if (is_end) {
            nft_text_append(found, "%.*s", (int)(strlen(f->norm) - strlen(norms[i]) - 1), f->norm);
            return;
        }
        if (!strncmp(word, norms[i], strlen(norms[i]))) {
            layer_by_end(f, found, word + strlen(norms[i]));
            return;
        }
    }
}

static nft_status fail_place(const folding *f, const char *reason)
{
    return nft_fail(NFT_ERROR_FORMAT, "norm '%s' cannot be folded: %s", f->norm, reason);
}

static nft_status find_layer(folding *f)
{
    const char *word = last_component(f->norm);
    bool numbered = *word && strspn(word, "0123456789") == strlen(word);
    nft_text found = {0};
    if (numbered)
        layer_by_number(f, &found);
    else
        layer_by_word(f, &found);
    f->layer = found.failed ? NULL : found.data;
    if (found.failed)
        return nft_fail_memory("a layer's name", (int64_t)strlen(f->norm));
    if (!f->layer || !is_layer(f, f->layer))
        return fail_place(f, numbered
                                 ? "the module before it, by its number, is no linear or convolutional layer"
                                 : "its name does not tell a linear or convolutional layer before it");
    if (f->has_order && !is_right_before(f, f->layer))
        return fail_place(f, "the file lists another module before it than the layer of its name");
    if (numbered || f->has_order || f->note->length)
        return NFT_OK;
    nft_text_append(
        f->note,
        "norms are taken to be behind the layers of their names, as '%s' behind '%s': the file does "
        "not show the order",
        f->norm, f->layer);
    return f->note->failed ? nft_fail_memory("a note", (int64_t)strlen(f->norm)) : NFT_OK;
}

/* --- the layer that computes both --- */

static nft_status read_all(float **numbers, const nft_file *file, const nft_entry *entry)
{
    *numbers = nft_allocate_array((size_t)entry->count, sizeof **numbers);
    return *numbers ? nft_file_read_f32(file, entry, 0, entry->count, *numbers)
                    : nft_fail_memory("a layer", entry->count * (int64_t)sizeof **numbers);
}

/* A tensor of the norm, (channels) of each network; `otherwise` where there is none. */
static nft_status read_part(float **numbers, const folding *f, const char *part, float otherwise)
{
    const nft_entry *entry = find_part(f->file, f->norm, strlen(f->norm), part);
    int64_t count = (f->networks ? f->networks : 1) * f->channels;
    if (entry && (entry->count != count || !nft_type_is_float(entry->type)))
        return nft_fail(NFT_ERROR_FORMAT,
                        "tensor '%s' does not have a number for each of %" PRId64 " channels", entry->name,
                        f->channels);
    if (entry)
        return read_all(numbers, f->file, entry);
    *numbers = nft_allocate_array((size_t)count, sizeof **numbers);
    if (!*numbers)
        return nft_fail_memory("a norm", count * (int64_t)sizeof **numbers);
    for (int64_t i = 0; i < count; i++)
        (*numbers)[i] = otherwise;
    return NFT_OK;
}

typedef struct norm_numbers {
    float *gain, *shift, *mean, *variance, *weight, *bias;
} norm_numbers;

static void clear_numbers(norm_numbers *n)
{
    nft_release(n->gain);
    nft_release(n->shift);
    nft_release(n->mean);
    nft_release(n->variance);
    nft_release(n->weight);
    nft_release(n->bias);
}

/* Weight (channels, row) and bias (channels), of all networks. */
static void scale(const folding *f, const norm_numbers *n)
{
    int64_t count = (f->networks ? f->networks : 1) * f->channels, row = f->weight->count / count;
    for (int64_t c = 0; c < count; c++) {
        double factor = (double)n->gain[c] / sqrt((double)n->variance[c] + f->eps);
        for (int64_t i = 0; i < row; i++)
            n->weight[c * row + i] = (float)((double)n->weight[c * row + i] * factor);
        n->bias[c] = (float)((double)n->shift[c] + ((double)n->bias[c] - (double)n->mean[c]) * factor);
    }
}

static nft_status read_numbers(norm_numbers *n, const folding *f)
{
    nft_status status = read_part(&n->gain, f, "weight", 1);
    if (!status)
        status = read_part(&n->shift, f, "bias", 0);
    if (!status)
        status = read_part(&n->mean, f, "running_mean", 0);
    if (!status)
        status = read_part(&n->variance, f, "running_var", 1);
    if (!status)
        status = read_all(&n->weight, f->file, f->weight);
    if (status)
        return status;
    if (f->bias)
        return read_all(&n->bias, f->file, f->bias);
    int64_t count = (f->networks ? f->networks : 1) * f->channels;
    n->bias = nft_allocate_array((size_t)count, sizeof *n->bias);
    return n->bias ? NFT_OK : nft_fail_memory("a bias", count * (int64_t)sizeof *n->bias);
}

static nft_status check_layer(const folding *f)
{
    int64_t axis = f->networks ? 1 : 0;
    const char *name = f->layer;
    bool is_conv = f->weight->rank > axis + 2;
    bool is_transposed = is_conv && (strstr(name, "trans") || strstr(name, "deconv") || strstr(name, "up"));
    bool is_used = f->removed[f->weight - f->file->entries];
    bool is_told = nft_fold_space_tells_outputs(&f->space, name);
    if (is_used)
        return fail_place(f, "another norm is folded into the same layer");
    nft_status status = nft_fold_space_check(&f->space, f->norm, name);
    if (status)
        return status;
    if ((is_transposed && !is_told) ||
        (f->weight->shape[axis] != f->channels && is_conv && f->weight->shape[axis + 1] == f->channels))
        return fail_place(f, "the layer before it looks like a transposed convolution, whose outputs are its "
                             "second axis");
    if (!is_told && f->weight->rank == axis + 4 && f->weight->shape[axis] == f->weight->shape[axis + 1] &&
        f->channels > 1 && f->weight->shape[axis + 2] % 2 == 0 && f->weight->shape[axis + 3] % 2 == 0)
        return fail_place(f,
                          "the layer before it may be a transposed convolution of as many inputs as outputs, "
                          "whose outputs are its second axis");
    if (f->weight->shape[axis] != f->channels || (axis && f->weight->shape[0] != f->networks))
        return fail_place(f, "the layer before it has another number of outputs");
    if (f->bias && f->bias->count != (axis ? f->networks : 1) * f->channels)
        return fail_place(f, "the bias of the layer before it has another number of outputs");
    return NFT_OK;
}

static void remove_part(folding *f, const char *module, const char *part)
{
    const nft_entry *entry = find_part(f->file, module, strlen(module), part);
    if (entry)
        f->removed[entry - f->file->entries] = true;
}

static nft_status add_layer(folding *f, norm_numbers *n)
{
    nft_text weight = {0}, bias = {0};
    int64_t leading = f->networks ? 1 : 0, shape[NFT_ARRAY_MAX_RANK], rank = f->weight->rank;
    memcpy(shape, f->weight->shape, sizeof shape);
    nft_text_append(&weight, "%s.weight", f->layer);
    nft_text_append(&bias, "%s.bias", f->layer);
    nft_status status = weight.failed || bias.failed ? nft_fail_memory("a layer's name", 8) : NFT_OK;
    if (!status)
        status = nft_file_count_unpacked(f->file, f->weight->count * (int64_t)sizeof(float));
    float *numbers = n->weight;
    n->weight = status ? n->weight : NULL; /* handed over */
    if (!status)
        status = nft_views_add_numbers(f->file, weight.data, shape, rank, numbers);
    numbers = n->bias;
    n->bias = status ? n->bias : NULL;
    if (!status)
        status = nft_views_add_numbers(f->file, bias.data, shape, leading + 1, numbers);
    nft_text_clear(&weight);
    nft_text_clear(&bias);
    return status;
}

static nft_status fold(folding *f)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var",
                                        "num_batches_tracked"};
    norm_numbers numbers = {0};
    nft_status status = find_layer(f);
    if (status || nft_fold_space_is_outside(&f->space, f->norm, f->layer))
        return status;
    f->weight = find_part(f->file, f->layer, strlen(f->layer), "weight");
    f->bias = find_part(f->file, f->layer, strlen(f->layer), "bias");
    status = check_layer(f);
    if (!status)
        status = read_numbers(&numbers, f);
    if (!status) {
        scale(f, &numbers);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            remove_part(f, f->norm, parts[i]);
        remove_part(f, f->layer, "weight");
        remove_part(f, f->layer, "bias");
        nft_fold_space_take(&f->space, f->norm, f->layer);
        status = add_layer(f, &numbers);
    }
    clear_numbers(&numbers);
    return status;
}

static int compare_positions(const void *a, const void *b)
{
    const nft_entry *const *p = a, *const *q = b;
    return ((*p)->position > (*q)->position) - ((*p)->position < (*q)->position);
}

/* The order of a file that sorts the names of its tensors tells nothing. */
static nft_status find_order(bool *has_order, const nft_file *file)
{
    const nft_entry **entries = nft_allocate_array((size_t)file->entry_count, sizeof *entries);
    *has_order = false;
    if (!entries)
        return nft_fail_memory("a table of tensors", file->entry_count * (int64_t)sizeof *entries);
    for (int64_t i = 0; i < file->entry_count; i++)
        entries[i] = &file->entries[i];
    if (file->entry_count)
        qsort(entries, (size_t)file->entry_count, sizeof *entries, compare_positions);
    for (int64_t i = 1; i < file->entry_count && !*has_order; i++)
        *has_order = strcmp(entries[i - 1]->name, entries[i]->name) > 0;
    nft_release(entries);
    return NFT_OK;
}

static nft_status fold_all(folding *f, const char *prefix)
{
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < f->count && !status; i++) {
        const nft_entry *entry = &f->file->entries[i];
        if (!ends_with(entry->name, mean_suffix) || strncmp(entry->name, prefix, strlen(prefix)) != 0)
            continue;
        if (entry->rank < 1 || entry->rank > 2 || !entry->count)
            return nft_fail(NFT_ERROR_FORMAT,
                            "tensor '%s' has %" PRId64 " axes and %" PRId64
                            " numbers, expected (channels) or (N, channels)",
                            entry->name, entry->rank, entry->count);
        f->networks = entry->rank == 2 ? entry->shape[0] : 0;
        f->channels = entry->shape[entry->rank - 1];
        f->norm = nft_copy_text_range(entry->name, strlen(entry->name) - strlen(mean_suffix));
        f->layer = NULL;
        status = f->norm ? fold(f) : nft_fail_memory("a norm's name", (int64_t)strlen(entry->name));
        nft_release(f->norm);
        nft_release(f->layer);
    }
    return status;
}

nft_status nft_fold_norms(nft_space **folded, nft_text *note, nft_file *file, const nft_load_options *options,
                          double eps)
{
    const char *prefix = options->prefix ? options->prefix : "";
    folding f = {.note = note, .file = file, .eps = eps, .count = file->entry_count};
    *folded = NULL;
    nft_status status = find_order(&f.has_order, file);
    f.removed = nft_allocate_array((size_t)f.count, sizeof *f.removed);
    if (!status && !f.removed)
        status = nft_fail_memory("a table of tensors", f.count);
    if (!status)
        status = nft_fold_space_begin(&f.space, options->space, prefix);
    if (!status)
        status = fold_all(&f, prefix);
    if (!status)
        status = nft_views_finish(file, f.removed);
    if (!status)
        status = nft_fold_space_finish(folded, &f.space);
    nft_fold_space_clear(&f.space);
    nft_release(f.removed);
    return status;
}
