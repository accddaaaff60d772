/* The linear layer that is equivariant to permutations of every axis, inputs and outputs included (Zhou et
 * al., "Permutation Equivariant Neural Functionals", arXiv 2302.14040): each tensor is mapped by itself and
 * by the means over the axes that it shares with others. */
#include "modules/weights/np_linear.h"
#include "modules/sequence/tokens.h"
#include "modules/weights/io_embed.h"

#include <inttypes.h>

/* m(a), the means of everything that axis a indexes, a row for each neuron. */
static void list_axis(nft_linear_terms *terms, int64_t a)
{
    const nft_axis *axis = &terms->space->axes[a];
    nft_terms_input(terms);
    for (int64_t i = 0; i < axis->side_count; i++) {
        const nft_axis_side *side = &axis->sides[i];
        nft_dims channels = terms->tensors[side->tensor].channels;
        if (!(channels & NFT_DIM(side->dimension)))
            nft_terms_view(terms, side->tensor, NFT_DIM(side->dimension), channels);
    }
}

/* y_t = self(x_t) + Σ_d axis.d(m(a_d)) + global(g), over the axes that are not channels */
static void list_tensor(nft_linear_terms *terms, int64_t t)
{
    const nft_tensor *tensor = &terms->space->tensors[t];
    const nft_term_tensor *of = &terms->tensors[t];
    nft_dims axes = nft_all_dims(tensor) & ~of->channels;
    int64_t index = 0;
    if (axes & (axes - 1)) {
        int64_t self = NFT_INPUT_SELF;
        if (!of->dense) {
            self = nft_terms_input(terms);
            nft_terms_view(terms, t, axes, of->channels);
        }
        nft_terms_add(terms, t, axes, self, 0, "maps.%" PRId64 ".self", t);
    }
    for (int64_t d = 0; d < tensor->rank; d++)
        if (axes & NFT_DIM(d))
            nft_terms_add(terms, t, NFT_DIM(d), tensor->axes[d], 0, "maps.%" PRId64 ".axis.%" PRId64, t,
                          index++);
    nft_terms_add(terms, t, 0, NFT_INPUT_GLOBAL, 0, "maps.%" PRId64 ".global", t);
}

void nft_list_space(nft_linear_terms *terms)
{
    const nft_space *space = terms->space;
    for (int64_t a = 0; a < space->axis_count; a++)
        list_axis(terms, a);
    for (int64_t t = 0; t < space->tensor_count; t++)
        list_tensor(terms, t);
    nft_terms_input(terms);
    for (int64_t t = 0; t < space->tensor_count; t++)
        nft_terms_view(terms, t, 0, terms->tensors[t].channels);
}

/* W'_i = layer(W_i) + rc(g) + r(row input) + c(column input), v'_i = bias(column input) + bias_rc(g) */
void nft_list_layer(nft_linear_terms *terms, int64_t i, const nft_tensor_view *row_more,
                    const nft_tensor_view *column_more)
{
    int64_t weight = NFT_WEIGHT_OF(i), bias = NFT_BIAS_OF(i);
    int64_t row_input = nft_terms_input(terms); /* [R_i, K_{i-1}, v_{i-1}] */
    nft_terms_view(terms, weight, NFT_COLUMNS, 0);
    if (i > 0) {
        nft_terms_view(terms, NFT_WEIGHT_OF(i - 1), NFT_ROWS, 0);
        nft_terms_view(terms, NFT_BIAS_OF(i - 1), NFT_ROWS, 0);
    }
    if (row_more)
        nft_terms_view(terms, row_more->tensor, row_more->rows, row_more->channels);
    int64_t column_input = nft_terms_input(terms); /* [K_i, v_i, R_{i+1}] */
    nft_terms_view(terms, weight, NFT_ROWS, 0);
    nft_terms_view(terms, bias, NFT_ROWS, 0);
    if (i + 1 < terms->space->layer_count)
        nft_terms_view(terms, NFT_WEIGHT_OF(i + 1), NFT_COLUMNS, 0);
    if (column_more)
        nft_terms_view(terms, column_more->tensor, column_more->rows, column_more->channels);

    nft_terms_add(terms, weight, NFT_ROWS | NFT_COLUMNS, NFT_INPUT_SELF, 2, "layer_%" PRId64, i);
    nft_terms_add(terms, weight, 0, NFT_INPUT_GLOBAL, 0, "layer_%" PRId64 "_rc", i);
    nft_terms_add(terms, weight, NFT_COLUMNS, row_input, 1, "layer_%" PRId64 "_r", i);
    nft_terms_add(terms, weight, NFT_ROWS, column_input, 1, "layer_%" PRId64 "_c", i);
    nft_terms_add(terms, bias, NFT_ROWS, column_input, 1, "bias_%" PRId64, i);
    nft_terms_add(terms, bias, 0, NFT_INPUT_GLOBAL, 0, "bias_%" PRId64 "_rc", i);
}

void nft_list_chain_means(nft_linear_terms *terms)
{
    for (int64_t i = 0; i < terms->space->layer_count; i++)
        nft_terms_view(terms, NFT_WEIGHT_OF(i), 0, 0);
    for (int64_t i = 0; i < terms->space->layer_count; i++)
        nft_terms_view(terms, NFT_BIAS_OF(i), 0, 0);
}

static void list_chain(nft_linear_terms *terms)
{
    for (int64_t i = 0; i < terms->space->layer_count; i++)
        nft_list_layer(terms, i, NULL, NULL);
    nft_terms_input(terms);
    nft_list_chain_means(terms);
}

typedef struct np_linear {
    bool embeds;
    nft_io_embed embed;
    nft_linear_terms terms;
} np_linear;

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    static const char *const inits[] = {"pytorch_default", "kaiming_normal"};
    bool embeds = false;
    int init = 0;
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status ||
        (status =
             nft_options_integer(options, "out_channels", true, 1, NFT_MAX_WIDTH, &module->out.channels)) ||
        (status = nft_options_boolean(options, "io_embed", false, &embeds)) ||
        (status = nft_options_choice(options, "init", false, inits, 2, &init)) ||
        (status = nft_module_state(module, sizeof(np_linear))))
        return status;
    np_linear *s = module->state;
    s->embeds = embeds;
    if ((status = nft_terms_open(&s->terms, module, builder, false)) ||
        (embeds && (status = nft_io_embed_plan(&s->embed, builder, &s->terms))))
        return status;
    if (builder->space->layer_count > 0)
        list_chain(&s->terms);
    else
        nft_list_space(&s->terms);
    status = nft_terms_plan(&s->terms, module, builder, init == 1 ? NFT_TERMS_KAIMING : NFT_TERMS_DEFAULT);
    return status || !embeds ? status : nft_io_embed_declare(&s->embed, builder);
}

static void release(nft_module *module)
{
    np_linear *s = module->state;
    nft_terms_release(&s->terms);
    nft_io_embed_release(&s->embed);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    const np_linear *s = module->state;
    if (s->embeds)
        nft_io_embed_forward(&s->embed, exec, module->in.channels, in);
    nft_terms_forward(&s->terms, exec, in, out);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    const np_linear *s = module->state;
    nft_terms_backward(&s->terms, exec, grad_out, grad_in);
    if (s->embeds)
        nft_io_embed_backward(&s->embed, exec, module->in.channels, grad_in);
}

const nft_module_class nft_module_np_linear = {.type = "np_linear",
                                               .configure = configure,
                                               .forward = forward,
                                               .backward = backward,
                                               .release = release};
