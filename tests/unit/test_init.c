/* Fresh parameters: PyTorch's defaults and the layers' own rules, from a generator of the library's own. */
#include "unit/support.h"

static nft_tensor_info tensor_of(const nft_model *model, const char *name)
{
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    for (int64_t i = 0; i < nft_model_describe(model)->tensor_count; i++) {
        assert_ok(nft_model_tensor(&info, model, i));
        if (!strcmp(info.name, name))
            return info;
    }
    fail_msg("the model has no tensor '%s'", name);
    return info;
}

static void moments(const nft_tensor_info *info, double *mean, double *variance)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < info->count; i++)
        sum += (double)info->data[i];
    *mean = sum / (double)info->count;
    for (int64_t i = 0; i < info->count; i++)
        squares += ((double)info->data[i] - *mean) * ((double)info->data[i] - *mean);
    *variance = squares / (double)info->count;
}

/* The sample's mean within 5 standard errors of 0, and its variance within 6 of `variance`, `kurtosis` the
 * distribution's. */
static void check_moments(const nft_tensor_info *info, double variance, double kurtosis)
{
    double mean, found, count = (double)info->count;
    moments(info, &mean, &found);
    if (fabs(mean) > 5 * sqrt(variance / count) ||
        fabs(found - variance) > 6 * variance * sqrt((kurtosis - 1) / count))
        fail_msg("%s: mean %g, variance %g of %" PRId64 " numbers, expected 0 and %g", info->name, mean,
                 found, info->count, variance);
}

/* Uniform in ± bound. */
static void check_uniform(const nft_model *model, const char *name, double bound)
{
    nft_tensor_info info = tensor_of(model, name);
    double largest = support_largest(info.count, info.data);
    if (largest > bound * (1 + 1e-6) || largest < bound * (1 - 12 / (double)info.count))
        fail_msg("%s: the largest of %" PRId64 " numbers is %g, expected up to %g", name, info.count, largest,
                 bound);
    check_moments(&info, bound * bound / 3, 1.8);
    assert_int_equal(info.trained, 1);
}

static void check_normal(const nft_model *model, const char *name, double deviation)
{
    nft_tensor_info info = tensor_of(model, name);
    double largest = support_largest(info.count, info.data) / deviation;
    check_moments(&info, deviation * deviation, 3);
    if (info.count >= 300 && (largest < 2.2 || largest > 6)) /* no uniform distribution of that deviation */
        fail_msg("%s: the largest number is %g deviations", name, largest);
}

static void check_constant(const nft_model *model, const char *name, double value)
{
    nft_tensor_info info = tensor_of(model, name);
    for (int64_t i = 0; i < info.count; i++)
        if (fabs((double)info.data[i] - value) > 1e-7 * fabs(value))
            fail_msg("%s: element %" PRId64 " is %g, expected %g", name, i, (double)info.data[i], value);
}

/* NAME.weight and NAME.bias. */
static void check_map(const nft_model *model, const char *name, int64_t fan_in)
{
    char full[128];
    snprintf(full, sizeof full, "%s.weight", name);
    check_uniform(model, full, 1 / sqrt((double)fan_in));
    snprintf(full, sizeof full, "%s.bias", name);
    check_uniform(model, full, 1 / sqrt((double)fan_in));
}

#define C 48 /* channels of the input */
#define MLP                                                                                                  \
    "{'format_version': 1, 'in_channels': 48, 'space': {'layers': [{'type': 'linear', 'in': 3, 'out': 7}, "  \
    "{'type': 'linear', 'in': 7, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 2}]}, 'modules': ["
#define CNN                                                                                                  \
    "{'format_version': 1, 'in_channels': 48, 'space': {'layers': [{'type': 'conv2d', 'in': 3, 'out': 7, "   \
    "'kernel': [2, 2]}, {'type': 'linear', 'in': 7, 'out': 5, 'positions': 3}]}, 'modules': ["

static void maps(void **state)
{
    (void)state;
    nft_model *model = support_model(
        CNN
        "{'type': 'pointwise', 'out_channels': 64}, {'type': 'np_attention', 'share_projections': false}, "
        "{'type': "
        "'nft_block', 'ff_factor': 3, 'share_projections': false}, {'type': 'np_pool'}, {'type': 'linear', "
        "'out_features': 70}]}",
        1);
    check_map(model, "0.weight_maps.0", 4 * C);
    check_map(model, "0.weight_maps.1", 3 * C);
    check_map(model, "0.bias_maps.0", C);
    check_map(model, "1.weight_to_qkv.0.linear", 4 * 64);
    check_map(model, "1.weight_to_qkv.1.linear", 3 * 64);
    check_map(model, "1.bias_to_qkv.1.linear", 64);
    check_map(model, "1.unproject_weight.0.linear", 64);
    check_map(model, "2.attn.bias_to_qkv.0.linear", 64);
    check_map(model, "2.ff.0.weight_maps.0", 4 * 64);
    check_map(model, "2.ff.2.weight_maps.0", 4 * 3 * 64);
    check_map(model, "2.ff.2.bias_maps.1", 3 * 64);
    check_constant(model, "2.ln1.w_norms.0.gamma", 1);
    check_constant(model, "2.ln2.v_norms.1.beta", 0);
    check_map(model, "4", 64 * (4 + 1 + 3 + 1));
    nft_model_free(model);
}

static void shared_projections(void **state)
{
    (void)state;
    nft_model *model = support_model(MLP "{'type': 'np_attention'}, {'type': 'nft_block'}]}", 2);
    check_map(model, "0.to_qkv.linear", C);
    check_map(model, "1.attn.to_qkv.linear", C);
    nft_model_free(model);
}

static void encodings(void **state)
{
    (void)state;
    nft_model *model = support_model(
        MLP "{'type': 'normalize'}, {'type': 'learned_scale', 'init_scale': 0.25}, {'type': "
            "'learned_pos_embedding'}, "
            "{'type': 'gaussian_fourier', 'mapping_size': 40, 'scale': 3}, {'type': 'param_layer_norm'}]}",
        3);
    check_constant(model, "0.mean_weights_1", 0);
    check_constant(model, "0.std_bias_2", 1);
    assert_int_equal(tensor_of(model, "0.mean_weights_1").trained, 0);
    check_constant(model, "1.weight_scales.2", 0.25);
    check_constant(model, "1.bias_scales.0", 0.25);
    assert_int_equal(tensor_of(model, "1.bias_scales.0").rank, 0);
    check_normal(model, "2.weight_emb.weight", 1);
    check_normal(model, "2.bias_emb.weight", 1);
    check_normal(model, "2.inp_emb.weight", 1);
    check_normal(model, "2.out_emb.weight", 1);
    check_normal(model, "3._B", 3);
    assert_int_equal(tensor_of(model, "3._B").trained, 0);
    check_constant(model, "4.norm0_w.weight", 1);
    check_constant(model, "4.norm2_v.bias", 0);
    nft_model_free(model);
}

/* The fan of a sum of maps is the sum of their inputs (widths of the MLP 3-7-5-2; every f is 1). */
static void np_linear(void **state)
{
    (void)state;
    const int64_t G = C * 6, row[3] = {C, 3 * C, 3 * C}, column[3] = {3 * C, 3 * C, 2 * C};
    nft_model *model = support_model(MLP "{'type': 'np_linear', 'out_channels': 40, 'io_embed': true}]}", 4);
    nft_model *kaiming =
        support_model(MLP "{'type': 'np_linear', 'out_channels': 40, 'init': 'kaiming_normal'}]}", 5);
    static const char *const weights[] = {"0.layer_%d", "0.layer_%d_rc", "0.layer_%d_r", "0.layer_%d_c"};
    static const char *const biases[] = {"0.bias_%d", "0.bias_%d_rc"};
    for (int i = 0; i < 3; i++) {
        int64_t fan = C + G + row[i] + column[i], bias_fan = G + column[i];
        char name[64], full[80];
        for (size_t k = 0; k < COUNT(weights) + COUNT(biases); k++) {
            bool weight = k < COUNT(weights);
            snprintf(name, sizeof name, weight ? weights[k] : biases[k - COUNT(weights)], i);
            check_map(model, name, weight ? fan : bias_fan);
            snprintf(full, sizeof full, "%s.weight", name);
            check_normal(kaiming, full, sqrt(2 / (double)(weight ? fan : bias_fan)));
            snprintf(full, sizeof full, "%s.bias", name);
            check_constant(kaiming, full, 0);
        }
    }
    check_normal(model, "0.in_embed", 1);
    check_normal(model, "0.out_embed", 1);
    check_normal(model, "0.out_bias_embed", 1);
    nft_model_free(kaiming);
    nft_model_free(model);
}

static void hnp_linear(void **state)
{
    (void)state;
    const int64_t G = C * (6 + 3 + 2 + 2), rpt = C * (3 + 1 + 1), cpt = C * (2 + 1);
    nft_model *model = support_model(MLP "{'type': 'hnp_linear', 'out_channels': 30}]}", 6);
    check_map(model, "0.w0_rpt", rpt);
    check_map(model, "0.w0_rbdcst", G);
    check_map(model, "0.bias_0", rpt + G);
    check_map(model, "0.bias_0_rc", rpt + G);
    check_map(model, "0.wfin_cpt", cpt + G);
    check_map(model, "0.wfin_cbdcst", cpt + G);
    check_map(model, "0.bias_fin_rc", G);
    const int64_t row = C * (3 + 3), column = C * (3 + 2), fan = C + G + row + column;
    check_map(model, "0.layer_1", fan);
    check_map(model, "0.layer_1_rc", fan);
    check_map(model, "0.layer_1_r", fan);
    check_map(model, "0.layer_1_c", fan);
    check_map(model, "0.bias_1", G + column);
    check_map(model, "0.bias_1_rc", G + column);
    nft_model_free(model);
}

static void tokens(void **state)
{
    (void)state;
    nft_model *model = support_model(
        MLP
        "{'type': 'flatten_weights'}, {'type': 'token_embedding', 'max_tokens': 90}, {'type': "
        "'transformer_encoder_layer', 'num_heads': 4, 'dim_feedforward': 50}, {'type': 'layer_norm'}, "
        "{'type': "
        "'perceiver', 'num_latents': 20, 'latent_dim': 30, 'cross_dim_head': 24, 'self_per_cross_attn': 1}]}",
        7);
    check_normal(model, "1.weight", 1);
    check_uniform(model, "2.self_attn.in_proj_weight", sqrt(6.0 / (4 * C)));
    check_constant(model, "2.self_attn.in_proj_bias", 0);
    check_uniform(model, "2.self_attn.out_proj.weight", 1 / sqrt((double)C));
    check_constant(model, "2.self_attn.out_proj.bias", 0);
    check_map(model, "2.linear1", C);
    check_map(model, "2.linear2", 50);
    check_constant(model, "2.norm1.weight", 1);
    check_constant(model, "2.norm2.bias", 0);
    check_constant(model, "3.weight", 1);
    check_normal(model, "4.latents", 1);
    check_uniform(model, "4.cross_attns.0.fn.to_q.weight", 1 / sqrt(30.0));
    check_uniform(model, "4.cross_attns.0.fn.to_kv.weight", 1 / sqrt((double)C));
    check_map(model, "4.cross_attns.0.fn.to_out", 24);
    check_map(model, "4.cross_ffs.0.fn.net.0", 30);
    check_map(model, "4.cross_ffs.0.fn.net.2", 120);
    check_map(model, "4.self_attns.0.0.0.fn.to_out", 512);
    check_constant(model, "4.cross_attns.0.norm_context.weight", 1);
    nft_model_free(model);

    model = support_model(
        MLP "{'type': 'cross_attn_encoder', 'num_latents': 20}, {'type': 'cross_attn_decoder'}]}", 8);
    check_normal(model, "0.embeddings", 1);
    check_normal(model, "1.embeddings", 1);
    nft_model_free(model);
}

#define SIREN                                                                                                \
    "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': 30}, {'type': 'linear', " \
    "'in': 30, 'out': 20}, {'type': 'linear', 'in': 20, 'out': 1}]}, 'modules': [{'type': "                  \
    "'flatten_weights'}, {'type': 'perceiver', 'num_latents': 4, 'latent_dim': 40}], 'decoder': {'type': "   \
    "'hypernetwork', 'height': 5, 'width': 5, 'hidden_size': 60, "

static void decoder_of_tensors(void **state)
{
    (void)state;
    nft_model *model = support_model(SIREN "'style': 'per_tensor', 'hidden_layers': 1}}", 9);
    check_map(model, "decoder.hnets.0.0", 40);
    check_map(model, "decoder.hnets.5.2", 60);
    check_normal(model, "decoder.hnets.2.4.weight", sqrt(2.0 / 60) / 100);
    check_normal(model, "decoder.hnets.3.4.weight", sqrt(2.0 / 60) / 100);
    check_uniform(model, "decoder.hnets.0.4.bias", 1.0 / 2);
    check_uniform(model, "decoder.hnets.2.4.bias", 1.0 / 30);
    check_uniform(model, "decoder.hnets.1.4.bias", 1.0 / 60);
    nft_model_free(model);
}

static double deviation(const nft_tensor_info *info)
{
    double mean, variance;
    moments(info, &mean, &variance);
    return sqrt(variance * (double)info->count / (double)(info->count - 1));
}

/* The learned network is a fresh SIREN, each scale its tensor's deviation. */
static void additive_decoder(void **state)
{
    (void)state;
    const double omega = 20;
    nft_model *model =
        support_model(SIREN "'style': 'joint', 'hidden_layers': 2, 'additive': true, 'omega': 20}}", 10);
    check_map(model, "decoder.hnet.0", 40);
    check_map(model, "decoder.hnet.2", 60);
    check_map(model, "decoder.hnet.4", 60);
    check_uniform(model, "init_params.0", 1.0 / 2);
    check_uniform(model, "init_params.1", 1 / sqrt(2.0));
    check_uniform(model, "init_params.2", sqrt(6.0 / 30) / omega);
    check_uniform(model, "init_params.3", 1 / sqrt(30.0));
    check_uniform(model, "init_params.4", sqrt(6.0 / 20) / omega);
    for (int i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "init_params.%d", i);
        nft_tensor_info tensor = tensor_of(model, name);
        snprintf(name, sizeof name, "additive_scales.%d", i);
        nft_tensor_info scale = tensor_of(model, name);
        assert_int_equal(scale.rank, 0);
        double expected = tensor.count > 1 ? deviation(&tensor) : fabs((double)*tensor.data);
        assert_true(fabs((double)*scale.data - expected) <= 1e-6 * expected);
    }
    nft_model_free(model);
}

#define SEEDED                                                                                               \
    MLP "{'type': 'pointwise', 'out_channels': 8}, {'type': 'learned_pos_embedding'}, {'type': "             \
        "'nft_block'}]}"

/* The same seed gives the same model; another one shares no random number with it. */
static void seeds(void **state)
{
    (void)state;
    nft_model *a = support_model(SEEDED, 11), *b = support_model(SEEDED, 11), *c = support_model(SEEDED, 12);
    nft_model *d = support_model(SEEDED, UINT64_C(11) << 32);
    for (int64_t i = 0; i < nft_model_describe(a)->tensor_count; i++) {
        nft_tensor_info x = NFT_TENSOR_INFO_INIT, y = x, z = x, w = x;
        assert_ok(nft_model_tensor(&x, a, i));
        assert_ok(nft_model_tensor(&y, b, i));
        assert_ok(nft_model_tensor(&z, c, i));
        assert_ok(nft_model_tensor(&w, d, i));
        support_identical(x.name, x.count, x.data, y.data);
        bool random = x.data[0] != 0 && x.data[0] != 1;
        for (int64_t k = 0; k < x.count && random; k++)
            if (k < 4 && (memcmp(&x.data[k], &z.data[k], sizeof(float)) == 0 ||
                          memcmp(&x.data[k], &w.data[k], sizeof(float)) == 0))
                fail_msg("%s: element %" PRId64 " is %g for two seeds", x.name, k, (double)x.data[k]);
    }
    nft_model_free(d);
    nft_model_free(c);
    nft_model_free(b);
    nft_model_free(a);
}

/* A tensor's numbers depend only on the seed and its name; two tensors have different ones. */
static void streams(void **state)
{
    (void)state;
    nft_model *a = support_model(SEEDED, 13);
    nft_model *b = support_model(MLP "{'type': 'pointwise', 'out_channels': 8}]}", 13);
    nft_tensor_info x = tensor_of(a, "0.weight_maps.2.weight"), y = tensor_of(b, "0.weight_maps.2.weight");
    nft_tensor_info z = tensor_of(a, "0.weight_maps.1.weight");
    support_identical(x.name, x.count, x.data, y.data);
    assert_memory_not_equal(x.data, z.data, (size_t)x.count * sizeof(float));
    nft_model_free(b);
    nft_model_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps),
        cmocka_unit_test(shared_projections),
        cmocka_unit_test(encodings),
        cmocka_unit_test(np_linear),
        cmocka_unit_test(hnp_linear),
        cmocka_unit_test(tokens),
        cmocka_unit_test(decoder_of_tensors),
        cmocka_unit_test(additive_decoder),
        cmocka_unit_test(seeds),
        cmocka_unit_test(streams),
    };
    return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
