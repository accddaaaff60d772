/* The linear layer that is equivariant only to permutations of axes with a symmetry (Zhou et al.,
 * "Permutation Equivariant Neural Functionals", arXiv 2302.14040): inputs and outputs are told apart, so they
 * count as channels. Between the first and the last layer of a chain it is np_linear. */
#include "modules/sequence/tokens.h"
#include "modules/weights/np_linear.h"

#include <inttypes.h>

/* W_0 as channels of its rows, and W_{L-1} as channels of its columns. */
static nft_tensor_view first_view(void)
{
    return (nft_tensor_view){.tensor = NFT_WEIGHT_OF(0), .rows = NFT_ROWS, .channels = NFT_COLUMNS};
}

static nft_tensor_view last_view(const nft_space *space)
{
    return (nft_tensor_view){
        .tensor = NFT_WEIGHT_OF(space->layer_count - 1), .rows = NFT_COLUMNS, .channels = NFT_ROWS};
}

static void list_view(nft_linear_terms *terms, nft_tensor_view view)
{
    nft_terms_view(terms, view.tensor, view.rows, view.channels);
}

/* W'_0 = w0_rpt(rpt) + w0_rbdcst(g), v'_0 = bias_0(rpt) + bias_0_rc(g) with rpt = [W_0, R_1, v_0], and
 * with two layers W_1. */
static void list_first(nft_linear_terms *terms)
{
    int64_t weight = NFT_WEIGHT_OF(0), bias = NFT_BIAS_OF(0), rpt = nft_terms_input(terms);
    list_view(terms, first_view());
    nft_terms_view(terms, NFT_WEIGHT_OF(1), NFT_COLUMNS, 0);
    nft_terms_view(terms, bias, NFT_ROWS, 0);
    if (terms->space->layer_count == 2)
        list_view(terms, last_view(terms->space));
    nft_terms_add(terms, weight, NFT_ROWS, rpt, 1, "w0_rpt");
    nft_terms_own_fan(terms);
    nft_terms_add(terms, weight, 0, NFT_INPUT_GLOBAL, 0, "w0_rbdcst");
    nft_terms_own_fan(terms);
    nft_terms_add(terms, bias, NFT_ROWS, rpt, 1, "bias_0");
    nft_terms_add(terms, bias, 0, NFT_INPUT_GLOBAL, 0, "bias_0_rc");
}

/* W'_{L-1} = wfin_cpt(cpt) + wfin_cbdcst(g), v'_{L-1} = bias_fin_rc(g) with cpt = [W_{L-1}, K_{L-2}], and
 * with two layers W_0. */
static void list_last(nft_linear_terms *terms)
{
    int64_t layers = terms->space->layer_count, weight = NFT_WEIGHT_OF(layers - 1);
    int64_t cpt = nft_terms_input(terms);
    list_view(terms, last_view(terms->space));
    nft_terms_view(terms, NFT_WEIGHT_OF(layers - 2), NFT_ROWS, 0);
    if (layers == 2)
        list_view(terms, first_view());
    nft_terms_add(terms, weight, NFT_COLUMNS, cpt, 1, "wfin_cpt");
    nft_terms_add(terms, weight, 0, NFT_INPUT_GLOBAL, 0, "wfin_cbdcst");
    nft_terms_add(terms, NFT_BIAS_OF(layers - 1), 0, NFT_INPUT_GLOBAL, 0, "bias_fin_rc");
}

/* The published layers; g = [M_0 … M_{L-1}, m_0 … m_{L-1}, R_0, K_{L-1}, v_{L-1}]. */
static void list_chain(nft_linear_terms *terms)
{
    int64_t end = terms->space->layer_count - 1;
    nft_tensor_view first = first_view(), last = last_view(terms->space);
    list_first(terms);
    for (int64_t i = 1; i < end; i++)
        nft_list_layer(terms, i, i == 1 ? &first : NULL, i == end - 1 ? &last : NULL);
    list_last(terms);
    nft_terms_input(terms);
    nft_list_chain_means(terms);
    nft_terms_view(terms, NFT_WEIGHT_OF(0), 0, NFT_COLUMNS);
    nft_terms_view(terms, NFT_WEIGHT_OF(end), 0, NFT_ROWS);
    nft_terms_view(terms, NFT_BIAS_OF(end), 0, NFT_ROWS);
}

static nft_status configure(nft_module *module, nft_builder *builder, nft_options *options)
{
    nft_status status = nft_require_kind(builder, NFT_VALUE_FEATURES);
    if (status || (status = nft_options_integer(options, "out_channels", true, 1, NFT_MAX_WIDTH,
                                                &module->out.channels)))
        return status;
    int64_t layers = builder->space->layer_count;
    if (layers == 1)
        return nft_fail(NFT_ERROR_CONFIG,
                        "%s: needs a space of at least 2 layers, but this one has %" PRId64
                        "; np_linear takes it",
                        builder->where, layers);
    if ((status = nft_module_state(module, sizeof(nft_linear_terms))))
        return status;
    nft_linear_terms *terms = module->state;
    if ((status = nft_terms_open(terms, module, builder, true)))
        return status;
    if (layers > 0)
        list_chain(terms);
    else
        nft_list_space(terms);
    return nft_terms_plan(terms, module, builder, NFT_TERMS_DEFAULT);
}

static void release(nft_module *module)
{
    nft_terms_release(module->state);
}

static void forward(const nft_module *module, const nft_exec *exec, const float *in, float *out)
{
    nft_terms_forward(module->state, exec, in, out);
}

static void backward(const nft_module *module, const nft_exec *exec, const float *in, const float *out,
                     const float *grad_out, float *grad_in)
{
    (void)in;
    (void)out;
    nft_terms_backward(module->state, exec, grad_out, grad_in);
}

const nft_module_class nft_module_hnp_linear = {.type = "hnp_linear",
                                                .configure = configure,
                                                .forward = forward,
                                                .backward = backward,
                                                .release = release};
