#include "io/chain_doubts.h"

#include <inttypes.h>
#include <string.h>

#define LARGEST_COMMON 7 /* edge of filters, nearly always */

/* "embedding", "tok_emb", "wte" as the last part of a name. */
static bool names_embedding(const char *name)
{
    const char *dot = strrchr(name, '.'), *word = dot ? dot + 1 : name;
    size_t length = strlen(word);
    return strstr(word, "embed") || strstr(word, "Embed") || !strcmp(word, "wte") || !strcmp(word, "wpe") ||
           !strcmp(word, "emb") || (length > 4 && !strcmp(word + length - 4, "_emb"));
}

/* A few odd channels and a filter that is larger, or no square: rather the other way round. */
static bool looks_channels_last(const int64_t *shape)
{
    return shape[0] == shape[1] && shape[0] % 2 == 1 && shape[0] > 1 && shape[0] <= LARGEST_COMMON &&
           (shape[2] != shape[3] || shape[2] > LARGEST_COMMON);
}

/* Transposed convolutions that double a map have even filters. */
static bool may_be_transposed(const int64_t *shape)
{
    return shape[0] == shape[1] && shape[0] > 1 && shape[2] == shape[3] && shape[2] % 2 == 0;
}

nft_status nft_doubt_layer(nft_text *note, const char *name, const int64_t *shape, int64_t rank,
                           bool has_bias)
{
    if (rank == 2 && !has_bias && names_embedding(name))
        return nft_fail(
            NFT_ERROR_FORMAT,
            "layer '%s' is an embedding by its name, and its first axis is words: this is no chain "
            "of layers; describe it by a space of tensors and axes in nft_load_options.space, or, if "
            "it is a linear layer, name the layers in nft_load_options.layers",
            name);
    if (rank == 4 && looks_channels_last(shape))
        return nft_fail(
            NFT_ERROR_FORMAT,
            "the weight of layer '%s', (%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
            "), looks like (height, width, in, out) of Keras: expected (out, in, height, width); if it "
            "is that, name the layers in nft_load_options.layers",
            name, shape[0], shape[1], shape[2], shape[3]);
    if (rank == 4 && may_be_transposed(shape) && !note->length)
        nft_text_append(
            note,
            "layer '%s' is read as a convolution, but a transposed convolution of as many inputs as "
            "outputs has the same shape: if it is one, give the network's space",
            name);
    return note->failed ? nft_fail_memory("a note", (int64_t)strlen(name)) : NFT_OK;
}
