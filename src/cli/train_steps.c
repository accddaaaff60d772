/* The steps of a training: each is recorded, and checkpoints are written. */
#define _POSIX_C_SOURCE 200809L
#include "outputs.h"
#include "plot_curves.h"
#include "report.h"
#include "stop_signals.h"
#include "text.h"
#include "training.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATHS_CAPACITY 512
#define KEPT_CAPACITY 5000 /* a path, and a text about it */

static int record_step(training *t, const nft_step_info *info)
{
    /* A validation is in the time of the step that it follows. */
    double seconds = steady_seconds() - t->step_began,
           rate = info->validated ? (double)NAN : (double)t->batch_size / seconds;
    if (t->given->json && print_json(log_describe_step(info)))
        return EXIT_FAILED;
    snprintf(t->progress.note, sizeof t->progress.note, ", loss %.4g", info->loss);
    return log_step(&t->log, info, rate);
}

static int score_validation(cli_scores *scores, const training *t, double loss)
{
    const nft_array *output = nft_trainer_describe(t->trainer)->validation_output;
    if (loss_has_images(t->kind)) {
        *scores = scores_of_images(t->kind, loss, metrics_psnr(loss));
        return EXIT_SUCCESS;
    }
    int64_t samples = nft_dataset_describe(t->validation)->count;
    cli_scored kept = {0};
    int failed =
        select_scored(&kept, nft_array_f32(output), samples, nft_array_count(output) / samples, t->targets);
    cli_predictions predictions = predictions_of(&kept);
    if (!failed)
        failed = scores_compute(scores, t->kind, &predictions);
    scores->loss = loss;
    free_scored(&kept);
    return failed;
}

/* ", accuracy 0.9100": the first metric of the loss. */
static void describe_scores(char *text, size_t size, const cli_scores *scores)
{
    if (scores->kind == LOSS_CROSS_ENTROPY)
        snprintf(text, size, ", accuracy %.4f", scores->accuracy);
    else if (loss_has_images(scores->kind))
        snprintf(text, size, ", PSNR %.2f dB", scores->psnr);
    else
        snprintf(text, size, isfinite(scores->tau) ? ", tau %.4f" : ", tau undefined", scores->tau);
}

/* `step` counts the updates of the parameters that were validated. */
static int record_validation(training *t, const nft_step_info *info)
{
    cli_scores scores;
    bool best = !(info->validation_loss >= t->lowest);
    int64_t step = info->step + 1;
    char *extra = t->progress.extra;
    t->lowest = nft_trainer_describe(t->trainer)->best_loss;
    if (score_validation(&scores, t, info->validation_loss))
        return EXIT_FAILED;
    describe_scores(extra, sizeof t->progress.extra, &scores);
    if (t->given->json && print_json(log_describe_validation(step, &scores, best)))
        return EXIT_FAILED;
    if (!t->given->json && !t->ranks.rank) {
        progress_hide();
        printf("step %" PRId64 ": loss %.6g, validation loss %.6g%s%s\n", step, info->loss,
               info->validation_loss, extra, best ? ", the lowest so far" : "");
    }
    return log_validation(&t->log, step, &scores, best);
}

int training_draw_curves(const training *t)
{
    const char *path = option_text(t->given, "plot");
    char title[PATHS_CAPACITY];
    snprintf(title, sizeof title, "%.200s, trained on %.200s",
             text_file_name(option_text(t->given, "output")), text_file_name(t->recipe.train_path));
    return path && !t->ranks.rank ? plot_curves(path, title, &t->log) : EXIT_SUCCESS;
}

/* Keeps the best model of a training that diverged, in MODEL.best. Returns a text with that path. */
static const char *keep_best(const training *t, char *text, size_t size)
{
    nft_model *best = NULL;
    text[0] = 0;
    if (t->ranks.rank || !isfinite(nft_trainer_describe(t->trainer)->best_loss))
        return text;
    if (!nft_trainer_snapshot(&best, t->trainer, NFT_SNAPSHOT_BEST) && !nft_model_save(best, t->best))
        snprintf(text, size, "; %s is the model with the lowest validation loss so far, %.6g", t->best,
                 nft_trainer_describe(t->trainer)->best_loss);
    else
        snprintf(text, size, "; the best model so far cannot be kept: %s", library_message());
    nft_model_free(best);
    return text;
}

static int save_checkpoint(training *t)
{
    char kept[KEPT_CAPACITY], message[1024];
    t->saved = steady_seconds();
    if (t->ranks.rank)
        return EXIT_SUCCESS;
    int failed = log_sync(&t->log); /* a log may be ahead of its checkpoint, never behind it */
    nft_status status = failed ? NFT_OK : nft_trainer_save(t->trainer, t->checkpoint);
    if (status == NFT_ERROR_NOT_FINITE) {
        snprintf(message, sizeof message, "%s", library_message());
        return fail("%s: step %" PRId64 ": %s; try a smaller lr%s", t->recipe.path, t->last.step, message,
                    keep_best(t, kept, sizeof kept));
    }
    return status ? fail_library() : failed;
}

void training_fail_sound(const training *t, const char *line)
{
    if (t->ranks.rank)
        fail("%s", line);
    else if (nft_trainer_save(t->trainer, t->checkpoint))
        fail("%s; nor can the state of the training be kept: %s", line, library_message());
    else
        fail("%s; the same command resumes from %s, after %" PRId64 " of %" PRId64 " steps", line,
             t->checkpoint, nft_trainer_describe(t->trainer)->steps_done,
             nft_trainer_describe(t->trainer)->steps);
}

static int report_step(training *t, const nft_step_info *info)
{
    char line[1024] = "";
    fail_into(line, sizeof line);
    int failed = record_step(t, info);
    if (!failed && info->validated)
        failed = record_validation(t, info);
    if (!failed && info->validated)
        failed = training_draw_curves(t);
    fail_into(NULL, 0);
    if (failed)
        training_fail_sound(t, line);
    return failed;
}

static int hear_step(const nft_step_info *info, void *user)
{
    training *t = user;
    t->last = *info;
    t->failed = report_step(t, info);
    fflush(stdout);
    t->ranks.wants_stop = stop_signal_came();
    t->stopped = t->ranks.count > 1 ? t->ranks.agreed_stop : t->ranks.wants_stop;
    bool last = info->step + 1 == nft_trainer_describe(t->trainer)->steps;
    if (!t->failed && !last && (t->stopped || steady_seconds() - t->saved >= t->seconds_between))
        t->failed = save_checkpoint(t);
    progress_show(&t->progress, info->step + 1);
    t->step_began = steady_seconds();
    return t->failed || (t->stopped && !last);
}

static int fail_run(const training *t, nft_status status)
{
    bool noticed = status == NFT_ERROR_CANCELLED; /* another rank, or a signal, stopped it */
    if (t->failed || (noticed && t->stopped && t->ranks.rank))
        return EXIT_FAILED;
    if (noticed && t->stopped)
        return fail("stopped after %" PRId64 " of %" PRId64 " steps; the same command resumes from %s",
                    nft_trainer_describe(t->trainer)->steps_done, nft_trainer_describe(t->trainer)->steps,
                    t->checkpoint);
    char kept[KEPT_CAPACITY] = "", message[1024];
    bool diverged = status == NFT_ERROR_NOT_FINITE, saved = diverged && !access(t->checkpoint, F_OK);
    snprintf(message, sizeof message, "%s", library_message());
    if (diverged || noticed)
        keep_best(t, kept, sizeof kept);
    ranks_meet(&t->ranks); /* one that fails ends the others */
    if (noticed && kept[0])
        note(t->given, "%s", kept + strlen("; "));
    ranks_wait_to_fail(&t->ranks, !noticed);
    return fail("%s: %s%s%s%s%s", t->recipe.path, message, kept, saved ? "; " : "",
                saved ? t->checkpoint : "", saved ? " keeps the last state before it" : "");
}

int training_run_steps(training *t)
{
    progress_start(&t->progress, t->given, "train", "steps", nft_trainer_describe(t->trainer)->steps);
    t->progress.first = nft_trainer_describe(t->trainer)->steps_done;
    t->progress.parts = t->batch_size;
    t->progress.part_units = "samples";
    t->lowest = nft_trainer_describe(t->trainer)->best_loss;
    t->saved = t->step_began = steady_seconds();
    stop_signals signals = {0};
    stop_signals_listen(&signals);
    nft_status status = nft_trainer_run(t->trainer, hear_step, t);
    stop_signals_restore(&signals);
    progress_end(&t->progress);
    return status ? fail_run(t, status) : EXIT_SUCCESS;
}
