/**
 * @file nft.h
 * libnft: the weights of trained networks as data.
 *
 * A complete program. It loads a trained model, runs it on the weights of a file of networks and prints one
 * line a network:
 *
 * @code
 * #include <nft/nft.h>
 * #include <stdio.h>
 *
 * int main(int argc, char **argv)
 * {
 *     if (argc != 3) {
 *         fprintf(stderr, "usage: %s MODEL WEIGHTS\n", argv[0]);
 *         return 2;
 *     }
 *     nft_model *model = NULL;
 *     nft_weights *networks = NULL;
 *     nft_context *context = NULL;
 *     int failed = nft_model_load(&model, argv[1], NULL) || nft_weights_load(&networks, argv[2], NULL) ||
 *                  nft_context_create(&context, model, NULL) ||
 *                  nft_forward(context, NFT_VIEW_WEIGHTS(networks));
 *     const nft_array *output = nft_context_output(context, NFT_OUTPUT)->array;
 *     if (failed) {
 *         fprintf(stderr, "%s\n", nft_error_message());
 *     } else if (output) {
 *         const float *values = nft_array_f32(output);
 *         int64_t count = nft_array_size(output, 0);
 *         for (int64_t n = 0; n < count; n++)
 *             printf("%g\n", values[n * (nft_array_count(output) / count)]);
 *     }
 *     nft_context_free(context);
 *     nft_weights_free(networks);
 *     nft_model_free(model);
 *     return failed;
 * }
 * @endcode
 *
 * This header runs models. nft/train.h trains them, nft/inr.h fits and renders SIRENs, nft/file.h reads and
 * writes files of tensors, and nft/nft.hpp is for C++.
 *
 * **Shapes.** Raw arrays are PyTorch's: row-major, output axis first. Sizes are int64_t.
 *
 * **Ownership.** An output parameter comes first. The caller frees a handle in it. After a failure it is
 * NULL, and every `nft_…_free` takes NULL. Getters return borrowed views. A getter of a pointer or a count
 * returns NULL or 0 for NULL, and for a thing that does not exist. A handle keeps a counted reference to
 * every object that it uses, so any order of freeing is right.
 *
 * **Errors.** A fallible call returns ::nft_status, 0 for success; nft_error_message() then returns one line
 * about the failure. The library never prints, exits or aborts.
 *
 * **Threads.** Spaces and models are immutable and shared freely. A context, like a weight set that is being
 * written, belongs to one thread at a time. Functions marked "Thread-safe" may be called from any
 * thread at any time.
 *
 * **Growing structs** begin with their size, set by the …_INIT macros; zero in any later field is the
 * default.
 *
 * Papers: Neural Functional Transformers, https://arxiv.org/abs/2305.13546; Permutation Equivariant Neural
 * Functionals, https://arxiv.org/abs/2302.14040.
 */
#ifndef NFT_NFT_H
#define NFT_NFT_H

#include "nft/array.h"
#include "nft/base.h"
#include "nft/context.h"
#include "nft/model.h"
#include "nft/space.h"
#include "nft/weights.h"

#endif
