#include "train/recipe.h"

#include "config/json.h"
#include "siren/siren.h"

#include <float.h>
#include <inttypes.h>
#include <string.h>

static nft_status read_beta(const json_t *list, size_t index, double *beta)
{
    const json_t *found = json_array_get(list, index);
    *beta = json_number_value(found);
    if (json_array_size(list) == 2 && json_is_number(found) && *beta >= 0 && *beta < 1)
        return NFT_OK;
    if (json_array_size(list) == 2 && json_is_number(found))
        return nft_fail(NFT_ERROR_CONFIG,
                        "optimizer: one of the 'betas' is %g, expected at least 0 and below 1", *beta);
    return nft_fail(NFT_ERROR_CONFIG, "optimizer: 'betas' are not two numbers, each at least 0 and below 1");
}

/* Less is 0 in float: of a gradient that is always 0 the update would be 0/0. */
#define MIN_EPS 1e-37

static nft_status read_optimizer(nft_optimizer *optimizer, const json_t *value)
{
    static const char *const types[] = {"adam", "adamw"};
    nft_options options;
    const json_t *betas = NULL;
    int type = 0;
    nft_status status;
    if ((status = nft_options_open(&options, value, "optimizer")) ||
        (status = nft_options_choice(&options, "type", true, types, 2, &type)))
        return status;
    optimizer->decoupled = type == 1;
    optimizer->weight_decay = optimizer->decoupled ? 0.01 : 0;
    if ((status = nft_options_number(&options, "lr", false, 0, DBL_MAX, &optimizer->lr)) ||
        (status = nft_options_value(&options, "betas", false, &betas)) ||
        (status = nft_options_number(&options, "eps", false, MIN_EPS, DBL_MAX, &optimizer->eps)) ||
        (status =
             nft_options_number(&options, "weight_decay", false, 0, DBL_MAX, &optimizer->weight_decay)) ||
        (betas && ((status = read_beta(betas, 0, &optimizer->beta1)) ||
                   (status = read_beta(betas, 1, &optimizer->beta2)))))
        return status;
    return nft_options_finish(&options);
}

static nft_status read_schedule(nft_schedule *schedule, const json_t *value)
{
    static const char *const types[] = {"constant", "cosine"};
    nft_options options;
    int type = 0;
    nft_status status;
    if ((status = nft_options_open(&options, value, "schedule")) ||
        (status = nft_options_choice(&options, "type", false, types, 2, &type)) ||
        (status = nft_options_integer(&options, "warmup_steps", false, 0, INT64_MAX, &schedule->warmup)) ||
        (status = nft_options_integer(&options, "total_steps", false, 1, INT64_MAX, &schedule->total)) ||
        (status = nft_options_finish(&options)))
        return status;
    schedule->cosine = type == 1;
    return NFT_OK;
}

/* A warm-up may be longer than the training. */
static nft_status check_schedule(const nft_schedule *schedule, int64_t steps)
{
    if (!schedule->cosine || schedule->warmup < schedule->total || schedule->warmup >= steps)
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG,
                    "schedule: 'warmup_steps' is %" PRId64 ", expected less than 'total_steps', %" PRId64,
                    schedule->warmup, schedule->total);
}

static nft_status read_clip(nft_options *options, double *clip)
{
    const json_t *value = NULL;
    nft_status status = nft_options_value(options, "grad_clip", false, &value);
    if (status || !value)
        return status;
    *clip = json_number_value(value);
    if (json_is_number(value) && *clip > 0)
        return NFT_OK;
    if (json_is_number(value))
        return nft_fail(NFT_ERROR_CONFIG,
                        "recipe: 'grad_clip' is %g, expected a number above 0; null means no clipping",
                        *clip);
    return nft_fail(NFT_ERROR_CONFIG, "recipe: 'grad_clip' is not a number above 0; null means no clipping");
}

static nft_status read_ema(nft_options *options, double *decay)
{
    const json_t *value = NULL;
    nft_status status = nft_options_value(options, "ema_decay", false, &value);
    if (status || !value)
        return status;
    *decay = json_number_value(value);
    if (json_is_number(value) && *decay > 0 && *decay < 1)
        return NFT_OK;
    return nft_fail(NFT_ERROR_CONFIG,
                    "recipe: 'ema_decay' is not a number above 0 and below 1; null means no average");
}

static nft_status read_patience(nft_options *options, int64_t *patience)
{
    const json_t *value = NULL;
    nft_status status = nft_options_value(options, "patience", false, &value);
    if (status || !value)
        return status;
    *patience = json_integer_value(value);
    if (json_is_integer(value) && *patience > 0)
        return NFT_OK;
    return nft_fail(
        NFT_ERROR_CONFIG,
        "recipe: 'patience' is not a number of validations, at least 1; null means no early stopping");
}

/* A decoder's is in the model's configuration. */
static nft_status read_omega(nft_options *options, nft_siren_form *form, int loss)
{
    const json_t *value = NULL;
    nft_status status = nft_options_value(options, "omega", false, &value);
    if (status || !value)
        return status;
    if (nft_losses[loss].target != NFT_TARGET_IMAGE)
        return nft_fail(NFT_ERROR_CONFIG, "recipe: 'omega' is for loss render, not %s",
                        nft_losses[loss].name);
    if (nft_siren_omega_from_json(form, value))
        return NFT_OK;
    return nft_fail(
        NFT_ERROR_CONFIG,
        "recipe: 'omega' is not a number from 1e-6 to 1e6, or a list of one for each layer, at most "
        "%d",
        NFT_SIREN_OMEGAS);
}

static nft_status read_label(nft_options *options, nft_recipe *recipe)
{
    const char *name = NULL;
    nft_status status = nft_options_text(options, "label", false, &name);
    if (status || !name)
        return status;
    if (!*name || strlen(name) >= sizeof recipe->label)
        return nft_fail(NFT_ERROR_CONFIG, "recipe: 'label' is no name of a tensor, 1 … %d bytes",
                        NFT_LABEL_CAPACITY - 1);
    memcpy(recipe->label, name, strlen(name) + 1);
    return NFT_OK;
}

/* A recipe of the program names its files; they are the caller's. */
static nft_status skip_files(nft_options *options)
{
    const json_t *ignored = NULL;
    nft_status status = nft_options_value(options, "model", false, &ignored);
    if (!status)
        status = nft_options_value(options, "train", false, &ignored);
    return status ? status : nft_options_value(options, "validation", false, &ignored);
}

/* The program knows the number of samples, and makes steps of them. */
static nft_status refuse_epochs(const json_t *value)
{
    return json_object_get(value, "epochs")
               ? nft_fail(NFT_ERROR_CONFIG, "recipe: 'epochs' is a key of nftool train; give 'steps'")
               : NFT_OK;
}

static nft_status read_recipe(nft_recipe *recipe, const json_t *value)
{
    nft_options options;
    const json_t *optimizer = NULL, *schedule = NULL, *augment = NULL, *auxiliary = NULL;
    int64_t seed = 0;
    int loss = 0;
    nft_status status;
    if ((status = nft_options_open(&options, value, "recipe")) || (status = refuse_epochs(value)) ||
        (status = nft_options_choice(&options, "loss", true, nft_loss_names, NFT_LOSS_COUNT, &loss)) ||
        (status = nft_options_value(&options, "optimizer", true, &optimizer)) ||
        (status = nft_options_value(&options, "schedule", false, &schedule)) ||
        (status = nft_options_value(&options, "augment", false, &augment)) ||
        (status = nft_options_value(&options, "auxiliary", false, &auxiliary)) ||
        (status = read_clip(&options, &recipe->grad_clip)) ||
        (status = read_ema(&options, &recipe->ema_decay)) ||
        (status = nft_options_integer(&options, "batch_size", true, 1, INT32_MAX, &recipe->batch_size)) ||
        (status = nft_options_integer(&options, "steps", true, 1, INT64_MAX / INT32_MAX, &recipe->steps)) ||
        (status = nft_options_boolean(&options, "shuffle", false, &recipe->shuffle)) ||
        (status = nft_options_boolean(&options, "skip", false, &recipe->skip)) ||
        (status = nft_options_boolean(&options, "prepare", false, &recipe->prepare)) ||
        (status = nft_options_boolean(&options, "any_fit", false, &recipe->any_fit)) ||
        (status = read_label(&options, recipe)) ||
        (status = nft_options_integer(&options, "seed", false, 0, INT64_MAX, &seed)) ||
        (status =
             nft_options_integer(&options, "validate_every", false, 1, INT64_MAX, &recipe->validate_every)) ||
        (status = read_patience(&options, &recipe->patience)) ||
        (status = read_omega(&options, &recipe->form, loss)) || (status = skip_files(&options)) ||
        (status = nft_options_finish(&options)) || (status = read_optimizer(&recipe->optimizer, optimizer)) ||
        (status = nft_augment_read(&recipe->augment, augment)) ||
        (status = nft_auxiliary_read(&recipe->auxiliary, auxiliary)))
        return status;
    recipe->loss = &nft_losses[loss];
    recipe->seed = (uint64_t)seed;
    recipe->schedule.total = recipe->steps;
    if (schedule && (status = read_schedule(&recipe->schedule, schedule)))
        return status;
    return check_schedule(&recipe->schedule, recipe->steps);
}

nft_status nft_recipe_parse(nft_recipe *recipe, const char *text, size_t length)
{
    *recipe = (nft_recipe){.optimizer = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
                           .validate_every = 1000,
                           .form = nft_siren_plain(NFT_DEFAULT_OMEGA),
                           .shuffle = true};
    json_t *value = NULL;
    nft_status status = nft_json_parse(&value, text, length);
    if (!status)
        status = read_recipe(recipe, value);
    json_decref(value);
    return status;
}

void nft_recipe_clear(nft_recipe *recipe)
{
    nft_auxiliary_options_clear(&recipe->auxiliary);
}
