#include "io/families/families.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME_CAPACITY 512

/* A tensor that only this family has, and its dimensions in one network. */
static const struct {
    const char *name, *mark;
    int64_t rank;
    bool is_module; /* the mark's module is a part of the network */
    void (*add)(nft_family *family);
} families[] = {
    {"a ResNet", "layer1.0.conv1.weight", 4, false, nft_family_resnet},
    {"a MobileNetV2", "features.1.conv.0.0.weight", 4, false, nft_family_mobilenet},
    {"a vision transformer", "blocks.0.attn.qkv.weight", 2, false, nft_family_vit},
    {"a ViT of vit_pytorch", "transformer.layers.0.0.to_qkv.weight", 2, false, nft_family_vit_pytorch},
    {"a TransformerEncoder", "layers.0.self_attn.in_proj_weight", 2, false, nft_family_transformer},
    {"a transformer with separate queries", "encoder.0.*.queries.weight", 2, false,
     nft_family_small_transformer},
    {"a recurrent network", "weight_hh_l0", 2, true, nft_family_recurrent},
};

void nft_family_fail(nft_family *family, const char *format, ...)
{
    char text[NAME_CAPACITY];
    va_list arguments;
    if (family->status)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    family->status = nft_fail(NFT_ERROR_FORMAT,
                              "it looks like %s, but %s; give the network's space in nft_load_options.space",
                              family->name, text);
}

const nft_entry *nft_family_find(const nft_family *family, const char *format, ...)
{
    char name[NAME_CAPACITY];
    int used = snprintf(name, sizeof name, "%s", family->prefix);
    va_list arguments;
    if (used >= NAME_CAPACITY)
        return NULL;
    va_start(arguments, format);
    int more = vsnprintf(name + used, sizeof name - (size_t)used, format, arguments);
    va_end(arguments);
    return more + used >= NAME_CAPACITY ? NULL : nft_file_find(family->file, name);
}

int64_t nft_family_size(const nft_family *family, const nft_entry *entry, int64_t dimension)
{
    if (!entry || dimension + family->leading >= entry->rank)
        return 0;
    return entry->shape[family->leading + dimension];
}

int64_t nft_family_axis(nft_family *family, int64_t size, bool ordered, const char *name)
{
    nft_text text = {0};
    if (family->status)
        return 0;
    family->status = nft_grow(&family->axes, family->axis_count + 1, &family->axis_capacity,
                              sizeof *family->axes, "a space", 0);
    if (family->status)
        return 0;
    nft_text_append(&text, ordered ? "%s" : "%s%" PRId64, name, family->axis_count);
    if (text.failed)
        family->status = nft_fail_memory("a space", NAME_CAPACITY);
    family->axes[family->axis_count] = (nft_space_axis)NFT_SPACE_AXIS(
        text.data, size, ordered ? NFT_SYMMETRY_NONE : NFT_SYMMETRY_PERMUTATION);
    return family->axis_count++;
}

/* Adds the tensor; its factors are to be filled. NULL without an entry, or after a failure. */
static nft_factor *add(nft_family *family, const nft_entry *entry)
{
    if (!entry || family->status)
        return NULL;
    int64_t count = family->tensor_count + 1;
    family->status =
        nft_grow(&family->tensors, count, &family->tensor_capacity, sizeof *family->tensors, "a space", 0);
    if (!family->status)
        family->status = nft_grow(&family->factors, count, &family->factors_capacity, sizeof *family->factors,
                                  "a space", 0);
    if (family->status)
        return NULL;
    int64_t index = entry - family->file->entries;
    if (family->taken[index]) {
        nft_family_fail(family, "'%s' would stand in two places", entry->name);
        return NULL;
    }
    family->taken[index] = true;
    family->tensors[family->tensor_count] =
        (nft_space_tensor)NFT_SPACE_TENSOR(entry->name + strlen(family->outer), NULL, 0);
    return family->factors[family->tensor_count++];
}

static void set_count(nft_family *family, int64_t count)
{
    family->tensors[family->tensor_count - 1].factor_count = count;
}

void nft_family_add(nft_family *family, const nft_entry *entry, const int64_t *axes, int64_t count)
{
    nft_factor *factors = add(family, entry);
    if (!factors)
        return;
    int64_t rank = entry->rank - family->leading;
    for (int64_t d = 0; d < rank && d < NFT_ARRAY_MAX_RANK; d++)
        factors[d] = d < count && axes[d] >= 0 ? (nft_factor)NFT_AXIS((int32_t)axes[d])
                                               : (nft_factor)NFT_POSITIONS(nft_family_size(family, entry, d));
    set_count(family, rank);
    if (rank < count)
        nft_family_fail(family, "'%s' has %" PRId64 " dimensions", entry->name, rank);
}

void nft_family_add_gates(nft_family *family, const nft_entry *entry, int64_t gates, int64_t axis, int64_t in)
{
    nft_factor *factors = add(family, entry);
    if (!factors)
        return;
    factors[0] = (nft_factor)NFT_POSITIONS(gates);
    factors[1] = (nft_factor)NFT_AXIS_JOINED((int32_t)axis);
    factors[2] = (nft_factor)NFT_AXIS((int32_t)in);
    set_count(family, in < 0 ? 2 : 3);
}

void nft_family_add_flattened(nft_family *family, const nft_entry *entry, int64_t out, int64_t in,
                              int64_t positions)
{
    nft_factor *factors = add(family, entry);
    if (!factors)
        return;
    factors[0] = (nft_factor)NFT_AXIS((int32_t)out);
    factors[1] = (nft_factor)NFT_AXIS((int32_t)in);
    factors[2] = (nft_factor)NFT_POSITIONS_JOINED(positions);
    set_count(family, positions > 1 ? 3 : 2);
}

/* Whether the name fits. */
static bool format_name(char *name, const char *format, va_list arguments)
{
    int length = vsnprintf(name, NAME_CAPACITY, format, arguments);
    return length >= 0 && length < NAME_CAPACITY;
}

void nft_family_layer(nft_family *family, int64_t out, int64_t in, const char *format, ...)
{
    char name[NAME_CAPACITY];
    va_list arguments;
    va_start(arguments, format);
    bool fits = format_name(name, format, arguments);
    va_end(arguments);
    const nft_entry *weight = fits ? nft_family_find(family, "%s.weight", name) : NULL;
    if (!weight)
        nft_family_fail(family, "it has no '%.100s.weight'", name);
    nft_family_add(family, weight, (const int64_t[]){out, in}, 2);
    nft_family_add(family, nft_family_find(family, "%s.bias", name), &out, 1);
}

void nft_family_norm(nft_family *family, int64_t axis, const char *format, ...)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    char name[NAME_CAPACITY];
    va_list arguments;
    va_start(arguments, format);
    bool fits = format_name(name, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && fits; i++)
        nft_family_add(family, nft_family_find(family, "%s.%s", name, parts[i]), &axis, 1);
}

static void clear(nft_family *family)
{
    for (int64_t a = 0; a < family->axis_count; a++) {
        char *name = (char *)family->axes[a].name;
        nft_release(name);
    }
    nft_release(family->axes);
    nft_release(family->tensors);
    nft_release(family->factors);
    nft_release(family->taken);
}

/* A tensor that the family does not have may be one that its neurons change, too. */
static void check_all_taken(nft_family *family)
{
    for (int64_t i = 0; i < family->file->entry_count; i++) {
        const nft_entry *entry = &family->file->entries[i];
        bool of_network = !strncmp(entry->name, family->outer, strlen(family->outer));
        if (of_network && !family->taken[i] && nft_type_is_float(entry->type) &&
            entry->rank > family->leading)
            nft_family_fail(family, "'%s' has no place in it", entry->name);
    }
}

static nft_status build(nft_space **space, nft_family *family, void (*add_all)(nft_family *family))
{
    family->taken = nft_allocate_array((size_t)family->file->entry_count, sizeof *family->taken);
    if (!family->taken)
        family->status = nft_fail_memory("a space", family->file->entry_count);
    else
        add_all(family);
    if (!family->status && !family->is_none)
        check_all_taken(family);
    for (int64_t t = 0; t < family->tensor_count; t++)
        family->tensors[t].factors = family->factors[t];
    if (!family->status && !family->is_none)
        family->status =
            nft_space_create(space, family->axes, family->axis_count, family->tensors, family->tensor_count);
    if (family->status == NFT_ERROR_CONFIG)
        family->status = nft_fail_in(NFT_ERROR_FORMAT, "it looks like %s, but", family->name);
    clear(family);
    return family->status;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), suffix = strlen(end);
    return length >= suffix && !strcmp(text + length - suffix, end);
}

/* Where the mark begins in a name: behind a prefix that ends in a dot, and up to the end of the name. -1 if
 * it is not there. A * in a mark stands for any characters. */
static int64_t find_mark(const char *name, const char *prefix, const char *mark)
{
    const char *star = strchr(mark, '*'), *tail = star ? star + 1 : mark;
    size_t length = strlen(name), begin = strlen(prefix);
    if (!ends_with(name, tail) || strncmp(name, prefix, begin) != 0)
        return -1;
    if (!star)
        begin = length - strlen(mark) >= begin ? length - strlen(mark) : length;
    for (size_t at = begin; at < length; at++) {
        bool at_start = !at || name[at - 1] == '.';
        if (at_start && (!star || !strncmp(name + at, mark, (size_t)(star - mark))))
            return (int64_t)at;
        if (!star)
            break;
    }
    return -1;
}

static nft_status try_family(nft_space **space, char **found, const nft_file *file, const char *prefix,
                             size_t f)
{
    const nft_entry *first = NULL;
    int64_t place = 0;
    for (int64_t i = 0; i < file->entry_count; i++) {
        const nft_entry *entry = &file->entries[i];
        int64_t found_at = find_mark(entry->name, prefix, families[f].mark);
        if (found_at < 0)
            continue;
        place = found_at;
        if (first)
            return nft_fail(
                NFT_ERROR_FORMAT,
                "it holds several networks, with '%s' and '%s'; choose one with nft_load_options.prefix",
                first->name, entry->name);
        first = entry;
    }
    if (!first || first->rank < families[f].rank || first->rank > families[f].rank + 2)
        return NFT_OK;
    size_t length = (size_t)place, outer = length;
    for (outer -= outer > 0; families[f].is_module && outer && first->name[outer - 1] != '.';)
        outer--;
    char *inner = nft_copy_text_range(first->name, length);
    *found = nft_copy_text_range(first->name, families[f].is_module ? outer : length);
    nft_family family = {.file = file,
                         .name = families[f].name,
                         .prefix = inner,
                         .outer = *found,
                         .leading = first->rank - families[f].rank};
    nft_status status = inner && *found ? build(space, &family, families[f].add)
                                        : nft_fail_memory("a prefix", (int64_t)strlen(first->name));
    nft_release(inner);
    return status;
}

/* The biases tell whether the file holds one network, N, or features. */
static bool find_leading(nft_family *family)
{
    for (int64_t i = 0; i < family->file->entry_count; i++) {
        const nft_entry *entry = &family->file->entries[i];
        const char *dot = strrchr(entry->name, '.');
        if (!strncmp(entry->name, family->prefix, strlen(family->prefix)) && dot && !strcmp(dot, ".bias")) {
            family->leading = entry->rank - 1;
            return family->leading >= 0 && family->leading <= 2;
        }
    }
    return false;
}

/* Whether a tensor is none of a chain of linear layers and conv2ds. */
static bool is_beyond_chains(const nft_family *family, const nft_entry *entry)
{
    const char *dot = strrchr(entry->name, '.');
    int64_t rank = entry->rank - family->leading;
    if (!dot || strncmp(entry->name, family->prefix, strlen(family->prefix)) != 0)
        return false;
    if (!strcmp(dot, ".running_mean"))
        return true;
    if (strcmp(dot, ".weight") != 0)
        return false;
    return (rank != 2 && rank != 4) ||
           (rank == 4 && nft_family_size(family, entry, 1) == 1 && nft_family_size(family, entry, 0) > 1);
}

nft_status nft_find_family(nft_space **space, char **found, const nft_file *file, const char *prefix)
{
    nft_status status = NFT_OK;
    for (size_t f = 0; f < sizeof families / sizeof *families && !*space && !status; f++)
        status = try_family(space, found, file, prefix, f);
    return status;
}

nft_status nft_find_sequential(nft_space **space, const nft_file *file, const char *prefix)
{
    nft_family family = {.file = file, .name = "layers in a row", .prefix = prefix, .outer = prefix};
    const nft_entry *first = NULL;
    bool beyond = false;
    if (!find_leading(&family))
        return NFT_OK;
    for (int64_t i = 0; i < file->entry_count; i++) {
        const char *dot = strrchr(file->entries[i].name, '.');
        if (!first && dot && !strcmp(dot, ".weight"))
            first = &file->entries[i]; /* of one channel it looks depthwise */
        bool looks_depthwise = &file->entries[i] == first && first->rank - family.leading == 4;
        beyond |= !looks_depthwise && is_beyond_chains(&family, &file->entries[i]);
    }
    return beyond ? build(space, &family, nft_family_sequential) : NFT_OK;
}
