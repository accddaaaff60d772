#include "io/adapt.h"

#include "io/formats/format.h"
#include "io/kernels.h"
#include "io/several.h"
#include "space/metadata.h"
#include "space/space.h"

nft_status nft_file_adapt(nft_file *file, const nft_load_options *options)
{
    bool is_described = file->format == &nft_format_onnx || nft_file_metadata(file, NFT_SPACE_KEY) ||
                        nft_file_metadata(file, NFT_CONFIG_KEY) ||
                        (options->space && !options->space->layer_count);
    nft_status status = NFT_OK;
    if (is_described)
        return NFT_OK;
    if (!file->has_kernels_shown)
        status = nft_kernels_convert(file);
    file->has_kernels_shown = !status;
    if (!status && !file->is_stacked && !options->layers && !(options->prefix && *options->prefix))
        status = nft_several_stack(file, &file->is_stacked);
    return status;
}

nft_status nft_file_adapt_again(nft_file *file, const nft_file *first)
{
    nft_status status = first->has_kernels_shown ? nft_kernels_convert(file) : NFT_OK;
    file->has_kernels_shown = first->has_kernels_shown;
    if (!status && first->is_stacked)
        status = nft_several_stack(file, &file->is_stacked);
    return status;
}
