/**
 * @file inr.h
 * Implicit neural representations: SIRENs, networks that are images.
 *
 * A SIREN is an MLP that maps the place (y, x) of a pixel to its colours: h ← sin(ω (W h + v)) in every layer
 * but the last, which is linear. Places are linearly spaced in [-1, 1] in both directions; colours are in
 * [-1, 1], for a byte p (p / 255 - ½) / ½. The functions here take weight sets whose space is an MLP of 2
 * inputs, {2, 32, 32, 1} for example, with one channel.
 *
 * The metadata of a weight set may have its form. `nft.omega` is ω: a number, or a list with commas, one
 * number for each layer. The last number also holds for the layers that follow: "30,1" is 30 in the first
 * layer and 1 in all others. `nft.offset` is a number that is added to the output. Both are of magnitude 1e6
 * at most. A function with the parameter ω takes 0 for the set's own ω, and for 30 where the set has none.
 * Another number is ω of every layer; fresh and fitted networks get it as their `nft.omega`. `nft.canonical`
 * is "sign-phase" in canonical form. A text that cannot be read is ::NFT_ERROR_FORMAT. More numbers than
 * layers are ::NFT_ERROR_MISMATCH.
 *
 * Source: Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions", 2020,
 * https://arxiv.org/abs/2006.09661.
 */
#ifndef NFT_INR_H
#define NFT_INR_H

#include "nft/array.h"
#include "nft/base.h"
#include "nft/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How the learning rate changes from step 0 to the last. */
enum {
    NFT_INR_SCHEDULE_CONSTANT = 0, /**< not at all */
    NFT_INR_SCHEDULE_COSINE = 1    /**< times ½ (1 + cos(π step / steps)) */
};

/** How SIRENs are fitted. Zero in a field is its default. */
typedef struct nft_inr_fit_options {
    size_t size;      /**< sizeof(nft_inr_fit_options) */
    int32_t threads;  /**< threads that share the networks, the caller's included, at most 1024; 0: all
                         cores */
    int32_t schedule; /**< NFT_INR_SCHEDULE_… */
    int64_t steps;    /**< updates of each network; 0: 250 */
    double lr;        /**< learning rate; 0: 1e-3 */
    double betas[2];  /**< of Adam, below 1; 0: 0.9 and 0.999 */
    double eps;       /**< of Adam; 0: 1e-8 */
    double omega;     /**< ω, 1e-6 … 1e6; 0: that of the set, or 30 */
    nft_progress_callback *progress; /**< receives networks finished and in all, also from time to time while
                                        none finishes, until the caller's thread is done; NULL: none */
    void *user;                      /**< handed to the callback */
    int32_t shared_init; /**< 1: every network begins with the weights of network 0, so that they all keep its
                            order of neurons, signs and phases; 0: each with its own */
    int32_t precision; /**< NFT_PRECISION_… of products between hidden layers while a network is fitted; the
                          losses are those in single precision */
} nft_inr_fit_options;

/** Options with every default. */
#define NFT_INR_FIT_OPTIONS_INIT                                                                             \
    {                                                                                                        \
        sizeof(nft_inr_fit_options), 0, NFT_INR_SCHEDULE_CONSTANT, 0, 0, {0, 0}, 0, 0, NULL, NULL, 0, 0      \
    }

/** How SIRENs are rendered. Zero in a field is its default. */
typedef struct nft_inr_render_options {
    size_t size;          /**< sizeof(nft_inr_render_options) */
    int32_t threads;      /**< threads that share the pixels, the caller's included, at most 1024; 0: all
                             cores */
    double omega;         /**< ω, 1e-6 … 1e6; 0: that of the set, or 30 */
    int64_t memory_limit; /**< bytes that the images may take; 0: the machine's memory */
} nft_inr_render_options;

/** Options with every default. */
#define NFT_INR_RENDER_OPTIONS_INIT                                                                          \
    {                                                                                                        \
        sizeof(nft_inr_render_options), 0, 0, 0                                                              \
    }

/**
 * Makes every network of a set a fresh SIREN: weights uniform in ±1/in in the first layer and ±√(6/in)/ω in
 * the others, with ω of the layer, biases in ±1/√in. Not thread-safe for one set.
 * @param weights the networks; their values are replaced
 * @param seed the same seed gives the same networks
 * @param first network n of the set is number first + n of all that the seed gives, so that a large set can
 * be made in pieces
 * @param omega ω, 1e-6 … 1e6; 0: that of the set, or 30
 * @return ::NFT_ERROR_CONFIG if the space is no SIREN's, ::NFT_ERROR_MISMATCH if the set has more than one
 * channel, ::NFT_ERROR_ARGUMENT if it borrows the caller's memory
 */
NFT_API NFT_MUST_CHECK nft_status nft_inr_init(nft_weights *weights, uint64_t seed, int64_t first,
                                               double omega);

/**
 * Fits network n to image n, each on its own: Adam on the mean squared error over all pixels and colours.
 *
 * A network's result does not depend on the other networks or on the threads, but with `shared_init` on the
 * weights that network 0 has at the call. On failure, and when the
 * callback stops it (::NFT_ERROR_CANCELLED), networks that are finished keep their new weights, the others
 * their old ones.
 * @param weights the networks to begin with, which become the fitted ones
 * @param[out] losses N mean squared errors after the last step, or NULL. An unfinished network has NaN, and a
 * network that diverged has a number that is not finite. The PSNR is 10 log10(4 / loss) dB.
 * @param images F32 (N, height, width, colours), colours in -1 … 1
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_CONFIG if the space is no SIREN's, ::NFT_ERROR_MISMATCH if the set has more than one
 * channel or the images do not fit it, ::NFT_ERROR_ARGUMENT if it borrows the caller's memory,
 * ::NFT_ERROR_NOT_FINITE if a colour is not finite
 */
NFT_API NFT_MUST_CHECK nft_status nft_inr_fit(nft_weights *weights, float *losses, const nft_array *images,
                                              const nft_inr_fit_options *options);

/**
 * Brings every network of a set to one sign and phase of its hidden neurons. The function of the networks
 * does not change. Signs and phases are the symmetries of a SIREN other than permutations.
 *
 * Let a hidden neuron have the weights w, the bias b and, in the next layer, the column c of weights. Sine is
 * odd and sin(t + π) = -sin t, so (w, b, c), (-w, -b, -c) and (w, b + k π/ω, (-1)^k c) for every whole k are
 * the same neuron, and every symmetry of one neuron is made of these two. This function takes one of the
 * equal forms:
 * - The weights w have a positive sum. If that is zero, the sum of their cubes decides, then in the first
 *   layer the first weight that is not zero.
 * - The phase ω b lies in (-15/32 π, 17/32 π], or in [0, π/2] if none of these gives the weights a sign.
 *
 * Layers are taken in their order. The signs of a layer's columns are therefore known before the signs of its
 * rows are chosen. A sum does not depend on the order of the neurons before.
 *
 * The weights decide the signs, because both symmetries move weights without rounding: a network and its copy
 * get the same signs. A phase is rounded when it is moved. Its interval has one border, far from 0 and π/2,
 * where biases of zero and cosines lie. The other natural choice is ω b in [0, π/2] with the signs that
 * follow. Its borders lie at 0 and π/2, so rounding would choose the sign of a neuron with zero bias.
 *
 * A second call changes no bit. A network and a copy of it with other signs, phases and order get the same
 * neurons up to rounding, unless rounding takes a phase across the border. A bias that is not finite, or of
 * more than 2^22 half periods, does not hold its phase and is not moved.
 *
 * Source of the symmetries, and of taking the phase before a model sees the weights: Kalogeropoulos et al.,
 * "Scale Equivariant Graph Metanetworks", 2024, https://arxiv.org/abs/2406.10685, sections 4 and 5. They take
 * ω b in (-π/2, π/2] and leave the signs to the model. Not thread-safe for one set.
 * @param weights the networks
 * @param omega ω of the networks, 1e-6 … 1e6; 0: that of the set, or 30
 * @return ::NFT_ERROR_CONFIG if the space is no SIREN's, ::NFT_ERROR_MISMATCH if the set has more than one
 * channel, ::NFT_ERROR_ARGUMENT if it borrows the caller's memory
 */
NFT_API NFT_MUST_CHECK nft_status nft_inr_canonicalize(nft_weights *weights, double omega);

/**
 * Renders networks first … first + count - 1 at any size. Of features, each channel is a network, and the
 * image is the mean of their renderings: k channels are k edits of a network. Thread-safe unless another
 * thread writes the set.
 * @param[out] images F32 (count, height, width, colours), about -1 … 1, not clipped; free it with
 * nft_array_free()
 * @param weights the networks
 * @param first the first to render
 * @param count how many
 * @param height pixels
 * @param width pixels
 * @param options NULL for the defaults
 * @return ::NFT_ERROR_CONFIG if the space is no SIREN's, ::NFT_ERROR_ARGUMENT, ::NFT_ERROR_LIMIT,
 * ::NFT_ERROR_MEMORY
 */
NFT_API NFT_MUST_CHECK nft_status nft_inr_render(nft_array **images, const nft_weights *weights,
                                                 int64_t first, int64_t count, int64_t height, int64_t width,
                                                 const nft_inr_render_options *options);

#ifdef __cplusplus
}
#endif

#endif
