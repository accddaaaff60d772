/* torchvision's ResNet, and those like it: a stem, stages layer1, layer2, … of blocks, and a head. The stream
 * between blocks is one axis as long as nothing changes its width. */
#include "io/families/families.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME_CAPACITY 128
#define MOST_CONVOLUTIONS 3

/* Axis behind the block: its own where a convolution leads around it. */
static int64_t add_shortcut(nft_family *family, const char *block, int64_t stream)
{
    static const char *const names[] = {"downsample", "shortcut"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const nft_entry *weight = nft_family_find(family, "%s.%s.0.weight", block, names[i]);
        if (!weight)
            continue;
        int64_t behind = nft_family_axis(family, nft_family_size(family, weight, 0), false, "stream");
        nft_family_layer(family, behind, stream, "%s.%s.0", block, names[i]);
        nft_family_norm(family, behind, "%s.%s.1", block, names[i]);
        return behind;
    }
    return stream;
}

static int64_t add_block(nft_family *family, const char *block, int64_t stream)
{
    int convolutions = 0;
    while (convolutions < MOST_CONVOLUTIONS &&
           nft_family_find(family, "%s.conv%d.weight", block, convolutions + 1))
        convolutions++;
    int64_t behind = add_shortcut(family, block, stream), in = stream;
    for (int i = 1; i <= convolutions; i++) {
        const nft_entry *weight = nft_family_find(family, "%s.conv%d.weight", block, i);
        int64_t size = nft_family_size(family, weight, 0);
        int64_t out = i == convolutions ? behind : nft_family_axis(family, size, false, "c");
        if (family->status)
            return behind;
        if (nft_family_size(family, weight, 1) != family->axes[in].neurons)
            nft_family_fail(family, "'%s' is a grouped convolution", weight->name);
        nft_family_layer(family, out, in, "%s.conv%d", block, i);
        nft_family_norm(family, out, "%s.bn%d", block, i);
        in = out;
    }
    return behind;
}

void nft_family_resnet(nft_family *family)
{
    const nft_entry *stem = nft_family_find(family, "conv1.weight");
    char name[NAME_CAPACITY];
    if (!stem) {
        nft_family_fail(family, "it has no 'conv1.weight'");
        return;
    }
    int64_t image = nft_family_axis(family, nft_family_size(family, stem, 1), true, "image");
    int64_t stream = nft_family_axis(family, nft_family_size(family, stem, 0), false, "stream");
    nft_family_layer(family, stream, image, "conv1");
    nft_family_norm(family, stream, "bn1");
    for (int stage = 1; nft_family_find(family, "layer%d.0.conv1.weight", stage); stage++)
        for (int block = 0; nft_family_find(family, "layer%d.%d.conv1.weight", stage, block); block++) {
            snprintf(name, sizeof name, "layer%d.%d", stage, block);
            stream = add_block(family, name, stream);
        }
    static const char *const heads[] = {"fc", "linear", "classifier"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        const nft_entry *head = nft_family_find(family, "%s.weight", heads[i]);
        if (!head || family->status)
            continue;
        int64_t classes = nft_family_axis(family, nft_family_size(family, head, 0), true, "classes");
        int64_t positions = nft_family_size(family, head, 1) / family->axes[stream].neurons;
        nft_family_add_flattened(family, head, classes, stream, positions);
        nft_family_add(family, nft_family_find(family, "%s.bias", heads[i]), &classes, 1);
        return;
    }
    nft_family_fail(family,
                    "it has no head 'fc', whose inputs would say that the last neurons may be permuted");
}
