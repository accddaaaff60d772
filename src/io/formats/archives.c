/* Zip archives: PyTorch's and NumPy's; others are named. */
#include "io/formats/numpy.h"
#include "io/formats/torch.h"

#include <inttypes.h>
#include <string.h>

static nft_status fail_archive(const nft_zip *zip)
{
    if (nft_zip_find(zip, "model.weights.h5", strlen("model.weights.h5")))
        return nft_fail(NFT_ERROR_FORMAT,
                        "it is a Keras archive; unpack it and read the file model.weights.h5 in it");
    if (nft_zip_find(zip, "[Content_Types].xml", strlen("[Content_Types].xml")))
        return nft_fail(NFT_ERROR_FORMAT, "it is a document of an office program, which holds no tensors");
    return nft_fail(NFT_ERROR_FORMAT,
                    "it is a zip archive of %" PRId64
                    " files, neither PyTorch's nor NumPy's; unpack it and read "
                    "the files in it",
                    zip->count);
}

static nft_status open_archive(nft_file *file)
{
    nft_zip zip = {0};
    nft_status status = nft_zip_open(&zip, &file->source);
    if (!status && nft_torch_is_archive(&zip))
        status = nft_torch_open_archive(file, &zip);
    else if (!status && nft_numpy_is_archive(&zip))
        status = nft_numpy_open_archive(file, &zip);
    else if (!status)
        status = fail_archive(&zip);
    nft_zip_clear(&zip);
    return status;
}

const nft_format nft_format_zip = {"zip", nft_zip_matches, open_archive, NULL};
