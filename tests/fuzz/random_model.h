/* Bytes to the configuration of a small valid model. */
#ifndef NFT_FUZZ_RANDOM_MODEL_H
#define NFT_FUZZ_RANDOM_MODEL_H

#include "fuzz/random_modules.h"

#define MOST_LAYERS 4
#define MOST_MODULES 7

/* Neurons of a layer: few, or enough that two such layers have more weights than one piece of work. */
static inline int64_t choose_width(random_bytes *bytes)
{
    static const int64_t widths[] = {3, 1, 2, 4, 5, 6, 12};
    return widths[choose(bytes, 0, 6)];
}

/* An MLP, or convolutions and then linear layers. */
static inline void add_space(random_model *m, random_bytes *bytes)
{
    int64_t convolutions = choose(bytes, 0, 2), in = choose(bytes, 1, 3);
    m->layers = choose(bytes, 1, MOST_LAYERS);
    convolutions = convolutions == 2 ? choose(bytes, 1, m->layers) : 0;
    m->inputs = in;
    m->flat = true;
    m->linear = convolutions == 0;
    add_text(m, "\"space\": {\"layers\": [");
    for (int64_t i = 0; i < m->layers; i++) {
        int64_t out = choose_width(bytes), height = 1, width = 1;
        if (i < convolutions) {
            height = choose(bytes, 1, 3);
            width = choose(bytes, 1, 3);
            add_text(m, "%s{\"type\": \"conv2d\", \"kernel\": [%" PRId64 ", %" PRId64 "], ", i ? ", " : "",
                     height, width);
        } else {
            if (convolutions && i == convolutions)
                width = choose(bytes, 1, 4);
            add_text(m, "%s{\"type\": \"linear\", \"positions\": %" PRId64 ", ", i ? ", " : "", width);
        }
        add_text(m, "\"in\": %" PRId64 ", \"out\": %" PRId64 "}", in, out);
        m->flat = m->flat && height * width == 1;
        m->entries += out * (in * height * width + 1);
        in = out;
    }
    m->channels = choose(bytes, 1, 5);
    add_text(m, "]}, \"in_channels\": %" PRId64 ", ", m->channels);
}

static inline void add_token_input(random_model *m, random_bytes *bytes)
{
    m->kind = NFT_VALUE_TOKENS;
    m->symmetry = KEPT;
    m->tokens = choose(bytes, 1, 20);
    m->channels = choose(bytes, 1, 6);
    add_text(m, "\"input\": {\"type\": \"tokens\", \"tokens\": %" PRId64 ", \"channels\": %" PRId64 "}, ",
             m->tokens, m->channels);
}

static inline bool is_square(int64_t number)
{
    return number == 1 || number == 4;
}

static inline void add_decoder(random_model *m, random_bytes *bytes)
{
    bool joint = choose(bytes, 0, 1);
    add_text(m, ", \"decoder\": ");
    begin(m, "hypernetwork");
    add_name(m, "style", joint ? "joint" : "per_tensor");
    add_number(m, "hidden_size", choose(bytes, 1, 5));
    add_number(m, "hidden_layers", choose(bytes, 1, 2));
    add_value(m, "additive", choose_boolean(bytes));
    add_number(m, "omega", choose(bytes, 1, 30));
    add_number(m, "height", choose(bytes, 1, 5));
    add_number(m, "width", choose(bytes, 1, 5));
    add_text(m, "}");
}

static inline void make_random_model(random_model *m, random_bytes *bytes)
{
    *m = (random_model){.kind = NFT_VALUE_FEATURES, .symmetry = PERMUTED};
    add_text(m, "{\"format_version\": 1, ");
    if (choose(bytes, 0, 15) == 15)
        add_token_input(m, bytes);
    else
        add_space(m, bytes);
    m->input = (nft_module_info){.output = m->kind, .tokens = m->tokens, .channels = m->channels};
    add_text(m, "\"modules\": [");
    for (int64_t left = choose(bytes, 1, MOST_MODULES); left > 0; left--) {
        add_any_module(m, bytes);
        add_text(m, "%s", left > 1 ? ", " : "");
    }
    if (are_tokens(m) && m->symmetry == PERMUTED) {
        add_text(m, ", ");
        add_unflatten_weights(m, bytes);
        add_text(m, "}");
    }
    add_text(m, "]");
    if (are_tokens(m) && m->linear && m->flat && m->inputs == 2 && is_square(m->tokens) &&
        choose(bytes, 0, 1))
        add_decoder(m, bytes);
    add_text(m, "}");
}

#endif
