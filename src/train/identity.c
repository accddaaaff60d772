#include "train/identity.h"

#include <inttypes.h>
#include <string.h>

#define PATIENCE_KEY "patience"
#define EMA_KEY "ema_decay"
#define HASH_DIGITS 17 /* with the 0 at the end */

/* A number where it is the same in every layer, else a list. */
static json_t *describe_omega(const nft_siren_form *form)
{
    if (form->omegas == 1)
        return json_real(form->omega[0]);
    json_t *list = json_array();
    for (int64_t i = 0; i < form->omegas; i++)
        json_array_append_new(list, json_real(form->omega[i]));
    return list;
}

static json_t *describe_augment(const nft_augment *augment)
{
    if (!augment->enabled)
        return json_null();
    json_t *object =
        json_pack("{s:f, s:f, s:[f, f], s:b, s:o, s:o}", "rotate", augment->rotate, "shift", augment->shift,
                  "scale", augment->scale[0], augment->scale[1], "mirror", (int)augment->mirror, "canonical",
                  augment->by_data ? json_null() : json_boolean(augment->canonical), "omega",
                  describe_omega(&augment->form));
    if (object && augment->mixup > 0)
        json_object_set_new(object, "mixup", json_real(augment->mixup));
    return object;
}

/* "steps" before the schedule's total, which follows it unless it is given: the first difference is told. */
static json_t *describe_recipe(const nft_recipe *recipe)
{
    const nft_optimizer *o = &recipe->optimizer;
    json_t *recipe_json = json_pack(
        "{s:s, s:I, s:{s:s, s:f, s:f, s:f, s:f, s:f}, s:{s:s, s:I, s:I}, s:f, s:o, s:I, s:b, s:I, s:I, s:o}",
        "loss", recipe->loss->name, "steps", (json_int_t)recipe->steps, "optimizer", "type",
        o->decoupled ? "adamw" : "adam", "lr", o->lr, "beta1", o->beta1, "beta2", o->beta2, "eps", o->eps,
        "weight_decay", o->weight_decay, "schedule", "type", recipe->schedule.cosine ? "cosine" : "constant",
        "warmup_steps", (json_int_t)recipe->schedule.warmup, "total_steps",
        (json_int_t)recipe->schedule.total, "grad_clip", recipe->grad_clip, "omega",
        describe_omega(&recipe->form), "batch_size", (json_int_t)recipe->batch_size, "shuffle",
        (int)recipe->shuffle, "seed", (json_int_t)recipe->seed, "validate_every",
        (json_int_t)recipe->validate_every, "augment", describe_augment(&recipe->augment));
    if (recipe_json &&
        ((recipe->patience &&
          json_object_set_new(recipe_json, PATIENCE_KEY, json_integer((json_int_t)recipe->patience))) ||
         (recipe->ema_decay > 0 && json_object_set_new(recipe_json, EMA_KEY, json_real(recipe->ema_decay))) ||
         (recipe->auxiliary.config &&
          json_object_set_new(recipe_json, "auxiliary",
                              json_loads(recipe->auxiliary.config, JSON_REJECT_DUPLICATES, NULL))))) {
        json_decref(recipe_json);
        return NULL;
    }
    return recipe_json;
}

/* How many samples, and their fingerprint. */
static json_t *describe_set(const nft_set *set)
{
    char inputs[HASH_DIGITS], targets[HASH_DIGITS];
    snprintf(inputs, sizeof inputs, "%016" PRIx64, set->fingerprint.inputs);
    snprintf(targets, sizeof targets, "%016" PRIx64, set->fingerprint.targets);
    return json_pack("{s:I, s:s, s:s}", "samples", (json_int_t)set->count, "inputs", inputs, "targets",
                     targets);
}

json_t *nft_identity_describe(const nft_trainer *trainer)
{
    static const char *const precisions[] = {"float32", "bf16x3", "bf16"};
    return json_pack("{s:o, s:s, s:s, s:o, s:o}", "recipe", describe_recipe(&trainer->recipe), "precision",
                     precisions[trainer->options.precision], "model", trainer->model->config, "training set",
                     describe_set(&trainer->source.set), "validation set",
                     describe_set(&trainer->validation.set));
}

/* A key of an object that the other lacks; NULL: there is none. */
static const char *find_missing(const json_t *object, const json_t *other)
{
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)object, key, value) if (!json_object_get(other, key)) return key;
    return NULL;
}

/* The path of the first difference, "recipe.optimizer.lr", and both values, NULL where it is missing; false
 * if there is none. */
static bool find_difference(const json_t *expected, const json_t *found, nft_text *path,
                            const json_t *pair[2])
{
    if (json_equal(expected, found))
        return false;
    pair[0] = expected;
    pair[1] = found;
    if (!json_is_object(expected) || !json_is_object(found))
        return true;
    const char *key;
    const json_t *value;
    json_object_foreach((json_t *)expected, key, value)
    {
        const json_t *other = json_object_get(found, key);
        if (json_equal(value, other))
            continue;
        nft_text_append(path, "%s%s", path->length ? "." : "", key);
        return find_difference(value, other, path, pair);
    }
    if ((key = find_missing(found, expected))) {
        nft_text_append(path, "%s%s", path->length ? "." : "", key);
        pair[0] = NULL;
        pair[1] = json_object_get(found, key);
    }
    return true;
}

/* Fingerprints say nothing to a reader. */
static nft_status fail_data(const char *key, const char *dot)
{
    return nft_fail(NFT_ERROR_MISMATCH,
                    "it is the checkpoint of a training on other data: the %s of the %.*s are not the same",
                    dot + 1, (int)(dot - key), key);
}

static nft_status fail_difference(const nft_text *path, const json_t *const pair[2])
{
    const char *key = path->data ? path->data : "the training";
    nft_text now = {0}, then = {0};
    nft_status status;
    const char *dot = strrchr(key, '.');
    if (!strcmp(key, "model"))
        return nft_fail(NFT_ERROR_MISMATCH, "it is the checkpoint of another model");
    if (dot && (!strcmp(dot, ".inputs") || !strcmp(dot, ".targets")))
        return fail_data(key, dot);
    if ((pair[0] && !nft_json_append(&now, pair[0], JSON_ENCODE_ANY | JSON_REAL_PRECISION(12))) ||
        (pair[1] && !nft_json_append(&then, pair[1], JSON_ENCODE_ANY | JSON_REAL_PRECISION(12))))
        status = nft_fail_memory("the description of the training", 1 << 10);
    else
        status = nft_fail(NFT_ERROR_MISMATCH,
                          "it is the checkpoint of another training: '%s' was %.80s, now it is %.80s", key,
                          then.data ? then.data : "missing", now.data ? now.data : "missing");
    nft_text_clear(&now);
    nft_text_clear(&then);
    return status;
}

/* Lets `expected` agree with the value found, in a key that may differ. */
static bool take_key(json_t *expected, const json_t *found, const char *key)
{
    json_t *value = json_object_get(found, key);
    return !value || !json_object_get(expected, key) || !json_object_set(expected, key, value);
}

/* The same for a key that may be missing. */
static bool take_optional_key(json_t *expected, const json_t *found, const char *key)
{
    json_t *value = json_object_get(found, key);
    if (value)
        return !json_object_set(expected, key, value);
    json_object_del(expected, key);
    return true;
}

/* The keys that an extended training may have otherwise than its checkpoint. */
static bool take_extension(json_t *expected, const json_t *found)
{
    json_t *recipe = json_object_get(expected, "recipe"), *other = json_object_get(found, "recipe");
    return take_key(recipe, other, "steps") && take_key(recipe, other, "validate_every") &&
           take_optional_key(recipe, other, PATIENCE_KEY) &&
           take_key(json_object_get(recipe, "optimizer"), json_object_get(other, "optimizer"), "lr") &&
           take_key(json_object_get(recipe, "schedule"), json_object_get(other, "schedule"), "total_steps");
}

nft_status nft_identity_check(const nft_trainer *trainer, const json_t *found)
{
    json_t *expected = nft_identity_describe(trainer);
    if (!expected || (trainer->options.extend && !take_extension(expected, found))) {
        json_decref(expected);
        return nft_fail_memory("the description of the training", 1 << 10);
    }
    const json_t *pair[2];
    nft_text path = {0};
    nft_status status = NFT_OK;
    if (!json_object_get(found, "precision") && trainer->options.precision == NFT_PRECISION_FLOAT32)
        json_object_del(expected, "precision"); /* a checkpoint from before there was another */
    if (!json_object_get(json_object_get(found, "recipe"), "augment") && !trainer->recipe.augment.enabled)
        json_object_del(json_object_get(expected, "recipe"), "augment"); /* the same */
    if (find_difference(expected, found, &path, pair))
        status = path.failed ? nft_fail_memory("the description of the training", 1 << 10)
                             : fail_difference(&path, pair);
    nft_text_clear(&path);
    json_decref(expected);
    return status;
}
