/**
 * @file file.h
 * Files of tensors, read and written piece by piece, the spaces of files, and data sets made of files of
 * single networks.
 */
#ifndef NFT_FILE_H
#define NFT_FILE_H

#include "nft/array.h"
#include "nft/base.h"
#include "nft/collect.h"
#include "nft/space.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A file of tensors, opened and the table of its tensors read. See nft_file_open() for the formats. */
typedef struct nft_file nft_file;

/**
 * Writes arrays to a safetensors file under the given names.
 *
 * The data go to a temporary file in the target's folder, with the permissions of the target. When it is
 * complete, it is renamed over the target. The target is therefore whole at any moment, even if several
 * threads or processes write it. For a symbolic link the linked file is replaced. A device or a pipe is
 * written directly. A process that is killed meanwhile leaves `.NAME.nft-0.tmp`. The next save of the same
 * NAME removes it. libnft writes every file in this way.
 *
 * F32 arrays are written as F32, I64 as I64, in the order given.
 * @param path where the file will be
 * @param names of the tensors
 * @param arrays their values
 * @param count how many
 * @param metadata texts for the header's `__metadata__`: a key, its text, the next key … and NULL; NULL for
 * none
 * @return ::NFT_ERROR_FILE if it cannot be written, ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_array_save(const char *path, const char *const *names,
                                                 const nft_array *const *arrays, size_t count,
                                                 const char *const *metadata);

/** A safetensors file that is written piece by piece, so that its tensors need not fit in memory. One thread
 * at a time. */
typedef struct nft_file_writer nft_file_writer;

/**
 * Begins a temporary file in the folder of `path` with the table of its tensors. Thread-safe.
 * @param[out] writer end it with nft_file_writer_commit() or nft_file_writer_free()
 * @param path where the file will be
 * @param tensors name, type ("F32" or "I64"), rank and shape of each. The first one's `size` is the distance
 * from one to the next (0: as in this header). The rest is not read
 * @param count how many tensors
 * @param metadata as nft_array_save()
 * @return ::NFT_ERROR_FILE if it cannot be written, ::NFT_ERROR_ARGUMENT for the table, ::NFT_ERROR_LIMIT,
 * ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_file_writer_create(nft_file_writer **writer, const char *path,
                                                         const nft_tensor_info *tensors, int64_t count,
                                                         const char *const *metadata);
/**
 * Adds the next `bytes` bytes of the tensors' elements, row-major, one tensor after the other; a piece may
 * end anywhere between two elements. A piece that is too large for the tensors is refused as a whole.
 * After ::NFT_ERROR_FILE the writer can only be freed. Not thread-safe for one writer.
 * @return ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_FILE
 */
NFT_API NFT_MUST_CHECK nft_status nft_file_writer_append(nft_file_writer *writer, const void *data,
                                                         int64_t bytes);
/**
 * Writes elements first … first + count - 1 of tensor `tensor`. Each element is written once, in any order;
 * a pipe or a device takes them only in the order of the table. Not together with nft_file_writer_append().
 * Not thread-safe for one writer.
 * @return ::NFT_ERROR_ARGUMENT for elements that do not exist, or that were written, ::NFT_ERROR_FILE
 */
NFT_API NFT_MUST_CHECK nft_status nft_file_writer_write(nft_file_writer *writer, int64_t tensor,
                                                        int64_t first, const void *data, int64_t count);
/**
 * Renames the complete file over its path. Frees the writer, also when it fails. Not thread-safe for one
 * writer.
 * @return ::NFT_ERROR_ARGUMENT if elements are missing, ::NFT_ERROR_FILE
 */
NFT_API NFT_MUST_CHECK nft_status nft_file_writer_commit(nft_file_writer *writer);
/** Gives a file up and leaves `path` as it was; NULL is fine. Not thread-safe for one writer. */
NFT_API void nft_file_writer_free(nft_file_writer *writer);

/**
 * Opens a file and lists its tensors; reads none. The first bytes decide the format, and the name does not:
 *
 * - safetensors, and the index of a sharded network (`*.safetensors.index.json`);
 * - PyTorch (`torch.save`), both forms. Its pickle is interpreted as data and runs no code. Nested containers
 *   become names with dots: `state_dict.0.weight`. A single tensor is called `tensor`;
 * - NumPy: `.npy` (the array is called `tensor`) and `.npz`;
 * - ONNX: the initializers, unless their data are in another file;
 * - HDF5: datasets by their path, where libnft was built with it and libhdf5 is installed;
 * - each of these gzipped.
 *
 * Packed parts are unpacked into memory. nft_file_left_out_at() lists parts that are not read. Files of other
 * kinds are ::NFT_ERROR_FORMAT with their kind in the message.
 * @param[out] file the opened file; free it with nft_file_free()
 * @param path where it is; NULL if the options have its bytes, which are never written
 * @param options `memory_limit` and `bytes` count; NULL for the defaults
 * @return ::NFT_ERROR_FILE, ::NFT_ERROR_FORMAT, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT.
 * Thread-safe
 */
NFT_API NFT_MUST_CHECK nft_status nft_file_open(nft_file **file, const char *path,
                                                const nft_load_options *options);
/** Closes a file; NULL is fine. Not thread-safe for one file. */
NFT_API void nft_file_free(nft_file *file);
/** How many tensors it holds. Not thread-safe for one file. */
NFT_API int64_t nft_file_tensor_count(const nft_file *file);
/**
 * Tensor `index`, in natural order of the names (`net.2` before `net.10`). Not thread-safe for one file.
 * @return ::NFT_ERROR_ARGUMENT if there is no such tensor
 */
NFT_API NFT_MUST_CHECK nft_status nft_file_tensor(nft_tensor_info *info, const nft_file *file, int64_t index);
/**
 * The name of a tensor or another part that is not read, and why in *reason unless that is NULL: quantised,
 * sparse or complex tensors, for example, and objects of Python. NULL beyond the last `index`. Both are
 * borrowed from the file. Not thread-safe for one file.
 */
NFT_API const char *nft_file_left_out_at(const char **reason, const nft_file *file, int64_t index);
/** A text of a safetensors header's `__metadata__`, NULL if there is none. Borrowed from the file. Not
 * thread-safe for one file. */
NFT_API const char *nft_file_metadata(const nft_file *file, const char *key);
/**
 * Key `index` of `__metadata__`, and its text in *text unless that is NULL; NULL beyond the last. Both are
 * borrowed from the file. Not thread-safe for one file.
 */
NFT_API const char *nft_file_metadata_at(const char **text, const nft_file *file, int64_t index);
/**
 * Reads a tensor, or rows of its first axis, so that a tensor need not fit in memory. F32, F16, BF16, F64 and
 * the F8 types become F32. F64 is rounded, the others are exact; I64, I32, I16, I8, U64, U32, U16, U8 and
 * BOOL become I64. Not thread-safe for one file.
 * @param[out] array free it with nft_array_free()
 * @param file any
 * @param name of the tensor
 * @param first row; 0 of a single number
 * @param count rows; ::NFT_ALL: all that follow, also of a single number
 * @return ::NFT_ERROR_FORMAT for a U64 larger than any I64, and for a tensor that was left out;
 * ::NFT_ERROR_ARGUMENT for another name, or rows that do not exist; ::NFT_ERROR_FILE, ::NFT_ERROR_LIMIT,
 * ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_file_read(nft_array **array, const nft_file *file, const char *name,
                                                int64_t first, int64_t count);

/**
 * Finds the space of a file, and reads no weights. Thread-safe.
 * @param[out] space free it with nft_space_free()
 * @param path networks in any format of nft_file_open(); a model, for the space of the networks that it
 * reads; or JSON: a space as nft_space_parse() reads it, or an object that has one under `space` or
 * `model.space` (a configuration, a recipe, a sidecar)
 * @param options as nft_weights_load(); NULL for the defaults
 * @return ::NFT_ERROR_FILE, ::NFT_ERROR_FORMAT, ::NFT_ERROR_CONFIG for a wrong description,
 * ::NFT_ERROR_MISMATCH, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_load(nft_space **space, const char *path,
                                                 const nft_load_options *options);

/**
 * Finds the space of the model in an ONNX file by its graph. At first every dimension of every weight is a
 * separate axis. The operators unite them. Inputs and outputs are ordered, and so is each axis that passes
 * through an unknown operator: a warning in the log names the first of these. So permuting an axis never
 * changes the function of the network. The weights are the initializers of floats, by their names, except
 * initial states of zeros, which are constants.
 *
 * Sizes that an input of the graph leaves open are taken as 1 for the first dimension and as 16 or, in four
 * dimensions, 224 for others. Thread-safe.
 * @param[out] space free it with nft_space_free()
 * @param model_path a model in ONNX; data in another file are not needed
 * @param weights_path NULL, or a file with weights under the same names, of any format of nft_file_open(): a
 * state dict. Initializers that it does not have are constants: their axes are ordered, and they are no
 * tensors of the space
 * @return ::NFT_ERROR_FORMAT, ::NFT_ERROR_FILE, ::NFT_ERROR_LIMIT, ::NFT_ERROR_MEMORY, ::NFT_ERROR_ARGUMENT
 */
NFT_API NFT_MUST_CHECK nft_status nft_space_from_onnx(nft_space **space, const char *model_path,
                                                      const char *weights_path);

/**
 * Writes the first `count` networks of a set to a file that is written piece by piece. They become networks
 * first … first + count - 1 of the file. The set's names find the tensors; parts of one tensor of the file
 * are joined. A bias of zeros of a chain's layer may be missing in the file. Not thread-safe for one writer.
 * @param writer as nft_file_writer_write() takes it
 * @param weights the set; it has at least `count` networks
 * @param first number of the file's network that the set's first one becomes
 * @param count how many
 * @return ::NFT_ERROR_MISMATCH for a tensor that the file does not have, or has with another row, else as
 * nft_file_writer_write()
 */
NFT_API NFT_MUST_CHECK nft_status nft_weights_write(nft_file_writer *writer, const nft_weights *weights,
                                                    int64_t first, int64_t count);

#ifdef __cplusplus
}
#endif

#endif
