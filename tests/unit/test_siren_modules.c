/* Modules that know SIRENs, against the network itself and its symmetries: probes and phases. */
#include "nft/inr.h"
#include "unit/support.h"

#include "nft/inr.h"
#include "siren/siren.h"

#define NETWORKS 4
#define PROBES 6
#define PI 3.14159265358979323846
#define OMEGA 30.0
#define SIREN(modules)                                                                                       \
    "{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 2, 'out': 7}, {'type': 'linear', "  \
    "'in': 7, 'out': 5}, {'type': 'linear', 'in': 5, 'out': 2}]}, 'modules': [" modules "]}"

static nft_weights *sirens(const nft_space *space)
{
    nft_weights *set = support_weights(space, NETWORKS, 1, 9);
    for (int64_t t = 0; t < nft_space_describe(space)->tensor_count; t++)
        for (int64_t i = 0; i < nft_weights_data_count(set, t); i++)
            nft_weights_edit(set, t)[i] *= 0.2f;
    return set;
}

typedef struct run {
    nft_model *model;
    nft_weights *set;
    nft_context *context;
} run;

static run run_model(const char *text)
{
    run r = {.model = support_model(text, 5)};
    r.set = sirens(nft_model_describe(r.model)->space);
    r.context = support_context(r.model, 1, NETWORKS);
    assert_ok(nft_forward(r.context, NFT_VIEW_WEIGHTS(r.set)));
    return r;
}

static void close_run(run *r)
{
    nft_context_free(r->context);
    nft_weights_free(r->set);
    nft_model_free(r->model);
}

/* The parameter (2, PROBES), one place after the other. */
static void read_places(const nft_model *model, float *places)
{
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    assert_ok(nft_model_tensor(&info, model, 0));
    assert_string_equal(info.name, "0.coordinates");
    assert_int_equal(info.count, 2 * PROBES);
    for (int k = 0; k < PROBES; k++) {
        places[2 * k] = info.data[k];
        places[2 * k + 1] = info.data[PROBES + k];
        assert_true(fabsf(places[2 * k]) <= 1 && fabsf(places[2 * k + 1]) <= 1);
    }
}

static void outputs_are_the_network(void **state)
{
    (void)state;
    run r = run_model(SIREN("{'type': 'siren_probes', 'num_probes': 6}"));
    const nft_space *space = r.set->space;
    float places[2 * PROBES], expected[2 * PROBES], network[128], found[2 * PROBES];
    float *scratch = support_allocate((size_t)nft_siren_scratch(space, PROBES) * sizeof *scratch);
    const nft_array *output = nft_context_output(r.context, NFT_OUTPUT)->array;
    assert_int_equal(nft_array_count(output), NETWORKS * 2 * PROBES);
    read_places(r.model, places);
    for (int64_t n = 0; n < NETWORKS; n++) {
        nft_weights_gather(r.set, n, network);
        nft_siren_forward_form(space, &(const nft_siren_form){.omega = {OMEGA}, .omegas = 1}, network, PROBES,
                               places, expected, scratch);
        for (int i = 0; i < 2 * PROBES; i++) /* (n_L, K) */
            found[i % PROBES * 2 + i / PROBES] = nft_array_f32(output)[n * 2 * PROBES + i];
        support_close("outputs", 2 * PROBES, found, expected, 0, 2e-4);
    }
    free(scratch);
    close_run(&r);
}

/* The coordinates of a generator are generator · codes, of the size of others. */
static void generated_places(void **state)
{
    (void)state;
    run r = run_model(SIREN("{'type': 'siren_probes', 'num_probes': 300, 'generator': 16}"));
    nft_tensor_info generator = NFT_TENSOR_INFO_INIT, codes = NFT_TENSOR_INFO_INIT;
    assert_ok(nft_model_tensor(&generator, r.model, 0));
    assert_ok(nft_model_tensor(&codes, r.model, 1));
    assert_string_equal(generator.name, "0.generator");
    assert_string_equal(codes.name, "0.codes");
    float *places = support_allocate(600 * sizeof *places),
          *expected = support_allocate(600 * sizeof *places), *found = support_allocate(600 * sizeof *places),
          network[128];
    double squares = 0;
    for (int k = 0; k < 300; k++)
        for (int d = 0; d < 2; d++) {
            double place = 0;
            for (int g = 0; g < 16; g++)
                place += (double)generator.data[16 * d + g] * (double)codes.data[300 * g + k];
            places[2 * k + d] = (float)place;
            squares += place * place / 600;
        }
    assert_true(squares > 0.15 && squares < 0.6); /* 1/3 of uniform ones */
    float *scratch = support_allocate((size_t)nft_siren_scratch(r.set->space, 300) * sizeof *scratch);
    nft_weights_gather(r.set, 1, network);
    nft_siren_forward_form(r.set->space, &(const nft_siren_form){.omega = {OMEGA}, .omegas = 1}, network, 300,
                           places, expected, scratch);
    for (int i = 0; i < 600; i++)
        found[i % 300 * 2 + i / 300] =
            nft_array_f32(nft_context_output(r.context, NFT_OUTPUT)->array)[600 + i];
    support_close("outputs", 600, found, expected, 0, 5e-4);
    free(scratch);
    free(found);
    free(expected);
    free(places);
    close_run(&r);
}

/* Channel `c` of number `index` of a tensor. */
static double feature(const run *r, int64_t n, int64_t tensor, int64_t channel, int64_t index)
{
    const nft_weights *features = nft_context_output(r->context, NFT_OUTPUT)->weights;
    int64_t numbers = features->space->tensors[tensor].tokens;
    return (double)nft_weights_data(features, tensor)[(n * features->channels + channel) * numbers + index];
}

static void near(double found, double expected)
{
    if (!(fabs(found - expected) <= 1e-4 * (1 + fabs(expected))))
        fail_msg("%.9g, expected %.9g", found, expected);
}

/* Layer after layer in double: the input and the output of a neuron, and the features of both. */
static void check_responses(const run *r, int64_t n, int64_t k, const float *place)
{
    const nft_space *space = r->set->space;
    double x[8] = {(double)place[0], (double)place[1]}, y[8];
    for (int64_t i = 0; i < space->layer_count; i++) {
        int64_t in = space->layers[i].in, out = space->layers[i].out;
        const float *w = nft_weights_data(r->set, 2 * i) + n * in * out,
                    *v = nft_weights_data(r->set, 2 * i + 1) + n * out;
        for (int64_t row = 0; row < out; row++) {
            y[row] = (double)v[row];
            for (int64_t c = 0; c < in; c++) {
                int64_t number = row * in + c;
                y[row] += (double)w[number] * x[c];
                near(feature(r, n, 2 * i, 1 + k, number), (double)w[number] * x[c]);
                assert_true(feature(r, n, 2 * i, 0, number) == (double)w[number]);
            }
            y[row] = i + 1 < space->layer_count ? sin(OMEGA * y[row]) : y[row];
            near(feature(r, n, 2 * i + 1, 1 + k, row), y[row]);
            assert_true(feature(r, n, 2 * i + 1, 0, row) == (double)v[row]);
        }
        memcpy(x, y, sizeof x);
    }
}

static void responses_are_the_networks(void **state)
{
    (void)state;
    run r = run_model(SIREN("{'type': 'siren_probes', 'num_probes': 6, 'form': 'features'}"));
    float places[2 * PROBES];
    assert_int_equal(nft_weights_channels(nft_context_output(r.context, NFT_OUTPUT)->weights), 1 + PROBES);
    read_places(r.model, places);
    for (int64_t n = 0; n < NETWORKS; n++)
        for (int64_t k = 0; k < PROBES; k++)
            check_responses(&r, n, k, places + 2 * k);
    close_run(&r);
}

static void plain_phases(void **state)
{
    (void)state;
    run r = run_model(SIREN("{'type': 'siren_phases', 'omega': 20}"));
    assert_int_equal(nft_weights_channels(nft_context_output(r.context, NFT_OUTPUT)->weights), 3);
    for (int64_t t = 0; t < 6; t++)
        for (int64_t n = 0; n < NETWORKS; n++) {
            int64_t numbers = r.set->space->tensors[t].tokens;
            for (int64_t i = 0; i < numbers; i++) {
                double x = (double)nft_weights_data(r.set, t)[n * numbers + i];
                bool hidden = t == 1 || t == 3;
                assert_true(feature(&r, n, t, 0, i) == x);
                near(feature(&r, n, t, 1, i), hidden ? sin(20 * x) : 0);
                near(feature(&r, n, t, 2, i), hidden ? cos(20 * x) : 0);
            }
        }
    close_run(&r);
}

static void even_phases(void **state)
{
    (void)state;
    run r = run_model(SIREN("{'type': 'siren_phases', 'form': 'even'}"));
    const float *w0 = nft_weights_data(r.set, 0), *v0 = nft_weights_data(r.set, 1),
                *w1 = nft_weights_data(r.set, 2), *v1 = nft_weights_data(r.set, 3),
                *w2 = nft_weights_data(r.set, 4), *v2 = nft_weights_data(r.set, 5);
    assert_int_equal(nft_weights_channels(nft_context_output(r.context, NFT_OUTPUT)->weights), 2);
    double row = sin(2 * OMEGA * (double)v0[3]);
    near(feature(&r, 0, 0, 0, 7), (double)w0[7] * row);
    near(feature(&r, 0, 0, 1, 7), (double)w0[7] * (double)w0[7]);
    near(feature(&r, 0, 1, 0, 3), cos(2 * OMEGA * (double)v0[3]));
    assert_true(feature(&r, 0, 1, 1, 3) == 0);
    near(feature(&r, 0, 2, 0, 2 * 7 + 3),
         (double)w1[2 * 7 + 3] * sin(2 * OMEGA * (double)v1[2]) * sin(OMEGA * (double)v0[3]));
    near(feature(&r, 0, 4, 0, 5 + 2), (double)w2[5 + 2] * sin(OMEGA * (double)v1[2]));
    assert_true(feature(&r, 0, 5, 0, 1) == (double)v2[1]);
    near(feature(&r, 0, 5, 1, 1), (double)v2[1] * (double)v2[1]);
    close_run(&r);
}

/* Neuron 3 of layer `l`: other signs of its row, its bias and its column, or half a period further. */
static void change(nft_weights *set, int64_t n, int64_t l, bool shift)
{
    const nft_layer *layer = &set->space->layers[l];
    int64_t in = layer->in, out = layer->out, next = layer[1].out;
    float *w = nft_weights_edit(set, 2 * l) + (n * out + 3) * in,
          *v = nft_weights_edit(set, 2 * l + 1) + n * out + 3,
          *c = nft_weights_edit(set, 2 * l + 2) + n * next * out + 3;
    for (int64_t i = 0; i < next; i++)
        c[i * out] = -c[i * out];
    *v = shift ? *v + (float)(PI / OMEGA) : -*v;
    for (int64_t i = 0; i < in && !shift; i++)
        w[i] = -w[i];
}

/* The even form does not see changes that keep the function, nor whether networks are canonical. */
static void even_phases_are_symmetric(void **state)
{
    (void)state;
    run r = run_model(SIREN("{'type': 'siren_phases', 'form': 'even'}"));
    support_result before = support_forward(r.context, r.set);
    for (int64_t n = 0; n < NETWORKS; n++) {
        change(r.set, n, n % 2, true);
        change(r.set, n, n % 2, false);
        change(r.set, n, 1 - n % 2, n > 1);
    }
    support_result after = support_forward(r.context, r.set);
    support_close("changed neurons", before.count, after.values, before.values, 0, 2e-5);
    assert_ok(nft_inr_canonicalize(r.set, OMEGA));
    support_result canonical = support_forward(r.context, r.set);
    support_close("canonical networks", before.count, canonical.values, before.values, 0, 2e-5);
    free(canonical.values);
    free(after.values);
    free(before.values);
    close_run(&r);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *message;
    } cases[] = {
        {SIREN("{'type': 'siren_probes'}"), "'num_probes' is missing"},
        {SIREN("{'type': 'siren_probes', 'num_probes': 0}"), "num_probes"},
        {SIREN("{'type': 'siren_probes', 'num_probes': 1, 'omega': 0}"), "omega"},
        {SIREN("{'type': 'siren_probes', 'num_probes': 1, 'generator': -1}"), "generator"},
        {SIREN("{'type': 'siren_probes', 'num_probes': 1, 'form': 'plain'}"), "form"},
        {SIREN("{'type': 'siren_phases', 'form': 'odd'}"), "form"},
        {SIREN("{'type': 'siren_phases', 'omega': -1}"), "omega"},
        {SIREN("{'type': 'pointwise', 'out_channels': 3}, {'type': 'siren_phases'}"),
         "modules[1] (siren_phases): takes raw weights, 1 channel, but 3 arrive"},
        {SIREN("{'type': 'np_pool'}, {'type': 'siren_probes', 'num_probes': 1}"), "takes features"},
        {"{'format_version': 1, 'space': {'layers': [{'type': 'linear', 'in': 3, 'out': 7}]}, 'modules': "
         "[{'type': 'siren_probes', 'num_probes': 1}]}",
         "modules[0] (siren_probes): expected SIRENs, networks of 2 coordinates"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        support_refused(cases[i].config, cases[i].message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_the_network),
        cmocka_unit_test(responses_are_the_networks),
        cmocka_unit_test(generated_places),
        cmocka_unit_test(plain_phases),
        cmocka_unit_test(even_phases),
        cmocka_unit_test(even_phases_are_symmetric),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("modules of SIRENs", tests, NULL, NULL);
}
