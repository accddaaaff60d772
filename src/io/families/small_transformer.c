/* Transformers of encoder.{l}, whose attention has separate queries, keys and values. Any text may stand
 * between the number of a block and the last part of a name. Heads are not in the file, so rows of queries,
 * keys and values keep their order. */
#include "io/families/families.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_CAPACITY 256

static bool begins_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), suffix = strlen(end);
    return length >= suffix && !strcmp(text + length - suffix, end);
}

/* The tensor of a block whose name has this end; NULL if there is none. */
static const nft_entry *find_in_block(const nft_family *family, int block, const char *end)
{
    char start[NAME_CAPACITY];
    snprintf(start, sizeof start, "%.200sencoder.%d.", family->prefix, block);
    for (int64_t i = 0; i < family->file->entry_count; i++)
        if (begins_with(family->file->entries[i].name, start) &&
            ends_with(family->file->entries[i].name, end))
            return &family->file->entries[i];
    return NULL;
}

/* A linear layer of a block. */
static void add_part(nft_family *family, int block, const char *part, int64_t out, int64_t in)
{
    char end[NAME_CAPACITY];
    snprintf(end, sizeof end, ".%s.weight", part);
    const nft_entry *weight = find_in_block(family, block, end);
    if (!weight)
        nft_family_fail(family, "block %d has no '%s'", block, part);
    nft_family_add(family, weight, (const int64_t[]){out, in}, 2);
    snprintf(end, sizeof end, ".%s.bias", part);
    nft_family_add(family, find_in_block(family, block, end), &out, 1);
}

static int64_t ordered_axis(nft_family *family, int64_t size, const char *name, int block)
{
    char text[NAME_CAPACITY];
    snprintf(text, sizeof text, "%s%d", name, block);
    return nft_family_axis(family, size, true, text);
}

static void add_block(nft_family *family, int block, int64_t stream)
{
    static const char *const rows[] = {"queries", "keys", "values"};
    const nft_entry *output = find_in_block(family, block, ".out_projection.weight");
    const nft_entry *first = find_in_block(family, block, ".fc1.weight");
    int64_t values = ordered_axis(family, nft_family_size(family, output, 1), "values", block);
    int64_t inner = nft_family_axis(family, nft_family_size(family, first, 0), false, "inner");
    int64_t scores = ordered_axis(
        family, nft_family_size(family, find_in_block(family, block, ".queries.weight"), 0), "scores", block);
    for (int i = 0; i < 3; i++)
        add_part(family, block, rows[i], i < 2 ? scores : values, stream);
    add_part(family, block, "out_projection", stream, values);
    add_part(family, block, "fc1", inner, stream);
    add_part(family, block, "fc2", stream, inner);
}

/* Of the sizes of a tensor, the one that is the stream's; -1 if there is none, or more than one. */
static int64_t stream_dimension(const nft_family *family, const nft_entry *entry, int64_t width)
{
    int64_t found = -1;
    for (int64_t d = 0; d < entry->rank - family->leading; d++)
        if (nft_family_size(family, entry, d) == width) {
            if (found >= 0)
                return -1;
            found = d;
        }
    return found;
}

/* Tables, patches, places and norms: one dimension is the stream, the others keep their order. */
static void add_other(nft_family *family, const nft_entry *entry, int64_t stream)
{
    int64_t width = family->axes[stream].neurons, at = stream_dimension(family, entry, width);
    int64_t axes[NFT_ARRAY_MAX_RANK], rank = entry->rank - family->leading;
    if (at < 0 || rank > NFT_TENSOR_MAX_AXES) {
        nft_family_fail(family, "'%s' has no dimension that is surely its width, %" PRId64, entry->name,
                        width);
        return;
    }
    for (int64_t d = 0; d < rank; d++) {
        char name[NAME_CAPACITY];
        snprintf(name, sizeof name, "%.200s.%" PRId64, entry->name, d);
        bool is_position = d != at && (rank > 2 || nft_family_size(family, entry, d) == 1);
        axes[d] = d == at       ? stream
                  : is_position ? -1
                                : nft_family_axis(family, nft_family_size(family, entry, d), true, name);
    }
    if (!family->status)
        nft_family_add(family, entry, axes, rank);
}

static bool is_of(const nft_family *family, const nft_entry *entry, const char *module)
{
    size_t length = strlen(family->prefix);
    return begins_with(entry->name, family->prefix) && begins_with(entry->name + length, module);
}

/* One linear layer, or fc1 and fc2. */
static void add_classifier(nft_family *family, int64_t stream)
{
    const nft_entry *first = nft_family_find(family, "classifier.fc1.weight");
    const nft_entry *last = nft_family_find(family, first ? "classifier.fc2.weight" : "classifier.weight");
    if (!last) {
        nft_family_fail(family, "it has no '%s'", first ? "classifier.fc2.weight" : "classifier.weight");
        return;
    }
    int64_t classes = nft_family_axis(family, nft_family_size(family, last, 0), true, "classes"), in = stream;
    if (first) {
        in = nft_family_axis(family, nft_family_size(family, first, 0), false, "classifier");
        nft_family_layer(family, in, stream, "classifier.fc1");
    }
    nft_family_layer(family, classes, in, first ? "classifier.fc2" : "classifier");
}

void nft_family_small_transformer(nft_family *family)
{
    const nft_entry *output = find_in_block(family, 0, ".out_projection.weight");
    if (!output) {
        nft_family_fail(family, "it has no 'out_projection.weight'");
        return;
    }
    int64_t stream = nft_family_axis(family, nft_family_size(family, output, 0), false, "stream");
    for (int i = 0; find_in_block(family, i, ".queries.weight"); i++)
        add_block(family, i, stream);
    add_classifier(family, stream);
    for (int64_t i = 0; i < family->file->entry_count && !family->status; i++) {
        const nft_entry *entry = &family->file->entries[i];
        bool is_norm = is_of(family, entry, "encoder.") && entry->rank == family->leading + 1;
        if (!family->taken[i] && nft_type_is_float(entry->type) && entry->rank > family->leading &&
            (is_norm || is_of(family, entry, "embedding.")))
            add_other(family, entry, stream);
    }
}
