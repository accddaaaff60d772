#include "io/several.h"

#include "io/views.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LISTED 12 /* networks in a message */

/* Where a name is cut: "state_dict." "net" "0" "." and the rest. */
typedef struct split_name {
    size_t common, word, digits, inside; /* where the parts begin; `inside` is the name in the network */
    bool has_dot;                        /* between the word and the number */
} split_name;

static bool is_of_module(const nft_entry *entry)
{
    return strchr(entry->name, '.') != NULL;
}

/* Up to a dot, of all names of modules. */
static size_t common_length(const nft_file *file)
{
    const char *first = NULL;
    size_t length = 0;
    for (int64_t i = 0; i < file->entry_count; i++) {
        const char *name = file->entries[i].name;
        if (!is_of_module(&file->entries[i]))
            continue;
        if (!first) {
            first = name;
            length = strlen(name);
        }
        size_t same = 0;
        while (same < length && name[same] == first[same])
            same++;
        length = same;
    }
    while (length && (first[length - 1] != '.' || isdigit((unsigned char)first[length])))
        length--; /* a word before the number is not common to all */
    return length;
}

static bool split(split_name *parts, const char *name, size_t common)
{
    size_t at = common;
    while (isalpha((unsigned char)name[at]) || name[at] == '_')
        at++;
    parts->has_dot = name[at] == '.' && at > common;
    parts->common = common;
    parts->word = at - common;
    parts->digits = at += parts->has_dot;
    at += strspn(name + at, "0123456789");
    parts->inside = at + 1;
    return at > parts->digits && name[at] == '.';
}

/* The word in front of the numbers is one for networks, and cannot be one for layers. */
static bool names_networks(const char *name, const split_name *parts)
{
    static const char *const words[] = {"net", "network", "model", "member", "siren", "inr", "cnn", "mlp"};
    const char *word = name + parts->common;
    size_t length = parts->word;
    while (length && word[length - 1] == '_')
        length--;
    bool plural = length > 1 && word[length - 1] == 's';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == length - plural && !strncmp(word, words[i], length - plural))
            return plural || !parts->has_dot;
    return length == strlen("ensemble") && !strncmp(word, "ensemble", length);
}

/* The networks of a file: those with the prefix of entry firsts[i]. */
typedef struct several {
    nft_file *file;
    size_t common;
    int64_t *firsts; /* the first entry of each network */
    int64_t count;
    int64_t entries; /* of each network */
} several;

static bool same_network(const nft_file *file, size_t common, int64_t a, int64_t b)
{
    split_name first, second;
    const char *x = file->entries[a].name, *y = file->entries[b].name;
    return split(&first, x, common) && split(&second, y, common) && first.inside == second.inside &&
           !strncmp(x, y, first.inside);
}

static bool is_weight(const char *name)
{
    size_t length = strlen(name);
    return length > 7 && !strcmp(name + length - 7, ".weight");
}

/* Networks that follow each other in natural order have their entries next to each other. */
static bool find_networks(several *found)
{
    const nft_file *file = found->file;
    for (int64_t i = 0; i < file->entry_count; i++) {
        split_name parts;
        if (!is_of_module(&file->entries[i]))
            continue;
        if (!split(&parts, file->entries[i].name, found->common))
            return false;
        int64_t last = found->count ? found->firsts[found->count - 1] : -1;
        if (!found->count || !same_network(file, found->common, last, i))
            found->firsts[found->count++] = i;
    }
    return found->count > 1;
}

static const nft_entry *entry_of(const several *found, int64_t network, int64_t i)
{
    return &found->file->entries[found->firsts[network] + i];
}

static const char *inner_name(const several *found, const nft_entry *entry)
{
    split_name parts;
    return split(&parts, entry->name, found->common) ? entry->name + parts.inside : entry->name;
}

static bool is_alike(const several *found, int64_t network)
{
    for (int64_t i = 0; i < found->entries; i++) {
        if (found->firsts[network] + i >= found->file->entry_count)
            return false;
        const nft_entry *a = entry_of(found, 0, i), *b = entry_of(found, network, i);
        if (!same_network(found->file, found->common, found->firsts[network], found->firsts[network] + i) ||
            strcmp(inner_name(found, a), inner_name(found, b)) != 0 || a->type != b->type ||
            a->rank != b->rank || memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) != 0 ||
            a->rank == NFT_ARRAY_MAX_RANK)
            return false;
    }
    return true;
}

static bool has_two_layers(const several *found, int64_t network)
{
    int64_t layers = 0;
    for (int64_t i = found->firsts[network];
         i < found->file->entry_count && same_network(found->file, found->common, found->firsts[network], i);
         i++)
        layers += is_weight(found->file->entries[i].name);
    return layers > 1;
}

/* Networks that differ, if their names say that they are networks. */
static nft_status refuse_different(const several *found)
{
    nft_text list = {0};
    split_name parts;
    for (int64_t n = 0; n < found->count; n++) {
        const char *name = found->file->entries[found->firsts[n]].name;
        if (!split(&parts, name, found->common) || !names_networks(name, &parts) ||
            !has_two_layers(found, n)) {
            nft_text_clear(&list);
            return NFT_OK;
        }
        if (n < LISTED)
            nft_text_append(&list, "%s'%.*s'", n ? ", " : "", (int)parts.inside, name);
    }
    nft_status status = nft_fail(
        NFT_ERROR_FORMAT,
        "it holds %" PRId64 " networks that are not alike, %s%s; choose one with nft_load_options.prefix",
        found->count, list.failed ? "…" : list.data, found->count > LISTED ? ", …" : "");
    nft_text_clear(&list);
    return status;
}

/* The number of entries of the only network, if it has at least two layers, or 0. */
static int64_t count_entries(const several *found)
{
    const nft_entry *first = NULL, *last = NULL;
    int64_t count = 0, layers = 0;
    split_name parts;
    while (found->firsts[0] + count < found->file->entry_count &&
           same_network(found->file, found->common, found->firsts[0], found->firsts[0] + count)) {
        const nft_entry *entry = &found->file->entries[found->firsts[0] + count++];
        if (!is_weight(entry->name) || entry->rank < 2)
            continue;
        first = first ? first : entry;
        last = entry;
        layers++;
    }
    if (layers < 2 || !split(&parts, first->name, found->common))
        return 0;
    /* Blocks of one network feed each other. */
    bool may_be_blocks = last->shape[0] == first->shape[1];
    return may_be_blocks && !names_networks(first->name, &parts) ? 0 : count;
}

static bool are_alike(several *found)
{
    found->entries = count_entries(found);
    bool alike = found->entries > 0;
    for (int64_t n = 1; n < found->count && alike; n++)
        alike = is_alike(found, n) &&
                (n + 1 == found->count || found->firsts[n + 1] - found->firsts[n] == found->entries);
    return alike;
}

static nft_status stack_tensor(const several *found, int64_t i, const nft_entry **parts)
{
    nft_status status = NFT_OK;
    for (int64_t n = 0; n < found->count && !status; n++)
        status = nft_views_keep(&parts[n], found->file, entry_of(found, n, i));
    char *name = status ? NULL : nft_copy_text(inner_name(found, entry_of(found, 0, i)));
    if (!status && !name)
        status = nft_fail_memory("a tensor's name", i);
    if (!status)
        status = nft_views_stack(found->file, name, parts, found->count);
    nft_release(name);
    return status;
}

static nft_status stack(const several *found)
{
    int64_t count = found->file->entry_count;
    const nft_entry **parts = nft_allocate_array((size_t)found->count, sizeof *parts);
    bool *removed = nft_allocate_array((size_t)count, sizeof *removed);
    nft_status status = parts && removed ? NFT_OK : nft_fail_memory("a table of tensors", count);
    for (int64_t i = 0; i < count && !status; i++)
        removed[i] = is_of_module(&found->file->entries[i]);
    for (int64_t i = 0; i < found->entries && !status; i++)
        status = stack_tensor(found, i, parts);
    if (!status)
        status = nft_views_finish(found->file, removed);
    nft_release(parts);
    nft_release(removed);
    return status;
}

nft_status nft_several_stack(nft_file *file, bool *stacked)
{
    several found = {.file = file, .common = common_length(file)};
    *stacked = false;
    found.firsts = nft_allocate_array((size_t)file->entry_count, sizeof *found.firsts);
    if (!found.firsts)
        return nft_fail_memory("a table of networks", file->entry_count);
    nft_status status = NFT_OK;
    if (find_networks(&found)) {
        *stacked = are_alike(&found);
        status = *stacked ? stack(&found) : refuse_different(&found);
    }
    nft_release(found.firsts);
    return status;
}
