/* nn.Sequential, and two of them called features and classifier, as in torchvision's VGG: layers and norms in
 * the order of their numbers, each feeding the next. */
#include "io/families/families.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_CAPACITY 256
#define MOST_MODULES 4096

/* A module, NAME of NAME.weight, relative to the prefix. */
typedef struct sequential_module {
    char name[NAME_CAPACITY];
    const nft_entry *weight; /* NULL: a norm that has only statistics */
} sequential_module;

/* The layers that were read so far. */
typedef struct layer_sequence {
    nft_family *family;
    const sequential_module *last; /* of all that have weights of two dimensions or more */
    int64_t axis;                  /* -1 before the first layer */
    bool was_conv;
} layer_sequence;

static int stage_of(const char *name)
{
    if (!strncmp(name, "classifier.", strlen("classifier.")))
        return 1;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const sequential_module *p = a, *q = b;
    int stage = stage_of(p->name) - stage_of(q->name);
    return stage ? stage : nft_compare_names(p->name, q->name);
}

/* "0", "net.3", "features.4": a number with at most one word before it. */
static bool is_numbered(const char *name)
{
    const char *dot = strrchr(name, '.'), *number = dot ? dot + 1 : name;
    return *number && strspn(number, "0123456789") == strlen(number);
}

static bool add_module(sequential_module *modules, int64_t *count, const nft_family *family,
                       const nft_entry *entry)
{
    const char *name = entry->name + strlen(family->prefix), *dot = strrchr(name, '.');
    bool is_weight = dot && !strcmp(dot, ".weight");
    if (!dot || (!is_weight && strcmp(dot, ".running_mean") != 0))
        return true;
    if (*count == MOST_MODULES || dot - name >= NAME_CAPACITY)
        return false;
    sequential_module *module = &modules[*count];
    snprintf(module->name, sizeof module->name, "%.*s", (int)(dot - name), name);
    module->weight = nft_family_find(family, "%s.weight", module->name);
    *count += is_weight || !module->weight;
    return is_numbered(module->name);
}

static int64_t rank_of(const nft_family *family, const nft_entry *weight)
{
    return weight ? weight->rank - family->leading : 1;
}

static void add_layer(layer_sequence *sequence, const sequential_module *module)
{
    nft_family *family = sequence->family;
    const nft_entry *weight = module->weight;
    int64_t out = nft_family_size(family, weight, 0), in = nft_family_size(family, weight, 1);
    bool is_conv = rank_of(family, weight) > 2;
    if (sequence->axis < 0)
        sequence->axis = nft_family_axis(family, in, true, "inputs");
    if (family->status)
        return;
    int64_t given = family->axes[sequence->axis].neurons;
    if (is_conv && in == 1 && out == given && given > 1 && module != sequence->last) {
        nft_family_layer(family, sequence->axis, -1, "%s", module->name);
        sequence->was_conv = true;
        return;
    }
    bool fits = in == given || (sequence->was_conv && !is_conv && given && in % given == 0);
    if (!fits && out == given)
        nft_family_fail(family, "'%s' looks transposed: its first dimension is %" PRId64 ", the inputs",
                        weight->name, out);
    else if (!fits && is_conv && in && given % in == 0)
        nft_family_fail(family, "'%s' is a grouped convolution of %" PRId64 " groups", weight->name,
                        given / in);
    else if (!fits)
        nft_family_fail(family, "'%s' takes %" PRId64 " inputs where %" PRId64 " are given", weight->name, in,
                        given);
    int64_t axis =
        nft_family_axis(family, out, module == sequence->last, module == sequence->last ? "outputs" : "n");
    if (in == given) {
        nft_family_layer(family, axis, sequence->axis, "%s", module->name);
    } else if (!family->status) {
        nft_family_add_flattened(family, weight, axis, sequence->axis, in / given);
        nft_family_add(family, nft_family_find(family, "%s.bias", module->name), &axis, 1);
    }
    sequence->axis = axis;
    sequence->was_conv = is_conv;
}

static void add_modules(nft_family *family, const sequential_module *modules, int64_t count)
{
    layer_sequence sequence = {.family = family, .axis = -1};
    for (int64_t i = 0; i < count; i++)
        if (rank_of(family, modules[i].weight) > 1)
            sequence.last = &modules[i];
    for (int64_t i = 0; i < count && !family->status; i++) {
        if (rank_of(family, modules[i].weight) > 1)
            add_layer(&sequence, &modules[i]);
        else if (sequence.axis >= 0)
            nft_family_norm(family, sequence.axis, "%s", modules[i].name);
        else
            nft_family_fail(family, "it begins with the norm '%s', whose inputs have no layer before them",
                            modules[i].name);
    }
}

void nft_family_sequential(nft_family *family)
{
    sequential_module *modules = nft_allocate_array(MOST_MODULES, sizeof *modules);
    int64_t count = 0;
    bool numbered = true;
    if (!modules) {
        family->status = nft_fail_memory("a list of layers", MOST_MODULES * (int64_t)sizeof *modules);
        return;
    }
    for (int64_t i = 0; i < family->file->entry_count && numbered; i++)
        if (!strncmp(family->file->entries[i].name, family->prefix, strlen(family->prefix)))
            numbered = add_module(modules, &count, family, &family->file->entries[i]);
    family->is_none = !numbered;
    qsort(modules, (size_t)count, sizeof *modules, compare);
    if (!family->status && numbered)
        add_modules(family, modules, count);
    nft_release(modules);
}
