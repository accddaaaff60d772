/* torchvision's MobileNetV2: features of inverted residuals. Blocks that keep the width share the stream's
 * axis, whether they have a residual connection or not: fewer permutations, but all of them right. */
#include "io/families/families.h"

#include <stdio.h>

#define NAME_CAPACITY 128

/* Axis behind a convolution: the stream's if it is as wide. */
static int64_t axis_behind(nft_family *family, const nft_entry *weight, int64_t stream)
{
    int64_t size = nft_family_size(family, weight, 0);
    if (family->status || size == family->axes[stream].neurons)
        return stream;
    return nft_family_axis(family, size, false, "stream");
}

static int64_t add_block(nft_family *family, const char *block, int64_t stream)
{
    const nft_entry *third = nft_family_find(family, "%s.conv.2.weight", block);
    bool expands = nft_family_find(family, "%s.conv.1.0.weight", block) != NULL;
    if (!expands) {
        int64_t out = axis_behind(family, nft_family_find(family, "%s.conv.1.weight", block), stream);
        nft_family_layer(family, stream, -1, "%s.conv.0.0", block);
        nft_family_norm(family, stream, "%s.conv.0.1", block);
        nft_family_layer(family, out, stream, "%s.conv.1", block);
        nft_family_norm(family, out, "%s.conv.2", block);
        return out;
    }
    const nft_entry *first = nft_family_find(family, "%s.conv.0.0.weight", block);
    int64_t inner = nft_family_axis(family, nft_family_size(family, first, 0), false, "c");
    int64_t out = axis_behind(family, third, stream);
    nft_family_layer(family, inner, stream, "%s.conv.0.0", block);
    nft_family_norm(family, inner, "%s.conv.0.1", block);
    nft_family_layer(family, inner, -1, "%s.conv.1.0", block);
    nft_family_norm(family, inner, "%s.conv.1.1", block);
    nft_family_layer(family, out, inner, "%s.conv.2", block);
    nft_family_norm(family, out, "%s.conv.3", block);
    return out;
}

void nft_family_mobilenet(nft_family *family)
{
    const nft_entry *stem = nft_family_find(family, "features.0.0.weight");
    const nft_entry *head = nft_family_find(family, "classifier.1.weight");
    char name[NAME_CAPACITY];
    int i = 1;
    if (!stem || !head) {
        nft_family_fail(family, "it has no '%s'", stem ? "classifier.1.weight" : "features.0.0.weight");
        return;
    }
    int64_t image = nft_family_axis(family, nft_family_size(family, stem, 1), true, "image");
    int64_t stream = nft_family_axis(family, nft_family_size(family, stem, 0), false, "stream");
    nft_family_layer(family, stream, image, "features.0.0");
    nft_family_norm(family, stream, "features.0.1");
    for (; nft_family_find(family, "features.%d.conv.0.0.weight", i); i++) {
        snprintf(name, sizeof name, "features.%d", i);
        stream = add_block(family, name, stream);
    }
    const nft_entry *last = nft_family_find(family, "features.%d.0.weight", i);
    int64_t behind = last ? nft_family_axis(family, nft_family_size(family, last, 0), false, "c") : stream;
    if (last) {
        nft_family_layer(family, behind, stream, "features.%d.0", i);
        nft_family_norm(family, behind, "features.%d.1", i);
    }
    int64_t classes = nft_family_axis(family, nft_family_size(family, head, 0), true, "classes");
    nft_family_layer(family, classes, behind, "classifier.1");
}
