/* Networks that are known by the names of their tensors: which axes these share, and what is refused. The
 * files are small and hold zeros; only names and shapes matter. */
#define _POSIX_C_SOURCE 200809L
#include "nft/file.h"
#include "unit/support.h"
#include "unit/temporary.h"

#include <stdio.h>

#define MOST_TENSORS 64
#define NAME_CAPACITY 64

/* Lines of "NAME SIZE SIZE …". */
static void write_network(const char *lines)
{
    char names[MOST_TENSORS][NAME_CAPACITY];
    const char *list[MOST_TENSORS];
    nft_array *arrays[MOST_TENSORS];
    int64_t count = 0;
    for (const char *line = lines; *line; line = strchr(line, '\n') + 1, count++) {
        int64_t shape[4] = {0}, rank = 0;
        int used = 0;
        assert_true(count < MOST_TENSORS);
        assert_int_equal(sscanf(line, "%63s%n", names[count], &used), 1);
        for (const char *at = line + used; *at == ' '; rank++)
            shape[rank] = strtoll(at + 1, (char **)&at, 10);
        list[count] = names[count];
        assert_ok(nft_array_create(&arrays[count], NFT_ARRAY_F32, shape, rank, NULL));
    }
    assert_ok(nft_array_save(temporary_path("network"), list, (const nft_array *const *)arrays, (size_t)count,
                             NULL));
    for (int64_t i = 0; i < count; i++)
        nft_array_free(arrays[i]);
}

static nft_space *read_space(const char *lines)
{
    nft_space *space = NULL;
    write_network(lines);
    assert_ok(nft_space_load(&space, temporary_path("network"), NULL));
    return space;
}

static void expect_refused(const char *lines, const char *reason)
{
    nft_space *space = NULL;
    write_network(lines);
    assert_int_equal(nft_space_load(&space, temporary_path("network"), NULL), NFT_ERROR_FORMAT);
    if (!strstr(nft_error_message(), reason))
        fail_msg("the message is \"%s\", expected \"%s\" in it", nft_error_message(), reason);
    assert_null(space);
}

/* The axis of the tensor's factor `which`; -1 for positions. */
static int64_t axis_of(const nft_space *space, const char *name, int64_t which)
{
    nft_space_tensor tensor = {.size = sizeof tensor};
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++) {
        assert_ok(nft_space_get_tensor(&tensor, space, t));
        if (!strcmp(tensor.name, name)) {
            assert_true(which < tensor.factor_count);
            return tensor.factors[which].axis;
        }
    }
    fail_msg("the space has no '%s'", name);
    return -1;
}

static void expect_same(const nft_space *space, const char *a, int64_t of_a, const char *b, int64_t of_b)
{
    assert_int_equal(axis_of(space, a, of_a), axis_of(space, b, of_b));
}

static void expect_other(const nft_space *space, const char *a, int64_t of_a, const char *b, int64_t of_b)
{
    assert_int_not_equal(axis_of(space, a, of_a), axis_of(space, b, of_b));
}

static bool may_be_permuted(const nft_space *space, const char *name, int64_t which)
{
    nft_space_axis axis = {.size = sizeof axis};
    assert_ok(nft_space_get_axis(&axis, space, axis_of(space, name, which)));
    return axis.symmetry == NFT_SYMMETRY_PERMUTATION;
}

#define NORM(name, size)                                                                                     \
    name ".weight " size "\n" name ".bias " size "\n" name ".running_mean " size "\n" name                   \
         ".running_var " size "\n"
#define RESNET_STEM "conv1.weight 4 1 3 3\n" NORM("bn1", "4")
#define RESNET_BLOCK(name, out, in)                                                                          \
    name ".conv1.weight " out " " in " 3 3\n" NORM(name ".bn1", out) name ".conv2.weight " out " " out       \
                                                                          " 3 3\n" NORM(name ".bn2", out)
#define RESNET_SHORTCUT(name, out, in)                                                                       \
    name ".downsample.0.weight " out " " in " 1 1\n" NORM(name ".downsample.1", out)
#define RESNET                                                                                               \
    RESNET_STEM RESNET_BLOCK("layer1.0", "4", "4") RESNET_BLOCK("layer2.0", "6", "4")                        \
        RESNET_SHORTCUT("layer2.0", "6", "4")

static void resnet(void **state)
{
    (void)state;
    nft_space *space = read_space(RESNET "fc.weight 10 6\nfc.bias 10\n");
    expect_same(space, "conv1.weight", 0, "layer1.0.conv2.weight", 0); /* the residual connection */
    expect_same(space, "layer1.0.bn2.running_var", 0, "layer2.0.conv1.weight", 1);
    expect_other(space, "layer1.0.conv1.weight", 0, "layer1.0.conv2.weight", 0);
    expect_same(space, "layer2.0.conv2.weight", 0, "layer2.0.downsample.0.weight", 0);
    expect_same(space, "fc.weight", 1, "layer2.0.downsample.1.bias", 0);
    assert_true(may_be_permuted(space, "fc.weight", 1));
    assert_false(may_be_permuted(space, "fc.weight", 0));
    assert_false(may_be_permuted(space, "conv1.weight", 1));
    nft_space_free(space);
}

static void resnets_that_are_refused(void **state)
{
    (void)state;
    expect_refused(RESNET, "no head 'fc'");
    expect_refused(RESNET "fc.weight 10 6\nfc.bias 10\nextra.weight 3 3\n",
                   "'extra.weight' has no place in it");
    expect_refused(RESNET_STEM RESNET_BLOCK("layer1.0", "4", "2") "fc.weight 10 4\nfc.bias 10\n",
                   "'layer1.0.conv1.weight' is a grouped convolution");
}

#define MOBILENET_STEM "features.0.0.weight 4 1 3 3\n" NORM("features.0.1", "4")
#define MOBILENET_FIRST                                                                                      \
    "features.1.conv.0.0.weight 4 1 3 3\n" NORM(                                                             \
        "features.1.conv.0.1", "4") "features.1.conv.1.weight 6 4 1 1\n" NORM("features.1.conv.2", "6")
#define MOBILENET_SECOND                                                                                     \
    "features.2.conv.0.0.weight 8 6 1 1\n" NORM(                                                             \
        "features.2.conv.0.1", "8") "features.2.conv.1.0.weight 8 1 3 3\n" NORM("features.2.conv.1.1",       \
                                                                                "8") "features.2.conv.2."    \
                                                                                     "weight 6 8 1 "         \
                                                                                     "1\n" NORM("features."  \
                                                                                                "2.conv.3",  \
                                                                                                "6")
#define MOBILENET_LAST "features.3.0.weight 12 6 1 1\n" NORM("features.3.1", "12")

static void mobilenet(void **state)
{
    (void)state;
    nft_space *space = read_space(MOBILENET_STEM MOBILENET_FIRST MOBILENET_SECOND MOBILENET_LAST
                                  "classifier.1.weight 10 12\nclassifier.1.bias 10\n");
    expect_same(space, "features.1.conv.0.0.weight", 0, "features.0.0.weight", 0); /* depthwise */
    expect_same(space, "features.2.conv.1.0.weight", 0, "features.2.conv.0.0.weight", 0);
    expect_same(space, "features.2.conv.2.weight", 0, "features.1.conv.1.weight", 0); /* residual */
    expect_other(space, "features.2.conv.0.0.weight", 0, "features.2.conv.2.weight", 0);
    expect_same(space, "classifier.1.weight", 1, "features.3.1.running_mean", 0);
    nft_space_free(space);
    expect_refused(MOBILENET_STEM MOBILENET_FIRST MOBILENET_SECOND, "no 'classifier.1.weight'");
}

#define VIT_BLOCK(number)                                                                                    \
    "blocks." number ".norm1.weight 8\nblocks." number ".norm1.bias 8\nblocks." number                       \
    ".attn.qkv.weight 24 8\nblocks." number ".attn.qkv.bias 24\nblocks." number                              \
    ".attn.proj.weight 8 8\nblocks." number ".attn.proj.bias 8\nblocks." number                              \
    ".norm2.weight 8\nblocks." number ".norm2.bias 8\nblocks." number ".mlp.fc1.weight 32 8\nblocks." number \
    ".mlp.fc1.bias 32\nblocks." number ".mlp.fc2.weight 8 32\nblocks." number ".mlp.fc2.bias 8\n"
#define VIT_STEM                                                                                             \
    "cls_token 1 1 8\npos_embed 1 5 8\npatch_embed.proj.weight 8 3 4 4\npatch_embed.proj.bias 8\n"

static void vision_transformer(void **state)
{
    (void)state;
    nft_space *space = read_space(VIT_STEM VIT_BLOCK("0") VIT_BLOCK(
        "1") "norm.weight 8\nnorm.bias 8\nhead.weight 10 8\nhead.bias 10\n");
    expect_same(space, "cls_token", 2, "blocks.1.mlp.fc2.weight", 0);
    expect_same(space, "pos_embed", 2, "blocks.0.attn.proj.weight", 0);
    expect_same(space, "blocks.0.mlp.fc1.weight", 0, "blocks.0.mlp.fc2.weight", 1);
    expect_other(space, "blocks.0.mlp.fc1.weight", 0, "blocks.1.mlp.fc1.weight", 0);
    assert_true(may_be_permuted(space, "head.weight", 1));
    assert_false(may_be_permuted(space, "blocks.0.attn.qkv.weight", 0)); /* the heads are not known */
    nft_space_free(space);
    expect_refused(VIT_STEM VIT_BLOCK("0"), "no 'head.weight'");
}

#define VIT_PYTORCH_LAYER(number, out, second)                                                               \
    "transformer.layers." number ".0.norm.weight 8\ntransformer.layers." number                              \
    ".0.norm.bias 8\ntransformer.layers." number ".0.to_qkv.weight 36 8\n" out "transformer.layers." number  \
    ".1.net.0.weight 8\ntransformer.layers." number ".1.net.0.bias 8\ntransformer.layers." number            \
    ".1.net.1.weight 16 8\ntransformer.layers." number ".1.net.1.bias 16\ntransformer.layers." number        \
    ".1.net." second ".weight 8 16\ntransformer.layers." number ".1.net." second ".bias 8\n"
#define VIT_PYTORCH_OUT(number)                                                                              \
    "transformer.layers." number ".0.to_out.0.weight 8 12\ntransformer.layers." number ".0.to_out.0.bias "   \
    "8\n"
#define VIT_PYTORCH_STEM                                                                                     \
    "to_patch_embedding.1.weight 3\nto_patch_embedding.1.bias 3\nto_patch_embedding.2.weight 8 3\n"          \
    "to_patch_embedding.2.bias 8\nto_patch_embedding.3.weight 8\nto_patch_embedding.3.bias 8\n"
#define VIT_PYTORCH_LAYERS                                                                                   \
    VIT_PYTORCH_LAYER("0", VIT_PYTORCH_OUT("0"), "4") VIT_PYTORCH_LAYER("1", VIT_PYTORCH_OUT("1"), "4")

static void expect_vit_pytorch(const char *lines, const char *head, int64_t rank)
{
    nft_space *space = read_space(lines);
    expect_same(space, "pos_embedding", rank - 1, "transformer.layers.1.1.net.4.weight", 0);
    expect_same(space, "cls_token", rank - 1, head, 1);
    expect_same(space, "transformer.layers.0.0.to_out.0.weight", 0, head, 1);
    expect_same(space, "transformer.layers.0.1.net.1.weight", 0, "transformer.layers.0.1.net.4.weight", 1);
    expect_other(space, "transformer.layers.0.1.net.1.weight", 0, "transformer.layers.1.1.net.1.weight", 0);
    assert_true(may_be_permuted(space, head, 1));
    assert_false(may_be_permuted(space, head, 0));
    assert_false(may_be_permuted(space, "pos_embedding", rank - 2));
    assert_false(may_be_permuted(space, "to_patch_embedding.2.weight", 1));
    assert_false(may_be_permuted(space, "transformer.layers.0.0.to_qkv.weight", 0));
    assert_false(may_be_permuted(space, "transformer.layers.0.0.to_out.0.weight", 1));
    nft_space_free(space);
}

static void vision_transformers_of_vit_pytorch(void **state)
{
    (void)state;
    expect_vit_pytorch(VIT_PYTORCH_STEM VIT_PYTORCH_LAYERS
                       "cls_token 1 1 8\npos_embedding 1 5 8\ntransformer.norm.weight 8\n"
                       "transformer.norm.bias 8\nmlp_head.weight 10 8\nmlp_head.bias 10\n",
                       "mlp_head.weight", 3);
    expect_vit_pytorch(VIT_PYTORCH_STEM VIT_PYTORCH_LAYERS
                       "cls_token 1 8\npos_embedding 5 8\nmlp_head.0.weight 8\nmlp_head.0.bias 8\n"
                       "mlp_head.1.weight 10 8\nmlp_head.1.bias 10\n",
                       "mlp_head.1.weight", 2);
    expect_refused(VIT_PYTORCH_STEM VIT_PYTORCH_LAYERS, "no 'linear_head.weight' or 'mlp_head.weight'");
    /* of one head as wide as the stream, whose values are added to it without a layer */
    expect_refused(
        VIT_PYTORCH_STEM VIT_PYTORCH_LAYER("0", "", "4") "mlp_head.weight 10 8\nmlp_head.bias 10\n",
        "no 'transformer.layers.0.0.to_out.0.weight'");
    expect_refused(VIT_PYTORCH_STEM VIT_PYTORCH_LAYERS
                   "pos_embedding 5\nmlp_head.weight 10 8\nmlp_head.bias 10\n",
                   "'pos_embedding' has 1 dimensions");
}

static void transformer_encoder(void **state)
{
    (void)state;
    nft_space *space =
        read_space("layers.0.self_attn.in_proj_weight 24 8\nlayers.0.self_attn.in_proj_bias 24\n"
                   "layers.0.self_attn.out_proj.weight 8 8\nlayers.0.self_attn.out_proj.bias 8\n"
                   "layers.0.linear1.weight 16 8\nlayers.0.linear1.bias 16\n"
                   "layers.0.linear2.weight 8 16\nlayers.0.linear2.bias 8\n"
                   "layers.0.norm1.weight 8\nlayers.0.norm1.bias 8\n"
                   "layers.0.norm2.weight 8\nlayers.0.norm2.bias 8\n");
    expect_same(space, "layers.0.linear1.weight", 0, "layers.0.linear2.weight", 1);
    assert_true(may_be_permuted(space, "layers.0.linear1.weight", 0));
    assert_false(may_be_permuted(space, "layers.0.linear1.weight", 1)); /* the stream is the output */
    nft_space_free(space);
}

#define LSTM_LAYER(number, in)                                                                               \
    "weight_ih_l" number " 20 " in "\nweight_hh_l" number " 20 5\nbias_ih_l" number " 20\nbias_hh_l" number  \
    " 20\n"

static void lstm(void **state)
{
    (void)state;
    nft_space *space = read_space(LSTM_LAYER("0", "3") LSTM_LAYER("1", "5"));
    assert_int_equal(axis_of(space, "weight_hh_l0", 0), -1); /* four gates */
    expect_same(space, "weight_hh_l0", 1, "weight_hh_l0", 2);
    expect_same(space, "weight_hh_l0", 2, "weight_ih_l1", 2);
    expect_other(space, "weight_hh_l0", 2, "weight_hh_l1", 2);
    assert_true(may_be_permuted(space, "weight_hh_l0", 2));
    assert_false(may_be_permuted(space, "weight_hh_l1", 2)); /* nothing says who reads the last state */
    nft_space_free(space);
}

static void lstms_in_models(void **state)
{
    (void)state;
    nft_space *space = read_space("rnn.weight_ih_l0 20 3\nrnn.weight_hh_l0 20 5\nrnn.bias_ih_l0 20\n"
                                  "rnn.bias_hh_l0 20\nfc.weight 10 5\nfc.bias 10\n");
    expect_same(space, "rnn.weight_hh_l0", 2, "fc.weight", 1);
    assert_true(may_be_permuted(space, "fc.weight", 1));
    nft_space_free(space);
    expect_refused(LSTM_LAYER("0", "3") "weight_ih_l0_reverse 20 3\nweight_hh_l0_reverse 20 5\n"
                                        "bias_ih_l0_reverse 20\nbias_hh_l0_reverse 20\n",
                   "it is bidirectional");
    expect_refused("a.weight_ih_l0 20 3\na.weight_hh_l0 20 5\nb.weight_ih_l0 24 3\nb.weight_hh_l0 24 6\n",
                   "several networks");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resnet),
        cmocka_unit_test(resnets_that_are_refused),
        cmocka_unit_test(mobilenet),
        cmocka_unit_test(vision_transformer),
        cmocka_unit_test(vision_transformers_of_vit_pytorch),
        cmocka_unit_test(transformer_encoder),
        cmocka_unit_test(lstm),
        cmocka_unit_test(lstms_in_models),
    };
    return cmocka_run_group_tests(tests, temporary_open, temporary_close);
}
