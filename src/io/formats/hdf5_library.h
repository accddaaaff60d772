/* libhdf5, loaded when the first HDF5 file is opened: it brings thirty other libraries with it, which no
 * other program should have to load. */
#ifndef NFT_IO_FORMATS_HDF5_LIBRARY_H
#define NFT_IO_FORMATS_HDF5_LIBRARY_H

#include "base/status.h"

#define H5_USE_110_API /* later versions rename the types of this interface */
#include <hdf5.h>

/* Functions, by their names without the H5 in front. */
/* clang-format off */
#define NFT_HDF5_FUNCTIONS(X) \
    X(open) X(get_libversion) X(free_memory) X(Dclose) X(Dget_space) X(Dget_type) X(Dopen2) X(Dread) \
    X(Eget_auto2) X(Eset_auto2) X(Fclose) X(Fopen) X(Ovisit2) X(Pclose) X(Pcreate) X(Pset_fapl_core) \
    X(Pset_fclose_degree) X(Pset_file_image) X(Sclose) X(Screate_simple) X(Sget_simple_extent_dims) \
    X(Sget_simple_extent_npoints) X(Sselect_hyperslab) X(Tclose) X(Tcopy) X(Tget_class) X(Tget_fields) \
    X(Tget_nmembers) X(Tget_sign) X(Tget_size) X(Tis_variable_str) X(Tset_order)

/* Variables that hold identifiers. */
#define NFT_HDF5_IDENTIFIERS(X) \
    X(P_CLS_FILE_ACCESS_ID) X(T_IEEE_F32LE) X(T_IEEE_F64LE) X(T_STD_I8LE) X(T_STD_I16LE) X(T_STD_I32LE) \
    X(T_STD_I64LE) X(T_STD_U8LE) X(T_STD_U16LE) X(T_STD_U32LE) X(T_STD_U64LE)
/* clang-format on */

typedef struct nft_hdf5_library {
#define MEMBER(name) __typeof__(H5##name) *name;
    NFT_HDF5_FUNCTIONS(MEMBER)
#undef MEMBER
#define MEMBER(name) const hid_t *name;
    NFT_HDF5_IDENTIFIERS(MEMBER)
#undef MEMBER
} nft_hdf5_library;

/* Complete after nft_hdf5_load(), which fails if the library is not installed, or is another version. */
extern nft_hdf5_library nft_hdf5;
nft_status nft_hdf5_load(void);

#endif
