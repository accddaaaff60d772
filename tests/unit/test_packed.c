/* The packed linear map, in each format of the set of kernels in use, against double. */
#include "math/packed.h"

#include "kernel_sets.h"

#define GAP 3 /* numbers between the end of a row and the next */

typedef struct numbers {
    int64_t rows, inputs, outputs;
    float *x, *y, *weight, *bias; /* rows with gaps, the weight without */
} numbers;

static float *make(int64_t count)
{
    float *values = malloc((size_t)(count + 1) * sizeof *values);
    assert_non_null(values);
    fill_random(count + 1, values);
    return values;
}

static numbers make_numbers(int64_t rows, int64_t inputs, int64_t outputs)
{
    return (numbers){rows,
                     inputs,
                     outputs,
                     make(rows * (inputs + GAP)),
                     make(rows * (outputs + GAP)),
                     make(outputs * inputs),
                     make(outputs)};
}

static void free_numbers(numbers *n)
{
    free(n->x);
    free(n->y);
    free(n->weight);
    free(n->bias);
}

/* Output o of row r, without the old numbers; `back` is the same map from outputs to inputs. */
static double mapped(const numbers *n, int64_t r, int64_t o, bool back)
{
    double sum = back ? 0 : (double)n->bias[o];
    for (int64_t i = 0; i < (back ? n->outputs : n->inputs); i++)
        sum += back ? (double)n->y[r * (n->outputs + GAP) + i] * (double)n->weight[i * n->inputs + o]
                    : (double)n->x[r * (n->inputs + GAP) + i] * (double)n->weight[o * n->inputs + i];
    return sum;
}

/* Of a product of two numbers in [-1, 1]: the formats' own errors, and the roundings of sums. */
static const double term_error[] = {2e-7, 0x1.02p-7, 0x1.8p-15, 3e-7};

static void assert_near(nft_pack_format format, double got, double expected, int64_t terms)
{
    if (!(fabs(got - expected) <= term_error[format] * (double)(terms + 2)))
        fail_msg("format %d: %g, expected %g", (int)format, got, expected);
}

static void *make_packed(nft_pack_format format, int64_t outputs, int64_t inputs)
{
    size_t bytes = (size_t)nft_packed_bytes(format, outputs, inputs);
    void *packed = aligned_alloc(64, bytes ? bytes : 64);
    assert_non_null(packed);
    assert_int_equal(bytes % 64, 0);
    return packed;
}

static void check_map(nft_pack_format format, const numbers *n, nft_map_mode mode)
{
    int64_t stride = n->outputs + GAP, count = n->rows * stride;
    float *packed = make_packed(format, n->outputs, n->inputs), *y = make(count);
    memcpy(y, n->y, (size_t)count * sizeof *y);
    nft_pack(format, n->outputs, n->inputs, n->weight, packed);
    nft_packed_linear(format, n->rows, n->inputs, n->outputs, packed, n->bias, n->x, n->inputs + GAP, y,
                      stride, mode);
    for (int64_t place = 0; place < count; place++) {
        int64_t r = place / stride, o = place % stride;
        if (o >= n->outputs) {
            assert_true(y[place] == n->y[place]);
            continue;
        }
        double expected = mapped(n, r, o, false) + (mode == NFT_MAP_ADD ? (double)n->y[place] : 0);
        if (mode == NFT_MAP_RELU)
            expected = expected > 0 ? expected : 0;
        if (mode == NFT_MAP_GELU)
            expected *= erfc(-expected / sqrt(2)) / 2;
        assert_near(format, (double)y[place], expected, n->inputs);
    }
    free(packed);
    free(y);
}

static void check_map_back(nft_pack_format format, const numbers *n)
{
    int64_t stride = n->inputs + GAP;
    float *packed = make_packed(format, n->inputs, n->outputs), *x = make(n->rows * stride);
    nft_pack_transpose(format, n->outputs, n->inputs, n->weight, packed);
    nft_packed_linear(format, n->rows, n->outputs, n->inputs, packed, NULL, n->y, n->outputs + GAP, x, stride,
                      NFT_MAP_SET);
    for (int64_t r = 0; r < n->rows; r++)
        for (int64_t i = 0; i < n->inputs; i++)
            assert_near(format, (double)x[r * stride + i], mapped(n, r, i, true), n->outputs);
    free(packed);
    free(x);
}

/* Those that the set in use chooses for some precision, and floats. */
static nft_pack_format formats[4] = {NFT_FORMAT_FLOAT};
static int format_count = 1;

static void find_formats(void)
{
    for (int32_t precision = NFT_PRECISION_FLOAT32; precision <= NFT_PRECISION_BF16; precision++) {
        nft_pack_format format = nft_format_of(precision);
        if (format != NFT_FORMAT_FLOAT)
            formats[format_count++] = format;
    }
}

static const int64_t sizes[] = {1, 2, 7, 16, 31, 32, 33, 70};

static void maps_are_right(void **state)
{
    (void)state;
    static const int64_t rows[] = {0, 1, 5, 8, 16, 29, 64, 65, 150};
    for (int64_t i = 0; i < COUNT(sizes) * COUNT(sizes) * COUNT(rows); i++) {
        numbers n = make_numbers(rows[i / COUNT(sizes) / COUNT(sizes)],
                                 sizes[i / COUNT(sizes) % COUNT(sizes)], sizes[i % COUNT(sizes)]);
        for (int k = 0; k < format_count; k++) {
            for (int mode = NFT_MAP_SET; mode <= NFT_MAP_GELU; mode++)
                check_map(formats[k], &n, (nft_map_mode)mode);
            check_map_back(formats[k], &n);
        }
        free_numbers(&n);
    }
}

static void many_inputs_are_summed_in_blocks(void **state)
{
    (void)state;
    numbers n = make_numbers(3, 1100, 35);
    for (int k = 0; k < format_count; k++) {
        check_map(formats[k], &n, NFT_MAP_SET);
        check_map(formats[k], &n, NFT_MAP_ADD);
    }
    free_numbers(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_are_right),
        cmocka_unit_test(many_inputs_are_summed_in_blocks),
    };
    find_formats();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
