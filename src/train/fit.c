/* The statistics of the training data that modules keep as buffers (normalize). */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>

#define LEAST_DEVIATION 1e-5 /* below it 1 is stored */

/* Count, mean and sum of squared deviations of the numbers so far; parts are joined by the update of Chan,
 * Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983. */
typedef struct moments {
    double count, mean, squares;
} moments;

static void join(moments *all, double count, double mean, double squares)
{
    double total = all->count + count, difference = mean - all->mean;
    all->mean += difference * count / total;
    all->squares += squares + difference * difference * all->count * count / total;
    all->count = total;
}

/* The statistics of one parameter, a buffer of deviations. */
typedef struct fitted {
    int64_t mean;  /* index of the buffer of means; -1: it is none */
    int64_t count; /* moments: numbers of a tensor, or channels */
    moments *moments;
} fitted;

/* A module's buffers: parameters first … end - 1 of step `step`. */
typedef struct fitting {
    nft_trainer *trainer;
    int64_t step, first, end;
    fitted *items; /* one for each parameter */
} fitting;

/* x (tokens, channels · positions) of one sample, each number for itself. */
static void add_weights(const nft_statistics *s, const float *x, moments *all)
{
    int64_t positions = s->entries.width / s->channels, tokens = s->entries.rows;
    for (int64_t token = 0; token < tokens; token++)
        for (int64_t c = 0; c < s->channels; c++)
            for (int64_t p = 0; p < positions; p++)
                join(&all[(c * tokens + token) * positions + p], 1,
                     (double)x[token * s->entries.stride + c * positions + p], 0);
}

static void add_channel(const nft_statistics *s, const float *x, moments *all)
{
    int64_t stride = s->entries.stride, positions = s->entries.width / s->channels, tokens = s->entries.rows;
    double count = (double)(tokens * positions), sum = 0, squares = 0;
    for (int64_t token = 0; token < tokens; token++)
        for (int64_t p = 0; p < positions; p++)
            sum += (double)x[token * stride + p];
    double mean = sum / count;
    for (int64_t token = 0; token < tokens; token++)
        for (int64_t p = 0; p < positions; p++)
            squares += ((double)x[token * stride + p] - mean) * ((double)x[token * stride + p] - mean);
    join(all, count, mean, squares);
}

static void add_entries(void *user, int64_t item, const nft_statistics *s, const float *entries)
{
    const fitting *f = user;
    moments *all = f->items[item].moments;
    int64_t positions = s->entries.width / s->channels;
    if (s->per_weight)
        add_weights(s, entries, all);
    for (int64_t c = 0; !s->per_weight && c < s->channels; c++)
        add_channel(s, entries + c * positions, all + c);
}

/* In groups, so that the values that forward keeps fit. */
static nft_status add_samples(const fitting *f, const nft_sample *samples, int64_t count)
{
    nft_context *context = f->trainer->loop.context;
    nft_status status = NFT_OK;
    for (int64_t first = 0, group; first < count && !status; first += group) {
        group = nft_trainer_next_group(f->trainer, samples + first, count - first);
        status = nft_samples_run(context, samples + first, group, f->step + 1);
        if (!status)
            nft_context_visit_statistics(context, f->step, f->first, f->end - f->first, add_entries,
                                         (void *)f);
    }
    return status;
}

static nft_status read_data(const fitting *f)
{
    nft_trainer *trainer = f->trainer;
    nft_sample samples[NFT_PIECE_SAMPLES];
    nft_status status = NFT_OK;
    for (int64_t first = 0; first < trainer->source.set.count && !status; first += NFT_PIECE_SAMPLES) {
        int64_t left = trainer->source.set.count - first,
                count = left < NFT_PIECE_SAMPLES ? left : NFT_PIECE_SAMPLES;
        status = nft_set_fetch(&trainer->objective, &trainer->source.set, NULL, first, count,
                               &trainer->pieces, samples);
        if (!status)
            status = add_samples(f, samples, count);
    }
    return status;
}

/* A role that no network has keeps its buffers. */
static void write_buffers(const fitting *f, int64_t index)
{
    const fitted *item = &f->items[index - f->first];
    const nft_parameter *items = f->trainer->model->parameters.items, *parameter = &items[index];
    float *values = f->trainer->model->values, *deviation = values + parameter->offset;
    if (item->mean < 0)
        return;
    float *mean = values + items[item->mean].offset;
    int64_t copies = parameter->count / item->count;
    for (int64_t i = 0; i < parameter->count; i++) {
        const moments *own = &item->moments[i / copies];
        double root = own->count > 0 ? sqrt(own->squares / own->count) : 1;
        mean[i] = (float)own->mean;
        deviation[i] = root < LEAST_DEVIATION ? 1 : (float)root;
    }
}

static nft_status check_moments(const fitting *f, int64_t index)
{
    const fitted *item = &f->items[index - f->first];
    for (int64_t i = 0; i < item->count; i++)
        if (!isfinite(item->moments[i].mean) || !isfinite(item->moments[i].squares))
            return nft_fail(NFT_ERROR_NOT_FINITE, "the data for '%s' are not finite",
                            f->trainer->model->parameters.items[index].name);
    return NFT_OK;
}

static int64_t moment_count(const nft_parameters *table, const nft_statistics *s)
{
    return s->per_weight ? table->items[s->deviation].count : s->channels;
}

/* Buffers of a model of any space have a number for each channel, whatever its networks. */
int64_t nft_fit_bytes(const nft_model *model)
{
    const nft_statistics_table *table = &model->sequence->statistics;
    int64_t numbers = 0;
    for (int64_t i = 0; i < table->count; i++)
        numbers = nft_size_add(numbers, moment_count(&model->parameters, &table->items[i]));
    numbers = model->any_space ? nft_size_multiply(numbers, NFT_ROLE_COUNT) : numbers;
    return nft_size_add(nft_size_multiply(numbers, sizeof(moments)),
                        nft_size_multiply(model->parameters.count, sizeof(fitted)));
}

/* Finds the declarations of the module-th module with statistics in step `step`: items *begin … *end - 1 of
 * the sequence's table. A module declares its tensors in the order of the space. False if there is no such
 * module. */
static bool find_module(const nft_sequence *sequence, const nft_step *step, int64_t module, int64_t *begin,
                        int64_t *end)
{
    const nft_statistics_table *table = &sequence->statistics;
    int64_t found = -1, last = INT64_MAX;
    *begin = -1;
    for (int64_t i = 0; i < table->count && found <= module; i++) {
        const nft_statistics *s = &table->items[i];
        if (s->deviation < step->first_parameter || s->deviation >= step->end_parameter)
            continue;
        found += s->tensor <= last;
        last = s->tensor;
        if (found != module)
            continue;
        *begin = *begin < 0 ? i : *begin;
        *end = i + 1;
    }
    return *begin >= 0;
}

/* Allocates moments for the declarations of one space. */
static nft_status add_declarations(fitting *f, const nft_sequence *sequence, int64_t begin, int64_t end)
{
    const nft_parameters *table = &f->trainer->model->parameters;
    for (int64_t i = begin; i < end; i++) {
        const nft_statistics *s = &sequence->statistics.items[i];
        fitted *item = &f->items[s->deviation - f->first];
        if (item->moments)
            continue;
        *item = (fitted){.mean = s->mean, .count = moment_count(table, s)};
        item->moments = nft_allocate_array((size_t)item->count, sizeof(moments));
        if (!item->moments)
            return nft_fail_memory("statistics of the training data", item->count * (int64_t)sizeof(moments));
    }
    return NFT_OK;
}

/* Allocates the moments of one module, for every space of the training set. *found: there is such a module.
 */
static nft_status prepare_module(fitting *f, int64_t module, bool *found)
{
    const nft_set *set = &f->trainer->source.set;
    nft_status status = NFT_OK;
    for (int64_t i = 0; i < set->part_count && !status; i++) {
        nft_sequence *sequence = NULL;
        int64_t begin = 0, end = 0;
        if (i && set->parts[i].space == set->parts[i - 1].space)
            continue;
        status = nft_model_bind(&sequence, f->trainer->model, set->parts[i].space);
        if (!status && find_module(sequence, &sequence->steps[f->step], module, &begin, &end)) {
            *found = true;
            status = add_declarations(f, sequence, begin, end);
        }
        nft_sequence_free(sequence);
    }
    return status;
}

/* The parameters of other modules in the step are left out. */
static void narrow(fitting *f)
{
    int64_t first = f->end, end = f->first;
    for (int64_t i = f->first; i < f->end; i++)
        if (f->items[i - f->first].moments) {
            first = i < first ? i : first;
            end = i + 1;
        }
    f->items += first - f->first;
    f->first = first;
    f->end = end;
}

/* One pass over the training set. */
static nft_status fit_module(fitting *f)
{
    narrow(f);
    nft_status status = read_data(f);
    for (int64_t i = f->first; i < f->end && !status; i++)
        status = check_moments(f, i);
    for (int64_t i = f->first; i < f->end && !status; i++)
        write_buffers(f, i);
    return status;
}

static void clear_items(fitted *items, int64_t count)
{
    for (int64_t i = 0; items && i < count; i++)
        nft_release(items[i].moments);
    nft_release(items);
}

/* One module inside a step may read the output of another, so each has its own pass. */
static nft_status fit_step(nft_trainer *trainer, int64_t index)
{
    const nft_step *step = &trainer->model->sequence->steps[index];
    int64_t count = step->end_parameter - step->first_parameter;
    nft_status status = NFT_OK;
    bool found = true;
    for (int64_t module = 0; found && !status; module++) {
        fitting f = {
            .trainer = trainer, .step = index, .first = step->first_parameter, .end = step->end_parameter};
        fitted *items = f.items = nft_allocate_array((size_t)count, sizeof *items);
        if (!items)
            return nft_fail_memory("statistics of the training data", count * (int64_t)sizeof *items);
        for (int64_t i = 0; i < count; i++)
            items[i].mean = -1;
        found = false;
        status = prepare_module(&f, module, &found);
        if (!status && found)
            status = fit_module(&f);
        clear_items(items, count);
    }
    return status;
}

nft_status nft_trainer_fit_normalize(nft_trainer *trainer)
{
    static const char function[] = "nft_trainer_fit_normalize";
    nft_status status = nft_trainer_check_call(trainer, function);
    if (status)
        return status;
    if (trainer->state.step)
        return nft_fail(NFT_ERROR_ARGUMENT,
                        "%s: %" PRId64 " steps were taken already; call it before the first", function,
                        trainer->state.step);
    if (!trainer->source.set.count)
        return nft_fail(NFT_ERROR_ARGUMENT, "%s: there is no training set; call nft_trainer_set_data first",
                        function);
    for (int64_t step = 0; step < nft_model_step_count(trainer->model) && !status; step++)
        status = fit_step(trainer, step);
    nft_average_reset(&trainer->state.average, trainer->model);
    return status ? nft_fail_in(status, "%s", function) : NFT_OK;
}

static bool are_all(const nft_trainer *trainer, int64_t parameter, float expected)
{
    const nft_parameter *item = &trainer->model->parameters.items[parameter];
    const float *values = trainer->model->values + item->offset;
    for (int64_t i = 0; i < item->count; i++)
        if (values[i] < expected || values[i] > expected)
            return false;
    return true;
}

void nft_trainer_note_statistics(const nft_trainer *trainer)
{
    const nft_statistics_table *table = &trainer->model->sequence->statistics;
    if (!table->count || trainer->state.step || trainer->options.rank)
        return;
    for (int64_t i = 0; i < table->count; i++)
        if (!are_all(trainer, table->items[i].mean, 0) || !are_all(trainer, table->items[i].deviation, 1))
            return;
    nft_log(NFT_LOG_WARNING,
            "the model's normalize modules have the mean 0 and the deviation 1 of a fresh model; "
            "nft_trainer_fit_normalize() before the first step sets them from the training set");
}
