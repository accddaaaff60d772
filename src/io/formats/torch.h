/* Both forms of PyTorch's files: a pickle of nested containers whose tensors are views of storages. */
#ifndef NFT_IO_FORMATS_TORCH_H
#define NFT_IO_FORMATS_TORCH_H

#include "io/formats/pickle.h"
#include "io/formats/zip.h"

typedef struct nft_torch_storage {
    const nft_source *source;
    int64_t offset, size; /* bytes */
} nft_torch_storage;

typedef struct nft_torch {
    nft_file *file;
    nft_pickle pickle;
    bool is_big_endian;
    /* The storage with this key; an error if there is none. */
    nft_status (*find)(struct nft_torch *torch, const char *key, int64_t length, nft_torch_storage *storage);
    void *places;   /* of the storages, for `find` */
    nft_text path;  /* of the value that is looked at: names with dots between them */
    int64_t budget; /* bytes that the names may still take */
} nft_torch;

/* Adds the tensors and scalars that the value holds to the file. */
nft_status nft_torch_list(nft_torch *torch, nft_pickle_ref root);

/* The bytes of an element of a storage by its persistent id; 0 if it is not known. */
int64_t nft_torch_element_bytes(const nft_pickle *pickle, nft_pickle_ref id);

/* Whether an archive is PyTorch's. */
bool nft_torch_is_archive(const nft_zip *zip);
nft_status nft_torch_open_archive(nft_file *file, nft_zip *zip);

#endif
