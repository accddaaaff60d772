/* timm's vision transformer, vit_pytorch's ViT and SimpleViT, and nn.TransformerEncoder. The number of heads
 * is not in the file, so the rows of q, k and v keep their order: that leaves permutations out, and is never
 * wrong. */
#include "io/families/families.h"

#include <stdio.h>
#include <string.h>

#define NAME_CAPACITY 128

/* A new axis for each block; its name has the block's number. */
static int64_t ordered_axis(nft_family *family, int64_t size, const char *name, int block)
{
    char text[NAME_CAPACITY];
    snprintf(text, sizeof text, "%s%d", name, block);
    return nft_family_axis(family, size, true, text);
}

/* Parts of a block of either family. */
typedef struct block_names {
    const char *block; /* "blocks.%d" */
    const char *qkv_weight, *qkv_bias, *output, *first, *second, *norms[4];
} block_names;

static void add_block(nft_family *family, const block_names *names, int number, int64_t stream)
{
    char block[NAME_CAPACITY];
    snprintf(block, sizeof block, "%s.%d", names->block, number);
    const nft_entry *qkv = nft_family_find(family, "%s.%s", block, names->qkv_weight);
    const nft_entry *output = nft_family_find(family, "%s.%s.weight", block, names->output);
    const nft_entry *first = nft_family_find(family, "%s.%s.weight", block, names->first);
    int64_t rows = ordered_axis(family, nft_family_size(family, qkv, 0), "qkv", number);
    int64_t values = ordered_axis(family, nft_family_size(family, output, 1), "values", number);
    int64_t inner = nft_family_axis(family, nft_family_size(family, first, 0), false, "inner");
    nft_family_add(family, qkv, (const int64_t[]){rows, stream}, 2);
    nft_family_add(family, nft_family_find(family, "%s.%s", block, names->qkv_bias), &rows, 1);
    nft_family_layer(family, stream, values, "%s.%s", block, names->output);
    nft_family_layer(family, inner, stream, "%s.%s", block, names->first);
    nft_family_layer(family, stream, inner, "%s.%s", block, names->second);
    for (size_t i = 0; i < 4 && names->norms[i]; i++) {
        const nft_entry *scale = nft_family_find(family, "%s.%s.gamma", block, names->norms[i]);
        nft_family_add(family, scale, &stream, 1);
        nft_family_norm(family, stream, "%s.%s", block, names->norms[i]);
    }
}

/* A table of the stream's rows, (rows, stream) or (1, rows, stream). A network may do without. */
static void add_table(nft_family *family, const char *name, const char *rows, int64_t stream)
{
    const nft_entry *table = nft_family_find(family, "%s", name);
    int64_t rank = table ? table->rank - family->leading : 0;
    if (!table)
        return;
    if (rank != 2 && rank != 3) {
        nft_family_fail(family, "'%s' has %d dimensions", table->name, (int)rank);
        return;
    }
    int64_t row = nft_family_axis(family, nft_family_size(family, table, rank - 2), true, rows);
    nft_family_add(family, table, (const int64_t[]){-1, row, stream} + (3 - rank), rank);
}

void nft_family_vit(nft_family *family)
{
    static const block_names names = {"blocks",
                                      "attn.qkv.weight",
                                      "attn.qkv.bias",
                                      "attn.proj",
                                      "mlp.fc1",
                                      "mlp.fc2",
                                      {"norm1", "norm2", "ls1", "ls2"}};
    const nft_entry *patches = nft_family_find(family, "patch_embed.proj.weight");
    const nft_entry *head = nft_family_find(family, "head.weight");
    if (!patches || !head) {
        nft_family_fail(family, "it has no '%s'", patches ? "head.weight" : "patch_embed.proj.weight");
        return;
    }
    int64_t image = nft_family_axis(family, nft_family_size(family, patches, 1), true, "image");
    int64_t stream = nft_family_axis(family, nft_family_size(family, patches, 0), false, "stream");
    nft_family_add(family, nft_family_find(family, "cls_token"), (const int64_t[]){-1, -1, stream}, 3);
    add_table(family, "pos_embed", "places", stream);
    nft_family_layer(family, stream, image, "patch_embed.proj");
    for (int i = 0; nft_family_find(family, "blocks.%d.attn.qkv.weight", i); i++)
        add_block(family, &names, i, stream);
    nft_family_norm(family, stream, "norm");
    nft_family_norm(family, stream, "fc_norm");
    int64_t classes = nft_family_axis(family, nft_family_size(family, head, 0), true, "classes");
    nft_family_layer(family, classes, stream, "head");
}

/* Names of the last layer, behind a norm or not; NULL if there is none of them. */
static const char *find_head(const nft_family *family)
{
    static const char *const names[] = {"linear_head", "linear_head.1", "mlp_head", "mlp_head.1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (nft_family_find(family, "%s.weight", names[i]))
            return names[i];
    return NULL;
}

/* Patches are flattened, normalized, and mapped to the stream. Behind a dropout, which a ViT has and a
 * SimpleViT has not, layers have other numbers. */
void nft_family_vit_pytorch(nft_family *family)
{
    static const block_names simple = {"transformer.layers", "0.to_qkv.weight", "0.to_qkv.bias",
                                       "0.to_out",           "1.net.1",         "1.net.3",
                                       {"0.norm", "1.net.0"}};
    static const block_names with_dropout = {"transformer.layers", "0.to_qkv.weight", "0.to_qkv.bias",
                                             "0.to_out.0",         "1.net.1",         "1.net.4",
                                             {"0.norm", "1.net.0"}};
    const nft_entry *patches = nft_family_find(family, "to_patch_embedding.2.weight");
    const char *head = find_head(family);
    if (!patches || !head) {
        nft_family_fail(family, "it has no '%s'",
                        patches ? "linear_head.weight' or 'mlp_head.weight" : "to_patch_embedding.2.weight");
        return;
    }
    bool drops = nft_family_find(family, "transformer.layers.0.1.net.4.weight") != NULL;
    int64_t pixels = nft_family_axis(family, nft_family_size(family, patches, 1), true, "pixels");
    int64_t stream = nft_family_axis(family, nft_family_size(family, patches, 0), false, "stream");
    nft_family_norm(family, pixels, "to_patch_embedding.1");
    nft_family_layer(family, stream, pixels, "to_patch_embedding.2");
    nft_family_norm(family, stream, "to_patch_embedding.3");
    add_table(family, "cls_token", "summary", stream);
    add_table(family, "pos_embedding", "places", stream);
    for (int i = 0; nft_family_find(family, "transformer.layers.%d.0.to_qkv.weight", i); i++)
        add_block(family, drops ? &with_dropout : &simple, i, stream);
    nft_family_norm(family, stream, "transformer.norm");
    nft_family_norm(family, stream, strncmp(head, "mlp", 3) ? "linear_head.0" : "mlp_head.0");
    const nft_entry *last = nft_family_find(family, "%s.weight", head);
    int64_t classes = nft_family_axis(family, nft_family_size(family, last, 0), true, "classes");
    nft_family_layer(family, classes, stream, "%s", head);
}

/* Its input and output are the stream itself. */
void nft_family_transformer(nft_family *family)
{
    static const block_names names = {
        "layers",  "self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj", "linear1",
        "linear2", {"norm1", "norm2"}};
    const nft_entry *first = nft_family_find(family, "layers.0.self_attn.in_proj_weight");
    int64_t stream = nft_family_axis(family, nft_family_size(family, first, 1), true, "stream");
    for (int i = 0; nft_family_find(family, "layers.%d.self_attn.in_proj_weight", i); i++)
        add_block(family, &names, i, stream);
    nft_family_norm(family, stream, "norm");
}
