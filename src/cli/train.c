/* nftool train: trains a model as a recipe says. */
#define _POSIX_C_SOURCE 200809L
#include "agreement.h"
#include "commands.h"
#include "outputs.h"
#include "ranks.h"
#include "contract.h"
#include "report.h"
#include "seeds.h"
#include "text.h"
#include "train.h"
#include "training.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECKPOINT_SECONDS 60

/* Which file a failure of the library is about. */
static int fail_training(const training *t)
{
    return fail("%s: %s", t->recipe.path, library_message());
}

static int make_trainer(training *t)
{
    nft_trainer_options options = NFT_TRAINER_OPTIONS_INIT;
    options.threads = t->given->threads;
    options.extend = option_text(t->given, "extend") != NULL;
    options.precision = given_precision(t->given);
    options.recompute = option_text(t->given, "recompute") != NULL;
    options.rank = t->ranks.rank;
    options.ranks = t->ranks.count;
    options.reduce = ranks_reduce;
    options.reduce_user = &t->ranks;
    char *text = json_dumps(t->recipe.object, JSON_COMPACT);
    if (!text)
        return fail_memory();
    nft_status status = nft_trainer_create(&t->trainer, t->model, text, strlen(text), &options);
    free(text);
    t->batch_size = json_integer_value(json_object_get(t->recipe.object, "batch_size"));
    if (!status) /* and so the recipe has a loss */
        t->kind = loss_of(json_string_value(json_object_get(t->recipe.object, "loss")));
    return status ? fail_training(t) : EXIT_SUCCESS;
}

/* A loss of numbers does train on the numbers of classes, which seldom makes sense. */
static int note_numbers_of_classes(const training *t)
{
    const char *given = json_string_value(json_object_get(t->recipe.object, "label"));
    const char *name = given ? given : "label", *classes;
    char key[TEXT_CAPACITY] = "nft.classes";
    nft_array *row = NULL;
    if (strcmp(name, "label") != 0)
        snprintf(key, sizeof key, "nft.classes.%s", name);
    classes = nft_dataset_metadata(t->train, 0, key);
    if (!classes || t->ranks.rank || (t->kind != LOSS_MSE && t->kind != LOSS_BCE))
        return EXIT_SUCCESS;
    nft_status status = nft_dataset_read_tensor(&row, t->train, name, 0, 1);
    if (!status && nft_array_i64(row) && nft_array_rank(row) == 1)
        note(t->given,
             "warning: %s: '%s' is the number of a class, of %.80s, and the loss %s takes it as a number; "
             "cross_entropy takes it as a class",
             t->recipe.train_path, name, classes, loss_names[t->kind]);
    nft_array_free(row);
    return status && status != NFT_ERROR_ARGUMENT ? fail_library() : EXIT_SUCCESS;
}

/* The labels of the validation set, as the loss takes them. */
static int read_validation_targets(training *t)
{
    const char *name = json_string_value(json_object_get(t->recipe.object, "label"));
    int64_t classes = t->kind == LOSS_CROSS_ENTROPY ? nft_model_describe(t->model)->output->channels : 0;
    return nft_dataset_read_targets(&t->targets, t->validation, name, classes) ? fail_library()
                                                                               : EXIT_SUCCESS;
}

static int set_data(training *t)
{
    const cli_recipe *recipe = &t->recipe;
    int failed =
        t->train ? EXIT_SUCCESS : open_dataset(&t->train, recipe->train_path, t->model, &recipe->data);
    if (!failed && recipe->validation_path)
        failed = open_dataset(&t->validation, recipe->validation_path, t->model, &recipe->data);
    if (!failed && nft_trainer_set_data(t->trainer, NFT_DATA_FILES(t->train), NFT_DATA_FILES(t->validation)))
        failed = fail_training(t);
    if (!failed)
        failed = note_numbers_of_classes(t);
    if (failed || !t->validation || loss_has_images(t->kind))
        return failed;
    return read_validation_targets(t);
}

/* Epochs are steps once the number of samples is known. */
static int count_steps(training *t)
{
    cli_recipe *recipe = &t->recipe;
    if (!json_object_get(recipe->object, "epochs"))
        return EXIT_SUCCESS;
    int failed = open_dataset(&t->train, recipe->train_path, t->model, &recipe->data);
    return failed ? failed : recipe_count_steps(recipe, nft_dataset_describe(t->train)->count);
}

static int name_checkpoint(training *t)
{
    const char *path = option_text(t->given, "checkpoint"), *output = option_text(t->given, "output");
    const char *seconds = option_text(t->given, "checkpoint-every");
    size_t size = strlen(path ? path : output) + sizeof ".checkpoint",
           best_size = strlen(output) + sizeof ".best";
    t->seconds_between = seconds ? option_value(t->given, "checkpoint-every")->number : CHECKPOINT_SECONDS;
    t->checkpoint = malloc(size);
    t->best = malloc(best_size);
    if (!t->checkpoint || !t->best)
        return fail_memory();
    snprintf(t->checkpoint, size, "%s%s", path ? path : output, path ? "" : ".checkpoint");
    snprintf(t->best, best_size, "%s.best", output);
    int failed = check_output_path(t->given, t->checkpoint);
    if (!failed)
        failed = check_output_path(t->given, t->best);
    return failed || path ? failed : check_input(t->given, t->checkpoint); /* it is read when it is there */
}

/* Only the checkpoint of another training may be advised to be removed: another file is not ours. */
static int fail_resume(nft_status status)
{
    const char *advice =
        status == NFT_ERROR_MISMATCH
            ? "; remove it to begin anew, or give another --checkpoint; --extend takes one of other steps"
              ", lr, validate_every or patience"
        : status == NFT_ERROR_MEMORY ? ""
                                     : "; give another --checkpoint";
    return fail("%s%s", library_message(), advice);
}

/* Resumes an interrupted training, or fits a fresh model's statistics to the data. */
static int begin_or_resume(training *t)
{
    if (!access(t->checkpoint, F_OK)) {
        nft_status status = nft_trainer_resume(t->trainer, t->checkpoint);
        t->resumed = !status;
        return status ? fail_resume(status) : EXIT_SUCCESS;
    }
    if (option_text(t->given, "extend"))
        return fail(
            "%s: there is no checkpoint to extend; --keep-checkpoint keeps the last one of a training",
            t->checkpoint);
    return t->fresh && nft_trainer_fit_normalize(t->trainer) ? fail_training(t) : EXIT_SUCCESS;
}

/* The file that a diverged training would replace. */
static int check_best(const training *t)
{
    const char *const paths[] = {t->recipe.model_path,         t->recipe.train_path,
                                 t->recipe.validation_path,    t->checkpoint,
                                 option_text(t->given, "log"), option_text(t->given, "plot")};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i] && same_file(paths[i], t->best))
            return fail("%s: is where the best model is kept if the training diverges; give another --output",
                        paths[i]);
    return EXIT_SUCCESS;
}

/* Whatever can be wrong is found before the first step. */
static int prepare(void *argument)
{
    training *t = argument;
    const cli_recipe *recipe = &t->recipe;
    const char *log = option_text(t->given, "log");
    char steps[TEXT_CAPACITY];
    int failed = check_outputs(t->given);
    if (!failed)
        failed = check_safetensors_name(t->given, "output", false);
    if (!failed && !t->ranks.rank)
        failed = output_lock_take(&t->lock, option_text(t->given, "output"));
    if (!failed)
        failed = name_checkpoint(t);
    if (!failed)
        failed = load_recipe(&t->recipe, t->given->operands[0], t->given);
    const char *const inputs[] = {recipe->model_path, recipe->train_path, recipe->validation_path};
    for (int i = 0; i < 3 && !failed; i++)
        failed = check_input(t->given, inputs[i]);
    if (!failed)
        failed = check_best(t);
    if (!failed)
        failed = load_recipe_model(&t->model, &t->fresh, recipe);
    if (!failed)
        failed = count_steps(t);
    if (!failed)
        failed = make_trainer(t);
    if (!failed)
        failed = log_check(t->ranks.rank ? NULL : log);
    if (!failed)
        failed = set_data(t);
    if (!failed)
        failed = begin_or_resume(t);
    if (!failed)
        failed = log_open(&t->log, t->ranks.rank ? NULL : log, nft_trainer_describe(t->trainer)->steps_done);
    if (!failed && t->resumed)
        note(t->given, "%s: resumes after %s", t->checkpoint,
             text_plural(steps, nft_trainer_describe(t->trainer)->steps_done, "step"));
    return failed;
}

static int write_model(const training *t, const char *path)
{
    char line[1024] = "";
    nft_model *trained = NULL;
    fail_into(line, sizeof line);
    int failed =
        nft_trainer_snapshot(&trained, t->trainer, NFT_SNAPSHOT_BEST) || nft_model_save(trained, path)
            ? fail_library()
            : EXIT_SUCCESS;
    nft_model_free(trained);
    if (!failed)
        failed = training_draw_curves(t);
    fail_into(NULL, 0);
    if (failed)
        training_fail_sound(t, line);
    return failed;
}

/* `patience` has ended it before the recipe's last step. */
static void tell_early_end(const training *t)
{
    int64_t done = nft_trainer_describe(t->trainer)->steps_done,
            patience = json_integer_value(json_object_get(t->recipe.object, "patience")),
            steps = json_integer_value(json_object_get(t->recipe.object, "steps"));
    char validations[TEXT_CAPACITY];
    if (done < steps)
        say("stopped early after %" PRId64 " of %" PRId64 " steps: %s without a lower loss", done, steps,
            text_plural(validations, patience, "validation"));
}

static int save(const training *t)
{
    const char *path = option_text(t->given, "output");
    char steps[TEXT_CAPACITY];
    int failed = write_model(t, path);
    if (failed)
        return failed;
    if (!option_text(t->given, "keep-checkpoint"))
        remove(t->checkpoint);
    else if (nft_trainer_save(t->trainer, t->checkpoint))
        return fail_library();
    if (t->given->json)
        return EXIT_SUCCESS;
    text_plural(steps, nft_trainer_describe(t->trainer)->steps_done, "step");
    tell_early_end(t);
    if (t->recipe.validation_path)
        say("%s: the model with the lowest validation loss of %s, %.6g", path, steps,
            nft_trainer_describe(t->trainer)->best_loss);
    else if (t->last.size)
        say("%s: the model after %s, loss of the last batch %.6g", path, steps, t->last.loss);
    else
        say("%s: the model after %s", path, steps);
    return EXIT_SUCCESS;
}

int train_once(const cli_options *given, const cli_ranks *ranks, training_log *kept, bool *together)
{
    training t = {.own = *given, .ranks = *ranks, .lock = OUTPUT_LOCK_NONE};
    t.given = &t.own;
    if (t.ranks.rank) {
        t.own.quiet = true;
        t.own.json = false;
    }
    *together = true;
    int failed = ranks_in_turn(&t.ranks, prepare, &t, together);
    if (!failed) {
        const beginning own = {t.recipe.path,
                               t.recipe.object,
                               t.checkpoint,
                               t.trainer,
                               nft_dataset_describe(t.train)->count,
                               nft_dataset_describe(t.validation)->count};
        failed = begin_alike(&t.ranks, &own, together);
    }
    if (!failed) {
        failed = training_run_steps(&t);
        *together = !failed || t.stopped;
    }
    if (!failed && !t.ranks.rank)
        failed = save(&t);
    if (kept)
        log_keep(kept, &t.log);
    if (log_close(&t.log) && !failed)
        failed = EXIT_FAILED;
    output_lock_release(&t.lock);
    nft_trainer_free(t.trainer);
    nft_dataset_free(t.train);
    nft_dataset_free(t.validation);
    nft_array_free(t.targets);
    nft_model_free(t.model);
    free_recipe(&t.recipe);
    free(t.checkpoint);
    free(t.best);
    return failed;
}

static int run(const cli_options *given)
{
    cli_ranks ranks = {0};
    bool together = true;
    int failed = ranks_open(&ranks);
    if (!failed)
        failed = option_text(given, "seeds") ? train_seeds(given, &ranks, &together)
                                             : train_once(given, &ranks, NULL, &together);
    ranks_close(&ranks, together);
    return failed;
}

static const cli_option own_options[] = {
    {"output", 'o', OPTION_OUTPUT, "MODEL", "file to write, replaced if it exists", 0, 0, NULL},
    {"train", 0, OPTION_INPUT, "DATA", "in place of the recipe's", 0, 0, NULL},
    {"validation", 0, OPTION_INPUT, "DATA", "in place of the recipe's", 0, 0, NULL},
    {"steps", 0, OPTION_INTEGER, "N", "in place of the recipe's", 1, INT32_MAX, NULL},
    PRECISION_OPTION,
    {"lr", 0, OPTION_NUMBER, "R", "in place of the recipe's", 0, 0, NULL},
    {"validate-every", 0, OPTION_INTEGER, "N", "in place of the recipe's", 1, INT32_MAX, NULL},
    {"log", 0, OPTION_STREAM, "FILE",
     "a JSON object on a line for each step and validation; a new training replaces an earlier log", 0, 0,
     NULL},
    {"plot", 0, OPTION_OUTPUT, "FILE",
     "draw the learning curves at each validation and at the end (SVG or PNG)", 0, 0, NULL},
    {"checkpoint", 0, OPTION_OUTPUT, "FILE", "file to resume from (default: MODEL.checkpoint)", 0, 0, NULL},
    {"checkpoint-every", 0, OPTION_NUMBER, "S", "seconds between checkpoints (default: 60)", 0, 0, NULL},
    {"set", 0, OPTION_SETTING, "KEY=VALUE",
     "any entry of the recipe, as optimizer.lr=1e-4; may be given again", 0, 0, NULL},
    {"extend", 0, OPTION_FLAG, NULL,
     "continue from a checkpoint of other steps, lr, validate_every or patience", 0, 0, NULL},
    {"keep-checkpoint", 0, OPTION_FLAG, NULL,
     "keep the last checkpoint, which is removed at the end otherwise", 0, 0, NULL},
    {"seeds", 0, OPTION_INTEGER, "N",
     "train N times, from seeds --seed, --seed + 1, …, into MODEL-SEED, and compare the runs", 1, 1000, NULL},
    {"label", 0, OPTION_TEXT, "NAME", "tensor with the labels, in place of the recipe's", 0, 0, NULL},
    {"skip", 0, OPTION_FLAG, NULL, "leave out networks and labels that are not finite", 0, 0, NULL},
    {"prepare", 0, OPTION_FLAG, NULL,
     "bring networks to the form, frequency and offset of the training set's first", 0, 0, NULL},
    ANY_FIT_OPTION,
    {"recompute", 0, OPTION_FLAG, NULL, "less memory, more time, the same result", 0, 0, NULL},
    LAYERS_OPTION,
    {0},
};

const cli_command train_command = {
    .name = "train",
    .operands = "CONFIG -o MODEL",
    .summary = "train a model by a recipe",
    .description =
        "Trains by the recipe CONFIG (JSON) and writes the model with the lowest validation loss. Without a\n"
        "validation set it writes the last model. Paths in CONFIG are relative to it. It needs:\n\n"
        "  {\"model\": PATH or configuration, \"train\": PATH (or --train),\n"
        "   \"loss\": \"mse\" | \"bce\" | \"cross_entropy\" | \"reconstruction\" | \"render\",\n"
        "   \"optimizer\": {\"type\": \"adamw\" | \"adam\"}, \"batch_size\": B, \"steps\": N (or \"epochs\": "
        "E)}\n\n"
        "and may have, with these defaults:\n\n"
        "   \"optimizer\": {…, \"lr\": 1e-3, \"betas\": [0.9, 0.999], \"eps\": 1e-8,\n"
        "                 \"weight_decay\": 0.01 of adamw, 0 of adam},\n"
        "   \"schedule\": {\"type\": \"constant\" | \"cosine\", \"warmup_steps\": 0, \"total_steps\": N},\n"
        "   \"validation\": PATH, \"validate_every\": 1000,\n"
        "   \"patience\": null (validations in a row without a lower loss that end it: early stopping),\n"
        "   \"ema_decay\": null, or 0.999 (validates and keeps a moving average of the parameters),\n"
        "   \"grad_clip\": null (the largest norm of the gradients), \"shuffle\": true, \"seed\": 0,\n"
        "   \"augment\": null, or for SIRENs (images move at random in training), with these defaults:\n"
        "              {\"rotate\": 0 (degrees), \"shift\": 0 (an image is 2 wide), \"scale\": [1, 1],\n"
        "               \"mirror\": false, \"mixup\": null (or alpha: networks and labels are mixed),\n"
        "               \"canonical\": as the data, \"omega\": 30},\n"
        "   \"auxiliary\": null, or for SIRENs {\"module\": N, \"modules\": [], \"decoder\": {…}, "
        "\"weight\": 1}\n"
        "              (an image is decoded from the output of module N, and its loss is added)}\n\n"
        "The data hold 'label', or 'target', or the tensor that \"label\" of the recipe names. For\n"
        "cross_entropy it has classes, whole numbers or one-hot rows, and -100 for a sample that is left\n"
        "out. For mse and bce it has numbers of any type. \"skip\": true leaves out samples that are not\n"
        "finite. The data are read batch by batch and may be larger than memory.\n\n"
        "Two losses compare images. reconstruction compares the decoder's image with the rendering of the\n"
        "input SIREN. render compares the rendering of the output SIREN with 'target' (N, height, width,\n"
        "colours), -1 … 1; its recipe may have the SIRENs' frequency, \"omega\": 30. The metric of both\n"
        "is the PSNR of the validation loss, 10 log10(4 / loss) dB.\n\n"
        "--batch-size and --seed replace the recipe's. The seed is also that of a fresh model. --json\n"
        "prints a line for each step and each validation.\n\n"
        "A checkpoint is written every minute, and when a signal asks the program to stop (Ctrl-C, TERM,\n"
        "HUP, USR1, USR2, XCPU). It then ends with status 1, like a failure, and says how to continue: the\n"
        "same command resumes, and the result is bit-identical. At the end the checkpoint is removed.\n\n"
        "Built with NFT_MPI, 'mpirun -n N nftool train …' shares each batch and validation among N "
        "processes.",
    .least_operands = 1,
    .most_operands = 1,
    .options = own_options,
    .required = "output",
    .run = run,
};
