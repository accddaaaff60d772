/* Neuron permutations: those that each module and the models of the papers commute with, and those that they
 * must not (Zhou et al., "Permutation Equivariant Neural Functionals", section 2; "Neural Functional
 * Transformers", section 3). */
#define _XOPEN_SOURCE 700
#include "nft/permute.h"
#include "unit/symmetry_cases.h"

#define SEEDS 20
#define NETWORKS 2
#define MAX_AXES 8
#define TOLERANCE 1e-5 /* of the largest output */
#define VISIBLE 1e-2   /* a broken symmetry shows at least so much */
#define SEEN 1e-3      /* and other weights */

/* New neuron k of network n on axis a is old neuron of[a][n * size + k]. */
typedef struct shuffle {
    int64_t sizes[MAX_AXES];
    int64_t *of[MAX_AXES];
    int64_t axes;
} shuffle;

static void draw(const nft_random *random, uint64_t first, int64_t size, int64_t *permutation)
{
    for (int64_t k = 0; k < size; k++)
        permutation[k] = k;
    for (int64_t k = size - 1; k > 0; k--) {
        int64_t other = (int64_t)nft_random_below(random, first + (uint64_t)k, (uint64_t)k + 1);
        int64_t kept = permutation[k];
        permutation[k] = permutation[other];
        permutation[other] = kept;
    }
}

static bool moves(const int64_t *permutation, int64_t size)
{
    for (int64_t k = 0; k < size; k++)
        if (permutation[k] != k)
            return true;
    return false;
}

/* Random permutations that move something on the chosen kinds of axes, identities on the others. */
static shuffle make_shuffle(const nft_space *space, uint64_t seed, bool hidden, bool edges)
{
    shuffle s = {.axes = space->axis_count};
    assert_true(s.axes <= MAX_AXES);
    for (int64_t a = 0; a < s.axes; a++) {
        int64_t size = s.sizes[a] = space->axes[a].size;
        s.of[a] = support_allocate((size_t)(NETWORKS * size) * sizeof *s.of[a]);
        for (int64_t n = 0; n < NETWORKS; n++) {
            nft_random random = {seed, (uint64_t)(n * MAX_AXES + a)};
            int64_t *permutation = s.of[a] + n * size;
            for (int64_t k = 0; k < size; k++)
                permutation[k] = k;
            for (uint64_t first = 0;
                 (space->axes[a].permutable ? hidden : edges) && !moves(permutation, size);
                 first += (uint64_t)size)
                draw(&random, first, size, permutation);
        }
    }
    return s;
}

/* The same with neighbours swapped once more: different on every axis. */
static shuffle turn(const shuffle *from)
{
    shuffle s = *from;
    for (int64_t a = 0; a < s.axes; a++) {
        s.of[a] = support_allocate((size_t)(NETWORKS * s.sizes[a]) * sizeof *s.of[a]);
        for (int64_t n = 0; n < NETWORKS; n++)
            for (int64_t k = 0; k < s.sizes[a]; k++)
                s.of[a][n * s.sizes[a] + k] = from->of[a][n * s.sizes[a] + (k + 1) % s.sizes[a]];
    }
    return s;
}

static void free_shuffle(shuffle *s)
{
    for (int64_t a = 0; a < s->axes; a++)
        free(s->of[a]);
}

/* From which number of a tensor's array of one channel a number comes: along its first dimension by one
 * shuffle, along the others by another. */
static int64_t source_of(const nft_tensor *tensor, int64_t network, const shuffle *first,
                         const shuffle *others, int64_t index)
{
    int64_t source = 0, dimension = 0;
    for (int64_t i = 0; i < tensor->factor_count; i++) {
        int64_t size = tensor->factor_sizes[i], axis = tensor->declared[i].axis;
        int64_t k = index / tensor->factor_strides[i] % size;
        if (axis >= 0)
            k = (dimension++ ? others : first)->of[axis][network * size + k];
        source += k * tensor->factor_strides[i];
    }
    return source;
}

static nft_weights *permuted(const nft_weights *set, const shuffle *first, const shuffle *others)
{
    nft_weights *result = NULL;
    int64_t channels = nft_weights_channels(set);
    assert_ok(nft_weights_create(&result, nft_weights_space(set), NETWORKS, channels, NULL));
    for (int64_t t = 0; t < set->space->tensor_count; t++) {
        const nft_tensor *tensor = &set->space->tensors[t];
        int64_t numbers = tensor->tokens * tensor->positions;
        for (int64_t i = 0; i < NETWORKS * channels * numbers; i++) {
            int64_t row = i / numbers * numbers, network = i / (channels * numbers);
            nft_weights_edit(result, t)[i] =
                nft_weights_data(set, t)[row + source_of(tensor, network, first, others, i - row)];
        }
    }
    return result;
}

static double largest_difference(int64_t count, const float *a, const float *b)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

typedef struct outputs {
    nft_context *context;
    support_result all;
} outputs;

static outputs run_model(const nft_model *model, const nft_weights *input)
{
    outputs o = {.context = support_context(model, 1, NETWORKS)};
    o.all = support_forward(o.context, input);
    return o;
}

static void free_outputs(outputs *o)
{
    free(o->all.values);
    nft_context_free(o->context);
}

/* P f(x) in the order of support_output(): f(x) itself where no features come out. */
static support_result permuted_outputs(const outputs *o, const shuffle *rows, const shuffle *columns)
{
    support_result result = {0, NULL};
    const nft_weights *features = nft_context_output(o->context, NFT_OUTPUT)->weights;
    if (!features) {
        support_array array = support_output_at(o->context, 0);
        support_append_floats(&result, array.values, array.count);
        return result;
    }
    nft_weights *set = permuted(features, rows, columns);
    for (int64_t t = 0; t < set->space->tensor_count; t++)
        support_append_floats(&result, nft_weights_data(set, t), nft_weights_data_count(set, t));
    nft_weights_free(set);
    return result;
}

/* max |f(P x) - P f(x)| / max |f(x)| */
static double disagreement(const nft_model *model, const nft_weights *input, const shuffle *rows,
                           const shuffle *columns)
{
    nft_weights *permuted_input = permuted(input, rows, columns);
    outputs plain = run_model(model, input), moved = run_model(model, permuted_input);
    support_result expected = permuted_outputs(&plain, rows, columns);
    assert_int_equal(moved.all.count, expected.count);
    double difference = largest_difference(expected.count, moved.all.values, expected.values);
    double largest = support_largest(expected.count, expected.values);
    free(expected.values);
    free_outputs(&moved);
    free_outputs(&plain);
    nft_weights_free(permuted_input);
    assert_true(isfinite(difference) && largest > 0);
    return difference / largest;
}

/* max |f(x) - f(x')| / max |f(x)| for other weights x': a model that is blind to its input has every
 * symmetry. */
static double sensitivity(const nft_model *model, const nft_weights *input, uint64_t seed)
{
    nft_weights *other_input =
        support_weights(nft_model_describe(model)->space, NETWORKS, nft_weights_channels(input), seed);
    outputs plain = run_model(model, input), other = run_model(model, other_input);
    double difference = largest_difference(plain.all.count, plain.all.values, other.all.values);
    double largest = support_largest(plain.all.count, plain.all.values);
    free_outputs(&other);
    free_outputs(&plain);
    nft_weights_free(other_input);
    return difference / largest;
}

typedef struct trial {
    const test_case *test;
    const test_space *space;
    int64_t channels;
    uint64_t seed;
} trial;

static void fail_trial(const trial *t, const char *what, double found, double limit)
{
    fail_msg("%s, %s, %" PRId64 " channels, seed %" PRIu64
             ": %s differs by %.3g of the largest output, limit %.3g",
             t->test->name, t->space->name, t->channels, t->seed, what, found, limit);
}

typedef void run_trial(const trial *t, const nft_model *model, const nft_weights *input);

/* Chains are many small spaces, the others few larger ones. */
static uint64_t seeds_on(const test_space *space)
{
    return space->on & ON_SPACES ? SEEDS / 5 : SEEDS;
}

/* Every space, channels and seeds of a case. */
static void run_case(const test_case *c, run_trial *run)
{
    int trials = 0;
    for (size_t s = 0; s < COUNT(spaces); s++)
        for (int k = 0; k < 2 && runs_on(c, &spaces[s]); k++)
            for (uint64_t seed = 0; seed < seeds_on(&spaces[s]); seed++, trials++) {
                trial t = {c, &spaces[s], c->channels[k], seed};
                nft_model *model = make_model(c, t.space, t.channels, t.seed);
                if (!c->decoder) /* a fresh one has no norms, and larger weights make a SIREN wild */
                    stir_parameters(model, t.seed, false);
                nft_weights *input =
                    support_weights(nft_model_describe(model)->space, NETWORKS, t.channels, t.seed);
                run(&t, model, input);
                nft_weights_free(input);
                nft_model_free(model);
            }
    assert_true(trials > 0);
}

static void expect_symmetry(const trial *t, const nft_model *model, const nft_weights *input, bool edges)
{
    shuffle permutation = make_shuffle(nft_model_describe(model)->space, t->seed, true, edges);
    double found = disagreement(model, input, &permutation, &permutation);
    double limit = t->test->tolerance > 0 ? t->test->tolerance : TOLERANCE;
    double seen = sensitivity(model, input, t->seed + SEEDS);
    free_shuffle(&permutation);
    if (!(seen > SEEN))
        fail_trial(t, "f(x') from f(x)", seen, SEEN);
    if (!(found <= limit))
        fail_trial(t, "f(P x) from P f(x)", found, limit);
}

static void all_axes(const trial *t, const nft_model *model, const nft_weights *input)
{
    expect_symmetry(t, model, input, true);
}

static void hidden_axes(const trial *t, const nft_model *model, const nft_weights *input)
{
    expect_symmetry(t, model, input, false);
}

static void symmetric_to_all(void **state)
{
    run_case(*state, all_axes);
}

static void symmetric_to_hidden(void **state)
{
    run_case(*state, hidden_axes);
}

/* First dimensions are permuted, the others not at all or otherwise. */
static void broken_coupling(const trial *t, const nft_model *model, const nft_weights *input)
{
    const nft_space *space = nft_model_describe(model)->space;
    shuffle rows = make_shuffle(space, t->seed, true, false),
            still = make_shuffle(space, t->seed, false, false);
    shuffle columns = turn(&rows);
    double alone = disagreement(model, input, &rows, &still);
    double different = disagreement(model, input, &rows, &columns);
    free_shuffle(&columns);
    free_shuffle(&still);
    free_shuffle(&rows);
    if (!(alone > VISIBLE))
        fail_trial(t, "only rows permuted: f(P x) from P f(x)", alone, VISIBLE);
    if (!(different > VISIBLE))
        fail_trial(t, "rows and columns permuted differently: f(P x) from P f(x)", different, VISIBLE);
}

static void needs_coupling(void **state)
{
    run_case(*state, broken_coupling);
}

static void permuted_edges(const trial *t, const nft_model *model, const nft_weights *input)
{
    shuffle permutation = make_shuffle(nft_model_describe(model)->space, t->seed, false, true);
    double found = disagreement(model, input, &permutation, &permutation);
    free_shuffle(&permutation);
    if (!(found > VISIBLE))
        fail_trial(t, "inputs and outputs permuted: f(P x) from P f(x)", found, VISIBLE);
}

static void tells_edges_apart(void **state)
{
    run_case(*state, permuted_edges);
}

static void permuted_entries(const trial *t, const nft_model *model, const nft_weights *input)
{
    stir_parameters((nft_model *)model, t->seed + 1, true);
    shuffle permutation = make_shuffle(nft_model_describe(model)->space, t->seed, true, false);
    double found = disagreement(model, input, &permutation, &permutation);
    free_shuffle(&permutation);
    if (!(found > VISIBLE))
        fail_trial(t, "f(P x) from P f(x)", found, VISIBLE);
}

static void tells_entries_apart(void **state)
{
    run_case(*state, permuted_entries);
}

/* The library's own permutations: of hidden neurons, and with the same effect as those above. */
static void library_permutations(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(spaces); i++)
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            nft_space *space = NULL;
            char *json = support_json(spaces[i].json);
            assert_ok(nft_space_parse(&space, json, strlen(json)));
            free(json);
            nft_weights *set = support_weights(space, NETWORKS, 3, seed);
            shuffle s = make_shuffle(space, seed, true, false);
            nft_weights *expected = permuted(set, &s, &s);
            const int64_t *permutations[MAX_AXES];
            for (int64_t a = 0; a < space->axis_count; a++)
                permutations[a] = space->axes[a].permutable ? s.of[a] : NULL;
            assert_ok(nft_weights_permute(set, permutations));
            for (int64_t t = 0; t < space->tensor_count; t++)
                support_identical(spaces[i].name, nft_weights_data_count(set, t), nft_weights_data(set, t),
                                  nft_weights_data(expected, t));
            nft_weights_free(expected);
            free_shuffle(&s);
            nft_weights_free(set);
            nft_space_free(space);
        }
}

/* Every module is in one of the lists that say which permutations it follows. */
static void every_module(void **state)
{
    (void)state;
    const nft_module_class *class;
    for (int i = 0; (class = nft_module_at(i)); i++)
        if (!have_module(neuron_cases, COUNT(neuron_cases), class->type, ~0) &&
            !have_module(hidden_cases, COUNT(hidden_cases), class->type, ~0) &&
            !have_module(entry_cases, COUNT(entry_cases), class->type, ~0))
            fail_msg("no case of symmetry_cases.h has a %s", class->type);
}

#define MAX_TESTS 120

typedef struct test_list {
    struct CMUnitTest tests[MAX_TESTS];
    char names[MAX_TESTS][128];
    size_t count;
} test_list;

static void add_cases(test_list *list, const char *what, CMUnitTestFunction function, const test_case *cases,
                      size_t count)
{
    for (size_t i = 0; i < count; i++, list->count++) {
        assert_true(list->count < MAX_TESTS);
        snprintf(list->names[list->count], sizeof list->names[0], "%s: %s", what, cases[i].name);
        list->tests[list->count] = (struct CMUnitTest){
            .name = list->names[list->count], .test_func = function, .initial_state = (void *)&cases[i]};
    }
}

int main(void)
{
    static test_list list;
    list.tests[list.count++] =
        (struct CMUnitTest){.name = "nft_weights_permute", .test_func = library_permutations};
    list.tests[list.count++] = (struct CMUnitTest){.name = "every module", .test_func = every_module};
    add_cases(&list, "all neurons", symmetric_to_all, neuron_cases, COUNT(neuron_cases));
    add_cases(&list, "hidden neurons", symmetric_to_hidden, neuron_cases, COUNT(neuron_cases));
    add_cases(&list, "hidden neurons", symmetric_to_hidden, hidden_cases, COUNT(hidden_cases));
    add_cases(&list, "hidden neurons", symmetric_to_hidden, model_cases, COUNT(model_cases));
    add_cases(&list, "coupled layers", needs_coupling, coupled_cases, COUNT(coupled_cases));
    add_cases(&list, "inputs and outputs", tells_edges_apart, distinguishing_cases,
              COUNT(distinguishing_cases));
    add_cases(&list, "single entries", tells_entries_apart, entry_cases, COUNT(entry_cases));
    return _cmocka_run_group_tests("symmetry", list.tests, list.count, NULL, NULL);
}
