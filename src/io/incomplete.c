#include "io/incomplete.h"

#include <inttypes.h>
#include <string.h>

#define LISTED_KINDS 8

static const struct {
    const char *part; /* of a tensor's name */
    const char *message;
} forms[] = {
    {".weight_g",
     "has weight norm, so a layer's weight is not in the file: call remove_weight_norm() before saving"},
    {".parametrizations.weight.original0", "has weight norm, so a layer's weight is not in the file: call "
                                           "parametrize.remove_parametrizations() before saving"},
    {".parametrizations.",
     "is parametrized (spectral norm, for example), so a layer's weight is not in the file: "
     "call parametrize.remove_parametrizations() before saving"},
    {".weight_mask", "is pruned, and its mask is not applied: call prune.remove() before saving"},
    {".weight_u",
     "has spectral norm, so a layer's weight is not in the file: call remove_spectral_norm() before "
     "saving"},
    {".weight_orig",
     "has a weight that is computed when it is used (pruning, spectral norm), so it is not in the "
     "file: call prune.remove() or remove_spectral_norm() before saving"},
    {"lora_A", "is a LoRA adapter, a difference of weights: call merge_and_unload() and save the network"},
    {"lora_down", "is a LoRA adapter, a difference of weights: merge it and save the network"},
};

static nft_status check_form(const char *name)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strstr(name, forms[i].part))
            return nft_fail(NFT_ERROR_FORMAT, "tensor '%s': the network %s", name, forms[i].message);
    return NFT_OK;
}

/* "NAME-00001-of-00002.safetensors" */
static bool is_shard(const char *path)
{
    static const char digits[] = "0123456789";
    const char *of = strstr(path, "-of-");
    for (; of; of = strstr(of + 1, "-of-"))
        if (of - path >= 6 && of[-6] == '-' && strspn(of - 5, digits) == 5 && strspn(of + 4, digits) == 5 &&
            of[9] == '.' && strncmp(of - 5, of + 4, 5) <= 0 && strncmp(of + 4, "00001", 5) != 0)
            return true;
    return false;
}

static bool has_columns(const nft_file *file, const char *name, int64_t rank, int64_t columns)
{
    const nft_entry *entry = nft_file_find(file, name);
    return entry && entry->rank == rank && (!columns || entry->shape[rank - 1] == columns);
}

/* Networks that another program has turned into tokens or graphs. Their tensors cannot be told any more. */
static nft_status check_prepared(const nft_file *file)
{
    if (has_columns(file, "w", 2, 0) && has_columns(file, "m", 2, 0) && has_columns(file, "p", 2, 3))
        return nft_fail(
            NFT_ERROR_FORMAT,
            "it holds the tokens of a network for SANE ('w', 'm' and 'p'), not its tensors: collect "
            "the checkpoints that they were made of, of a zoo with --preset cnn-zoos");
    if (file->entry_count == 2 && nft_file_find(file, "e") && nft_file_find(file, "b"))
        return nft_fail(
            NFT_ERROR_FORMAT,
            "it holds the edges and nodes of a network's graph for DNG ('e' and 'b'), not its tensors: "
            "collect the checkpoints that they were made of, with --preset dng-vit or nfn-sirens");
    return NFT_OK;
}

nft_status nft_refuse_incomplete_layers(const nft_file *file, const char *prefix)
{
    nft_status status = check_prepared(file);
    if (status)
        return status;
    if (is_shard(file->path) && !file->shard_count)
        return nft_fail(NFT_ERROR_FORMAT, "it is one shard of several by its name: open their index, "
                                          "NAME.safetensors.index.json");
    for (int64_t i = 0; i < file->entry_count && !status; i++)
        if (!strncmp(file->entries[i].name, prefix, strlen(prefix)))
            status = check_form(file->entries[i].name);
    return status;
}

static const char *kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && dot[1] ? dot + 1 : name;
}

/* Whether an entry before this one has its kind. */
static bool was_counted(const nft_file *file, const bool *unread, int64_t index)
{
    for (int64_t i = 0; i < index; i++)
        if (unread[i] && !strcmp(kind_of(file->entries[i].name), kind_of(file->entries[index].name)))
            return true;
    return false;
}

nft_status nft_tell_unread(const nft_file *file, const bool *unread)
{
    nft_text list = {0};
    int64_t count = 0, kinds = 0;
    bool is_float = false;
    for (int64_t i = 0; i < file->entry_count; i++) {
        const nft_entry *entry = &file->entries[i];
        int64_t same = 0;
        if (!unread[i])
            continue;
        count++;
        is_float |= nft_type_is_float(entry->type);
        if (kinds >= LISTED_KINDS || was_counted(file, unread, i))
            continue;
        for (int64_t k = i; k < file->entry_count; k++)
            same += unread[k] && !strcmp(kind_of(file->entries[k].name), kind_of(entry->name));
        if (same == 1)
            nft_text_append(&list, "%s'%s'", kinds ? ", " : "", entry->name);
        else
            nft_text_append(&list, "%s%" PRId64 " '%s'", kinds ? ", " : "", same, kind_of(entry->name));
        kinds++;
    }
    nft_status status = list.failed ? nft_fail_memory("a list of tensors", (int64_t)list.length) : NFT_OK;
    if (count && !status)
        nft_log(is_float ? NFT_LOG_WARNING : NFT_LOG_INFO,
                "%s: %" PRId64 " %s of no network and not read: %s%s", file->path, count,
                count == 1 ? "tensor is" : "tensors are", list.data, kinds >= LISTED_KINDS ? ", …" : "");
    nft_text_clear(&list);
    return status;
}
