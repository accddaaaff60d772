/* The table of modules: a new module is one new file and one line here. */
#include "base/nearest.h"
#include "modules/shared/module.h"

#include <string.h>

#define MODULES(X)                                                                                           \
    X(gaussian_fourier)                                                                                      \
    X(io_sinusoidal)                                                                                         \
    X(learned_pos_embedding)                                                                                 \
    X(place_embedding)                                                                                       \
    X(siren_phases)                                                                                          \
    X(siren_probes)                                                                                          \
    X(normalize)                                                                                             \
    X(signed_log)                                                                                            \
    X(learned_scale)                                                                                         \
    X(pointwise)                                                                                             \
    X(lift)                                                                                                  \
    X(unlift)                                                                                                \
    X(simple_layer_norm)                                                                                     \
    X(param_layer_norm)                                                                                      \
    X(np_attention)                                                                                          \
    X(nft_block)                                                                                             \
    X(np_linear)                                                                                             \
    X(hnp_linear)                                                                                            \
    X(residual)                                                                                              \
    X(channel_dropout)                                                                                       \
    X(add_input)                                                                                             \
    X(message_passing)                                                                                       \
    X(np_pool)                                                                                               \
    X(hnp_pool)                                                                                              \
    X(role_pool)                                                                                             \
    X(stat_featurizer)                                                                                       \
    X(role_statistics)                                                                                       \
    X(flatten_weights)                                                                                       \
    X(unflatten_weights)                                                                                     \
    X(cross_attn_encoder)                                                                                    \
    X(cross_attn_decoder)                                                                                    \
    X(perceiver)                                                                                             \
    X(linear)                                                                                                \
    X(layer_norm)                                                                                            \
    X(token_embedding)                                                                                       \
    X(mean_tokens)                                                                                           \
    X(select_token)                                                                                          \
    X(flatten_tokens)                                                                                        \
    X(unflatten_tokens)                                                                                      \
    X(transformer_encoder_layer)                                                                             \
    X(dropout)                                                                                               \
    X(relu)                                                                                                  \
    X(gelu)                                                                                                  \
    X(sigmoid)                                                                                               \
    X(tanh)                                                                                                  \
    X(sine)

#define DECLARE(name) extern const nft_module_class nft_module_##name;
MODULES(DECLARE)

#define ADDRESS(name) &nft_module_##name,
static const nft_module_class *const classes[] = {MODULES(ADDRESS)};

#define NAME(name) #name,
static const char *const names[] = {MODULES(NAME)};

#define MODULE_COUNT ((int)(sizeof classes / sizeof *classes))

const nft_module_class *nft_module_find(const char *type)
{
    for (int i = 0; i < MODULE_COUNT; i++)
        if (!strcmp(classes[i]->type, type))
            return classes[i];
    return NULL;
}

const nft_module_class *nft_module_at(int index)
{
    return index < MODULE_COUNT ? classes[index] : NULL;
}

const char *nft_module_nearest(const char *type)
{
    int nearest = nft_nearest(type, names, MODULE_COUNT);
    return nearest < 0 ? NULL : names[nearest];
}
