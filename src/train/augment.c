#include "train/augment.h"

#include "base/pi.h"
#include "config/json.h"
#include "siren/canonical.h"
#include "siren/siren.h"

#include <math.h>

#define NUMBERS_OF_A_NETWORK 4

static nft_status read_scale(nft_augment *augment, const json_t *list)
{
    double *scale = augment->scale;
    for (size_t i = 0; i < 2 && list; i++)
        scale[i] = json_number_value(json_array_get(list, i)); /* 0 of any other value */
    if (!list || (json_array_size(list) == 2 && scale[0] > 0 && scale[0] <= scale[1] && scale[1] <= 1e3))
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG,
                    "augment: 'scale' is not the least and the largest factor, two numbers above 0 and up to "
                    "1000 in this order");
}

/* Shares near 0 or 1, or near 1/2, need many random numbers beyond this range. */
static nft_status read_mixup(nft_augment *augment, nft_options *options)
{
    const nft_json *value = NULL;
    nft_status status = nft_options_value(options, "mixup", false, &value);
    return status || !value ? status : nft_options_number(options, "mixup", true, 0.05, 4, &augment->mixup);
}

static nft_status read_canonical(nft_augment *augment, nft_options *options)
{
    const nft_json *value = NULL;
    nft_status status = nft_options_value(options, "canonical", false, &value);
    augment->by_data = !value;
    return status || !value ? status : nft_options_boolean(options, "canonical", true, &augment->canonical);
}

nft_status nft_augment_read(nft_augment *augment, const nft_json *value)
{
    nft_options options;
    const nft_json *scale = NULL;
    nft_status status;
    *augment =
        (nft_augment){.enabled = value != NULL, .scale = {1, 1}, .form = nft_siren_plain(NFT_DEFAULT_OMEGA)};
    if (!value)
        return NFT_OK;
    if ((status = nft_options_open(&options, value, "augment")) ||
        (status = nft_options_number(&options, "rotate", false, 0, 180, &augment->rotate)) ||
        (status = nft_options_number(&options, "shift", false, 0, 1e3, &augment->shift)) ||
        (status = nft_options_value(&options, "scale", false, &scale)) ||
        (status = read_scale(augment, scale)) ||
        (status = nft_options_boolean(&options, "mirror", false, &augment->mirror)) ||
        (status = read_mixup(augment, &options)) || (status = read_canonical(augment, &options)) ||
        (status = nft_siren_form_option(&augment->form, &options)))
        return status;
    return nft_options_finish(&options);
}

nft_status nft_augment_check(const nft_augment *augment, const nft_model *model)
{
    if (!augment->enabled)
        return NFT_OK;
    if (!model->space || model->any_space || model->input.channels != 1)
        return nft_fail(NFT_ERROR_MISMATCH,
                        "augment takes a model of one space and of 1 channel, the weights of SIRENs");
    nft_status status = nft_siren_check_space(model->space);
    if (!status)
        status = nft_siren_form_check(&augment->form, model->space);
    return status ? nft_fail_in(status, "augment") : NFT_OK;
}

bool nft_augment_is_canonical(const nft_augment *augment, bool said)
{
    return augment->enabled && (augment->by_data ? said : augment->canonical);
}

nft_random nft_augment_random(uint64_t seed, int64_t step)
{
    return (nft_random){.seed = seed, .stream = nft_random_stream("augment") + (uint64_t)step};
}

/* x → map · x + shift. Coordinates are (y, x). */
typedef struct movement {
    double map[2][2], shift[2];
} movement;

static movement draw(const nft_augment *augment, const nft_random *random, uint64_t first)
{
    double u[NUMBERS_OF_A_NETWORK];
    for (uint64_t i = 0; i < NUMBERS_OF_A_NETWORK; i++)
        u[i] = (double)nft_random_uniform(random, first + i);
    /* The lowest bit that the angle's number does not use: it has 24, of 40 on. */
    bool mirrored = augment->mirror && (nft_random_bits(random, first) & 1);
    double angle = (2 * u[0] - 1) * augment->rotate * NFT_PI / 180;
    double scale = augment->scale[0] + u[1] * (augment->scale[1] - augment->scale[0]);
    double sine = scale * sin(angle), cosine = scale * cos(angle), side = mirrored ? -1 : 1;
    return (movement){.map = {{cosine, -side * sine}, {sine, side * cosine}},
                      .shift = {(2 * u[2] - 1) * augment->shift, (2 * u[3] - 1) * augment->shift}};
}

void nft_augment_network(const nft_augment *augment, const nft_random *random, nft_weights *weights,
                         int64_t index, bool canonical)
{
    const nft_space *space = weights->space;
    float *const *tensors = (float *const *)weights->data;
    int64_t neurons = space->layers[0].out;
    movement m = draw(augment, random, (uint64_t)index * NUMBERS_OF_A_NETWORK);
    float *weight = tensors[NFT_WEIGHT_OF(0)] + index * neurons * 2,
          *bias = tensors[NFT_BIAS_OF(0)] + index * neurons;
    for (int64_t neuron = 0; neuron < neurons; neuron++, weight += 2) {
        double y = (double)weight[0], x = (double)weight[1];
        bias[neuron] = (float)((double)bias[neuron] + y * m.shift[0] + x * m.shift[1]);
        weight[0] = (float)(y * m.map[0][0] + x * m.map[1][0]);
        weight[1] = (float)(y * m.map[0][1] + x * m.map[1][1]);
    }
    if (canonical)
        nft_siren_canonicalize(space, &augment->form, tensors, index, 1);
}
