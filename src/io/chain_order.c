#include "io/chain_order.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define MOST_GROUPS 6 /* with up to this many, every order is tried */

/* Layers that are ordered by numbers: conv1, conv2. */
typedef struct layer_group {
    int64_t first, count;
    int rank; /* by its word: -1 if that is not known */
} layer_group;

typedef struct order_search {
    const nft_ordered_layer *layers;
    layer_group groups[MOST_GROUPS];
    int count;
    int fitting;               /* orders */
    int found[MOST_GROUPS];    /* the last that fits */
    int by_words[MOST_GROUPS]; /* the one in which the ranks of the words rise */
    bool natural_fits, words_fit;
} order_search;

/* Whether the first difference of two names is one of numbers. */
static bool differ_in_numbers(const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    return isdigit((unsigned char)a[i]) && isdigit((unsigned char)b[i])
               ? true
               : (isdigit((unsigned char)a[i]) || isdigit((unsigned char)b[i])) && i > 0 &&
                     isdigit((unsigned char)a[i - 1]);
}

/* Common names of the parts of a network, from its input to its output. */
static int rank_of(const char *word)
{
    static const struct {
        const char *word;
        int rank;
    } words[] = {{"first", 0},  {"input", 0},      {"stem", 0},   {"embed", 0},    {"features", 1},
                 {"conv", 1},   {"encoder", 1},    {"enc", 1},    {"backbone", 1}, {"trunk", 1},
                 {"layers", 2}, {"hidden", 2},     {"middle", 2}, {"decoder", 3},  {"dec", 3},
                 {"fc", 4},     {"classifier", 4}, {"head", 4},   {"last", 4},     {"final", 4},
                 {"output", 4}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if (!strncmp(word, words[i].word, length) && !islower((unsigned char)word[length]))
            return words[i].rank;
    }
    return -1;
}

/* Of all names, up to a dot. */
static size_t common_prefix(const nft_ordered_layer *layers, int64_t count)
{
    size_t length = 0;
    for (size_t i = 0; layers[0].name[i]; i++) {
        for (int64_t k = 1; k < count; k++)
            if (layers[k].name[i] != layers[0].name[i])
                return length;
        if (layers[0].name[i] == '.')
            length = i + 1;
    }
    return length;
}

static bool make_groups(order_search *search, int64_t count)
{
    size_t prefix = common_prefix(search->layers, count);
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || !differ_in_numbers(search->layers[i - 1].name, search->layers[i].name)) {
            if (search->count == MOST_GROUPS)
                return false;
            search->groups[search->count++] =
                (layer_group){.first = i, .rank = rank_of(search->layers[i].name + prefix)};
        }
        search->groups[search->count - 1].count++;
    }
    return true;
}

static bool feeds(const nft_ordered_layer *a, const nft_ordered_layer *b)
{
    return a->out == b->in || (a->is_conv && !b->is_conv && a->out > 0 && b->in % a->out == 0);
}

static bool is_chain(const nft_ordered_layer *layers, const layer_group *group)
{
    for (int64_t i = group->first + 1; i < group->first + group->count; i++)
        if (!feeds(&layers[i - 1], &layers[i]))
            return false;
    return true;
}

static bool group_feeds(const order_search *search, int a, int b)
{
    const layer_group *before = &search->groups[a], *behind = &search->groups[b];
    return feeds(&search->layers[before->first + before->count - 1], &search->layers[behind->first]);
}

static void try_order(order_search *search, const int *order)
{
    bool natural = true, rising = search->groups[order[0]].rank >= 0;
    for (int i = 1; i < search->count; i++) {
        if (!group_feeds(search, order[i - 1], order[i]))
            return;
        rising = rising && search->groups[order[i]].rank > search->groups[order[i - 1]].rank;
    }
    for (int i = 0; i < search->count; i++)
        natural = natural && order[i] == i;
    search->fitting++;
    search->natural_fits |= natural;
    memcpy(search->found, order, sizeof search->found);
    if (rising)
        memcpy(search->by_words, order, sizeof search->by_words);
    search->words_fit |= rising;
}

static void try_orders(order_search *search, int *order, int placed)
{
    if (placed == search->count)
        try_order(search, order);
    for (int i = placed; i < search->count; i++) {
        int other = order[placed];
        order[placed] = order[i];
        order[i] = other;
        try_orders(search, order, placed + 1);
        order[i] = order[placed];
        order[placed] = other;
    }
}

static void list_order(nft_text *text, const order_search *search, const int *order)
{
    int64_t listed = 0;
    for (int i = 0; i < search->count; i++)
        for (int64_t k = 0; k < search->groups[order[i]].count; k++, listed++)
            if (listed < 12)
                nft_text_append(text, "%s%s", listed ? "," : "",
                                search->layers[search->groups[order[i]].first + k].name);
    nft_text_append(text, listed > 12 ? ",…" : "");
}

static nft_status fail_order(const order_search *search)
{
    nft_text list = {0};
    list_order(&list, search, search->found);
    nft_status status =
        nft_fail(NFT_ERROR_FORMAT,
                 "the names of the layers do not tell their order%s: if it is %s, give it in "
                 "nft_load_options.layers; if "
                 "these are several networks, choose one with nft_load_options.prefix",
                 search->fitting > 1 ? ", and several fit" : "", list.failed ? "another" : list.data);
    nft_text_clear(&list);
    return status;
}

/* Separate chains that do not feed each other. */
static nft_status fail_several(const order_search *search)
{
    nft_text list = {0};
    for (int i = 0; i < search->count; i++) {
        const char *name = search->layers[search->groups[i].first].name;
        const char *dot = strrchr(name, '.');
        nft_text_append(&list, "%s'%.*s'", i ? ", " : "", dot ? (int)(dot + 1 - name) : (int)strlen(name),
                        name);
    }
    nft_status status =
        nft_fail(NFT_ERROR_FORMAT, "it looks like %d networks, %s; choose one with nft_load_options.prefix",
                 search->count, list.failed ? "…" : list.data);
    nft_text_clear(&list);
    return status;
}

static bool looks_like_several(const order_search *search)
{
    for (int i = 0; i < search->count; i++)
        if (search->groups[i].count < 2 || !is_chain(search->layers, &search->groups[i]))
            return false;
    return search->count > 1;
}

static nft_status take(int64_t *order, char **note, const order_search *search, const int *groups)
{
    nft_text text = {0};
    int64_t at = 0;
    for (int i = 0; i < search->count; i++)
        for (int64_t k = 0; k < search->groups[groups[i]].count; k++)
            order[at++] = search->groups[groups[i]].first + k;
    nft_text_append(&text, "the words in the names of the layers tell their order, which is taken to be ");
    list_order(&text, search, groups);
    if (text.failed)
        return nft_fail_memory("a note", (int64_t)text.length);
    *note = text.data;
    return NFT_OK;
}

nft_status nft_find_layer_order(int64_t *order, char **note, const nft_ordered_layer *layers, int64_t count)
{
    order_search search = {.layers = layers};
    int groups[MOST_GROUPS] = {0, 1, 2, 3, 4, 5};
    *note = NULL;
    for (int64_t i = 0; i < count; i++)
        order[i] = i;
    if (!make_groups(&search, count) || search.count < 2)
        return NFT_OK;
    for (int i = 0; i < search.count; i++)
        if (!is_chain(layers, &search.groups[i]))
            return NFT_OK; /* the message about the layers says where */
    try_orders(&search, groups, 0);
    if (search.natural_fits && search.fitting == 1)
        return NFT_OK;
    if (search.words_fit)
        return take(order, note, &search, search.by_words);
    if (search.fitting)
        return fail_order(&search);
    return looks_like_several(&search) ? fail_several(&search) : NFT_OK;
}
