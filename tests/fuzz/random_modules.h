/* Bytes to the modules of a small valid model, and its symmetry by the theory. Every byte is a choice. Behind
 * the last byte every choice is the first. */
#ifndef NFT_FUZZ_RANDOM_MODULES_H
#define NFT_FUZZ_RANDOM_MODULES_H

#include "nft/nft.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST_CHANNELS 14
#define MOST_DEPTH 2 /* of modules inside modules */

typedef struct random_bytes {
    const uint8_t *next;
    size_t left;
} random_bytes;

/* A whole number in least … most. */
static inline int64_t choose(random_bytes *bytes, int64_t least, int64_t most)
{
    uint8_t byte = 0;
    if (bytes->left) {
        byte = *bytes->next++;
        bytes->left--;
    }
    return least + byte % (most - least + 1);
}

static inline const char *choose_boolean(random_bytes *bytes)
{
    return choose(bytes, 0, 1) ? "true" : "false";
}

/* The effect of a permutation of hidden neurons on a value. */
typedef enum symmetry {
    PERMUTED, /* the same to it: features, or the tokens of flattened features */
    KEPT,     /* nothing */
    BROKEN    /* something that nobody promises: a module belongs to single entries of the tensors */
} symmetry;

typedef struct random_model {
    char text[16384]; /* JSON */
    size_t length;
    int64_t layers, inputs, entries; /* of the space; weights and biases of one network */
    bool flat;                       /* one position in every layer */
    bool linear;                     /* no layer is a convolution */
    nft_module_info input;
    int32_t kind; /* of the value that arrives at the next module: NFT_VALUE_… */
    int64_t tokens, channels;
    symmetry symmetry;
    int depth; /* of modules inside modules: these keep kind and channels */
} random_model;

static inline void add_text(random_model *m, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

static inline void add_text(random_model *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(m->text + m->length, sizeof m->text - m->length, format, arguments);
    va_end(arguments);
    if (added < 0 || (m->length += (size_t)added) >= sizeof m->text)
        abort();
}

/* Adds `"key": value`, the value as JSON. */
static inline void add_value(random_model *m, const char *key, const char *value)
{
    add_text(m, ", \"%s\": %s", key, value);
}

static inline void add_name(random_model *m, const char *key, const char *name)
{
    add_text(m, ", \"%s\": \"%s\"", key, name);
}

static inline void add_number(random_model *m, const char *key, int64_t number)
{
    add_text(m, ", \"%s\": %" PRId64, key, number);
}

/* --- modules: each adds itself, if it fits the value before it, without the brace that ends it --- */

typedef bool add_module(random_model *m, random_bytes *bytes);

static inline bool begin(random_model *m, const char *type)
{
    add_text(m, "{\"type\": \"%s\"", type);
    return true;
}

static inline bool are_features(const random_model *m)
{
    return m->kind == NFT_VALUE_FEATURES;
}

/* Weights as they enter, of networks of two coordinates. */
static inline bool are_raw_sirens(const random_model *m)
{
    return are_features(m) && !m->depth && m->channels == 1 && m->linear && m->flat && m->inputs == 2;
}

static inline bool are_tokens(const random_model *m)
{
    return m->kind == NFT_VALUE_TOKENS;
}

/* Channels of a module that may change them. */
static inline int64_t choose_channels(const random_model *m, random_bytes *bytes)
{
    return m->depth ? m->channels : choose(bytes, 1, 8);
}

static inline int64_t choose_heads(const random_model *m, random_bytes *bytes)
{
    int64_t heads = choose(bytes, 1, m->channels < 4 ? m->channels : 4);
    while (m->channels % heads)
        heads--;
    return heads;
}

static inline const char *choose_scale(random_bytes *bytes)
{
    static const char *const scales[] = {"1", "0.1", "0.5", "3"};
    return scales[choose(bytes, 0, 3)];
}

static inline const char *choose_probability(random_bytes *bytes)
{
    static const char *const probabilities[] = {"0", "0.1", "0.5", "0.9"};
    return probabilities[choose(bytes, 0, 3)];
}

static inline const char *choose_function(random_bytes *bytes)
{
    static const char *const functions[] = {"relu", "gelu", "sigmoid", "tanh", "sine"};
    return functions[choose(bytes, 0, 4)];
}

static inline bool add_gaussian_fourier(random_model *m, random_bytes *bytes)
{
    if (!are_features(m) || m->depth)
        return false;
    int64_t size = choose(bytes, 1, 5);
    m->channels = 2 * size;
    begin(m, "gaussian_fourier");
    add_number(m, "mapping_size", size);
    add_value(m, "scale", choose_scale(bytes));
    return true;
}

static inline bool add_io_sinusoidal(random_model *m, random_bytes *bytes)
{
    if (!are_features(m) || m->depth || m->channels > MOST_CHANNELS - 5)
        return false;
    int64_t bands = choose(bytes, 1, 2);
    m->channels += 2 * bands + 1;
    begin(m, "io_sinusoidal");
    add_number(m, "num_bands", bands);
    add_number(m, "max_freq", choose(bytes, 1, 12));
    add_value(m, "enc_layers", choose_boolean(bytes));
    return true;
}

static inline bool add_learned_pos_embedding(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_features(m) && begin(m, "learned_pos_embedding");
}

static inline bool add_place_embedding(random_model *m, random_bytes *bytes)
{
    if (!are_features(m))
        return false;
    begin(m, "place_embedding");
    add_number(m, "num_bands", choose(bytes, 1, 3));
    return true;
}

/* A high frequency would magnify the rounding of a permuted network. */
static inline bool add_siren_phases(random_model *m, random_bytes *bytes)
{
    if (!are_raw_sirens(m))
        return false;
    bool even = choose(bytes, 0, 1);
    begin(m, "siren_phases");
    add_value(m, "omega", choose_scale(bytes));
    add_name(m, "form", even ? "even" : "plain");
    m->channels = even ? 2 : 3;
    return true;
}

static inline bool add_signed_log(random_model *m, random_bytes *bytes)
{
    static const char *const roles[] = {"[\"linear\", \"bias\"]", "[\"conv\"]", "[]"};
    if (!are_features(m))
        return false;
    begin(m, "signed_log");
    add_value(m, "roles", roles[choose(bytes, 0, 2)]);
    return true;
}

/* Per weight too: the statistics of a model that is not trained are the same for all entries. */
static inline bool add_normalize(random_model *m, random_bytes *bytes)
{
    if (!are_features(m))
        return false;
    begin(m, "normalize");
    add_name(m, "per", choose(bytes, 0, 1) ? "weight" : "tensor");
    return true;
}

static inline bool add_learned_scale(random_model *m, random_bytes *bytes)
{
    if (!are_features(m))
        return false;
    begin(m, "learned_scale");
    add_value(m, "init_scale", choose_scale(bytes));
    return true;
}

static inline bool add_pointwise(random_model *m, random_bytes *bytes)
{
    if (!are_features(m))
        return false;
    m->channels = choose_channels(m, bytes);
    begin(m, "pointwise");
    add_number(m, "out_channels", m->channels);
    return true;
}

static inline bool add_simple_layer_norm(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_features(m) && m->channels > 1 && begin(m, "simple_layer_norm");
}

static inline bool add_param_layer_norm(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_features(m) && m->flat && m->layers > 1 && begin(m, "param_layer_norm");
}

/* Each term is left out now and then. */
/* Whether axes may attend in forward order. */
static inline bool add_attention_options(random_model *m, random_bytes *bytes)
{
    add_number(m, "num_heads", choose_heads(m, bytes));
    add_value(m, "dropout", choose_probability(bytes));
    bool shared = m->flat && choose(bytes, 0, 1), crosses = choose(bytes, 0, 3) != 3;
    add_value(m, "share_projections", shared ? "true" : "false");
    add_value(m, "ablate_crossterm", crosses ? "false" : "true");
    add_value(m, "ablate_diagonalterm", choose(bytes, 0, 3) == 3 ? "true" : "false");
    return shared && crosses;
}

static inline bool add_np_attention(random_model *m, random_bytes *bytes)
{
    if (!are_features(m))
        return false;
    begin(m, "np_attention");
    add_attention_options(m, bytes);
    return true;
}

static inline bool add_nft_block(random_model *m, random_bytes *bytes)
{
    if (!are_features(m) || m->channels < 2)
        return false;
    begin(m, "nft_block");
    add_number(m, "ff_factor", choose(bytes, 1, 3));
    if (add_attention_options(m, bytes))
        add_name(m, "order", choose(bytes, 0, 1) ? "forward" : "together");
    return true;
}

static inline bool add_np_linear(random_model *m, random_bytes *bytes)
{
    if (!are_features(m))
        return false;
    m->channels = choose_channels(m, bytes);
    begin(m, "np_linear");
    add_number(m, "out_channels", m->channels);
    add_value(m, "io_embed", choose_boolean(bytes));
    add_name(m, "init", choose(bytes, 0, 1) ? "kaiming_normal" : "pytorch_default");
    return true;
}

static inline bool add_hnp_linear(random_model *m, random_bytes *bytes)
{
    if (!are_features(m) || m->layers < 2)
        return false;
    m->channels = choose_channels(m, bytes);
    begin(m, "hnp_linear");
    add_number(m, "out_channels", m->channels);
    return true;
}

static inline bool add_function(random_model *m, random_bytes *bytes)
{
    return begin(m, choose_function(bytes));
}

static inline bool add_dropout(random_model *m, random_bytes *bytes)
{
    begin(m, are_features(m) && choose(bytes, 0, 1) ? "channel_dropout" : "dropout");
    add_value(m, "p", choose_probability(bytes));
    return true;
}

static inline bool add_add_input(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_features(m) && m->channels == m->input.channels && begin(m, "add_input");
}

static inline void add_any_module(random_model *m, random_bytes *bytes);

static inline bool add_residual(random_model *m, random_bytes *bytes)
{
    if (!are_features(m) || m->depth == MOST_DEPTH)
        return false;
    begin(m, "residual");
    add_name(m, "activation", choose_function(bytes));
    add_value(m, "dropout", choose_probability(bytes));
    m->depth++;
    add_text(m, ", \"base\": ");
    add_any_module(m, bytes);
    if (choose(bytes, 0, 2)) {
        add_text(m, ", \"norm\": ");
        add_any_module(m, bytes);
    }
    m->depth--;
    return true;
}

static inline bool become(random_model *m, int32_t kind, int64_t tokens, int64_t channels, symmetry kept)
{
    m->kind = kind;
    m->tokens = tokens;
    m->channels = channels;
    m->symmetry = m->symmetry == BROKEN ? BROKEN : kept;
    return true;
}

static inline bool add_siren_probes(random_model *m, random_bytes *bytes)
{
    if (!are_raw_sirens(m))
        return false;
    int64_t probes = choose(bytes, 1, 5);
    bool outputs = choose(bytes, 0, 1);
    begin(m, "siren_probes");
    add_number(m, "num_probes", probes);
    add_number(m, "generator", choose(bytes, 0, 3));
    add_value(m, "omega", choose_scale(bytes));
    add_name(m, "form", outputs ? "outputs" : "features");
    if (outputs)
        return become(m, NFT_VALUE_VECTOR, 0, probes, KEPT);
    m->channels = 1 + probes;
    return true;
}

static inline bool add_message_passing(random_model *m, random_bytes *bytes)
{
    if (!are_features(m) || m->depth)
        return false;
    int64_t channels = choose(bytes, 1, 5);
    begin(m, "message_passing");
    add_number(m, "out_channels", channels);
    add_name(m, "activation", choose_function(bytes));
    return become(m, NFT_VALUE_VECTOR, 0, channels, KEPT);
}

/* The size of a pool's vector is a multiple of the channels, except that of role_statistics: a count and
 * seven numbers of each channel, for each of 8 roles. unflatten_tokens chooses a divisor. */
static inline bool add_pool(random_model *m, random_bytes *bytes)
{
    static const char *const pools[] = {"np_pool", "hnp_pool", "stat_featurizer", "role_pool",
                                        "role_statistics"};
    if (!are_features(m) || m->depth)
        return false;
    int64_t pool = choose(bytes, 0, 4);
    begin(m, pools[pool]);
    return become(m, NFT_VALUE_VECTOR, 0, pool == 4 ? 8 * (1 + 7 * m->channels) : m->channels, KEPT);
}

static inline bool add_flatten_weights(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_features(m) && !m->depth && m->flat && begin(m, "flatten_weights") &&
           become(m, NFT_VALUE_TOKENS, m->entries, m->channels, PERMUTED);
}

static inline bool add_cross_attn_encoder(random_model *m, random_bytes *bytes)
{
    if (!are_features(m) || m->depth || !m->flat)
        return false;
    int64_t latents = choose(bytes, 1, 5);
    begin(m, "cross_attn_encoder");
    add_number(m, "num_latents", latents);
    return become(m, NFT_VALUE_TOKENS, latents, m->channels, KEPT);
}

/* Every entry has its own embedding. */
static inline bool add_cross_attn_decoder(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_tokens(m) && m->flat && begin(m, "cross_attn_decoder") &&
           become(m, NFT_VALUE_FEATURES, 0, m->channels, BROKEN);
}

static inline bool add_unflatten_weights(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_tokens(m) && m->flat && m->tokens == m->entries && begin(m, "unflatten_weights") &&
           become(m, NFT_VALUE_FEATURES, 0, m->channels, m->symmetry == PERMUTED ? PERMUTED : BROKEN);
}

static inline bool add_perceiver(random_model *m, random_bytes *bytes)
{
    if (!are_tokens(m))
        return false;
    int64_t latents = choose(bytes, 1, 5), width = choose(bytes, 1, 6);
    begin(m, "perceiver");
    add_number(m, "num_latents", latents);
    add_number(m, "latent_dim", width);
    add_number(m, "depth", choose(bytes, 1, 2));
    add_number(m, "cross_heads", choose(bytes, 1, 2));
    add_number(m, "cross_dim_head", choose(bytes, 1, 4));
    add_number(m, "latent_heads", choose(bytes, 1, 2));
    add_number(m, "latent_dim_head", choose(bytes, 1, 4));
    add_number(m, "self_per_cross_attn", choose(bytes, 0, 2));
    add_value(m, "dropout", choose_probability(bytes));
    return become(m, NFT_VALUE_TOKENS, latents, width, KEPT);
}

static inline bool add_linear(random_model *m, random_bytes *bytes)
{
    if (are_features(m))
        return false;
    m->channels = choose(bytes, 1, 8);
    begin(m, "linear");
    add_number(m, "out_features", m->channels);
    return true;
}

static inline bool add_layer_norm(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return !are_features(m) && begin(m, "layer_norm");
}

/* A module that tells tokens apart by their place keeps only the symmetry of values that no permutation
 * moves. */
static inline symmetry of_places(const random_model *m)
{
    return m->symmetry == KEPT ? KEPT : BROKEN;
}

static inline bool add_token_embedding(random_model *m, random_bytes *bytes)
{
    if (!are_tokens(m))
        return false;
    begin(m, "token_embedding");
    add_number(m, "max_tokens", m->tokens + choose(bytes, 0, 2));
    return become(m, NFT_VALUE_TOKENS, m->tokens, m->channels, of_places(m));
}

static inline bool add_transformer_encoder_layer(random_model *m, random_bytes *bytes)
{
    if (!are_tokens(m))
        return false;
    begin(m, "transformer_encoder_layer");
    add_number(m, "num_heads", choose_heads(m, bytes));
    add_number(m, "dim_feedforward", choose(bytes, 1, 6));
    add_value(m, "dropout", choose_probability(bytes));
    return true;
}

static inline bool add_mean_tokens(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_tokens(m) && begin(m, "mean_tokens") && become(m, NFT_VALUE_VECTOR, 0, m->channels, KEPT);
}

static inline bool add_select_token(random_model *m, random_bytes *bytes)
{
    if (!are_tokens(m))
        return false;
    begin(m, "select_token");
    add_number(m, "index", choose(bytes, 0, m->tokens - 1));
    return become(m, NFT_VALUE_VECTOR, 0, m->channels, of_places(m));
}

static inline bool add_flatten_tokens(random_model *m, random_bytes *bytes)
{
    (void)bytes;
    return are_tokens(m) && begin(m, "flatten_tokens") &&
           become(m, NFT_VALUE_VECTOR, 0, m->tokens * m->channels, of_places(m));
}

static inline bool add_unflatten_tokens(random_model *m, random_bytes *bytes)
{
    if (m->kind != NFT_VALUE_VECTOR)
        return false;
    int64_t tokens = choose(bytes, 1, 4);
    while (m->channels % tokens)
        tokens--;
    begin(m, "unflatten_tokens");
    add_number(m, "tokens", tokens);
    return become(m, NFT_VALUE_TOKENS, tokens, m->channels / tokens, KEPT);
}

/* The chosen module, or the first after it that fits: some do everywhere. */
static inline void add_any_module(random_model *m, random_bytes *bytes)
{
    static add_module *const modules[] = {
        add_nft_block,         add_np_attention,
        add_np_linear,         add_hnp_linear,
        add_pointwise,         add_gaussian_fourier,
        add_io_sinusoidal,     add_learned_pos_embedding,
        add_normalize,         add_learned_scale,
        add_simple_layer_norm, add_param_layer_norm,
        add_residual,          add_add_input,
        add_dropout,           add_pool,
        add_flatten_weights,   add_cross_attn_encoder,
        add_perceiver,         add_linear,
        add_layer_norm,        add_transformer_encoder_layer,
        add_unflatten_weights, add_mean_tokens,
        add_token_embedding,   add_select_token,
        add_flatten_tokens,    add_cross_attn_decoder,
        add_place_embedding,   add_signed_log,
        add_siren_phases,      add_siren_probes,
        add_message_passing,   add_unflatten_tokens,
        add_function,
    };
    const int64_t count = sizeof modules / sizeof *modules;
    for (int64_t i = choose(bytes, 0, count - 1); !modules[i](m, bytes);)
        i = (i + 1) % count;
    add_text(m, "}");
}

#endif
