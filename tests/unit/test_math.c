/* The vector functions of every instruction set that this machine has, against long double. */
#define _GNU_SOURCE
#include "kernel_sets.h"

#include <sys/wait.h>
#include <unistd.h>

#define TWO_PI 6.283185307179586476925L

/* --- the choice --- */

/* Whether a process with this environment chooses the expected set, and the status of the choice. */
static bool chooses(const char *wanted, const char *expected, nft_status status)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (wanted)
            setenv("NFT_KERNELS", wanted, 1);
        else
            unsetenv("NFT_KERNELS");
        const nft_kernel_set *set = nft_kernel_set_in_use();
        bool right = !strcmp(set->name, expected) && set == nft_kernel_set_in_use() &&
                     nft_vector() == set->vector && nft_vector_gradients() == set->gradients &&
                     nft_vector_panels() == set->panels && nft_siren_vector() == set->siren &&
                     nft_vector_tiles() == set->tiles && nft_kernel_set_check("a test") == status &&
                     (!status || strstr(nft_error_message(), wanted));
        _exit(right ? 0 : 1);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    return WIFEXITED(result) && WEXITSTATUS(result) == 0;
}

static void the_environment_chooses_the_set(void **state)
{
    (void)state;
    const nft_kernel_set *set, *best = NULL;
    for (int i = 0; (set = nft_kernel_set_at(i)); i++)
        if (set->usable()) {
            assert_true(chooses(set->name, set->name, NFT_OK));
            best = set;
        }
    assert_true(chooses(NULL, best->name, NFT_OK));
    assert_true(chooses("", best->name, NFT_OK));
    assert_true(chooses("no such set", best->name, NFT_ERROR_ARGUMENT));
    for (int i = 0; (set = nft_kernel_set_at(i)); i++)
        if (!set->usable())
            assert_true(chooses(set->name, best->name, NFT_ERROR_ARGUMENT));
}

/* --- functions of one number --- */

typedef long double reference(long double x);

static long double reference_relu(long double x)
{
    return x < 0 ? 0 : x;
}

/* From here on the result is no normal float, and is taken as 0. */
#define NO_TAIL 13.1463F

static long double reference_gelu(long double x)
{
    if (x <= -(long double)NO_TAIL && !isinf(x))
        return 0;
    return x == INFINITY ? x : x * 0.5L * erfcl(-x / sqrtl(2));
}

static long double reference_sigmoid(long double x)
{
    return 1 / (1 + expl(-x));
}

/* Sines of 2π x, exact where x is a multiple of a quarter. */
static long double turns(long double x, int64_t quarter)
{
    long double turn = x - rintl(x), near = rintl(4 * turn), r = TWO_PI * (turn - near / 4);
    if (isnan(turn))
        return turn;
    quarter = (quarter + (int64_t)near) & 3;
    return quarter == 0 ? sinl(r) : quarter == 1 ? cosl(r) : quarter == 2 ? -sinl(r) : -cosl(r);
}

static long double reference_sine_turns(long double x)
{
    return turns(x, 0);
}

static long double reference_cosine_turns(long double x)
{
    return turns(x, 1);
}

typedef void apply(const nft_kernels *k, int64_t n, const float *x, float *y);

static void apply_relu(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    k->relu(n, x, y);
}

static void apply_gelu(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    k->gelu(n, x, y);
}

static void apply_sigmoid(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    k->sigmoid(n, x, y);
}

static void apply_tanh(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    k->tanh(n, x, y);
}

static void apply_exp(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    k->exp(n, x, y);
}

static void apply_sine(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    k->sincos(n, x, y, NULL);
}

static void apply_cosine(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    k->sincos(n, x, NULL, y);
}

#define BLOCK 4096

static void apply_sine_turns(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    float cosine[BLOCK];
    k->sincos_turns(n, x, y, cosine);
}

static void apply_cosine_turns(const nft_kernels *k, int64_t n, const float *x, float *y)
{
    float sine[BLOCK];
    k->sincos_turns(n, x, sine, y);
}

static const struct function {
    const char *name;
    apply *apply;
    reference *reference;
    double ulps;      /* allowed error in units of the last place */
    double tiny_ulps; /* … of 2^-149, where the result is below the smallest normal float */
} functions[] = {
    {"relu", apply_relu, reference_relu, 0, 0},
    {"gelu", apply_gelu, reference_gelu, 8, 2},
    {"sigmoid", apply_sigmoid, reference_sigmoid, 3, 2},
    {"tanh", apply_tanh, tanhl, 3, 2},
    {"exp", apply_exp, expl, 1.5, 1},
    {"sine", apply_sine, sinl, 2, 2},
    {"cosine", apply_cosine, cosl, 2, 2},
    {"sine of turns", apply_sine_turns, reference_sine_turns, 2, 2},
    {"cosine of turns", apply_cosine_turns, reference_cosine_turns, 2, 2},
};

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double last_place(long double value)
{
    int exponent;
    frexpl(value, &exponent); /* of 0 it is 0 */
    return ldexp(1, (value == 0 || exponent < -125 ? -125 : exponent) - 24);
}

static bool is_close(const struct function *f, float got, long double expected)
{
    if (isnan(expected))
        return isnan(got);
    if (isinf((float)expected))
        return got == (float)expected;
    double error = (double)(fabsl((long double)got - expected) / (long double)last_place(expected));
    return error <= (fabsl(expected) < (long double)FLT_MIN ? f->tiny_ulps : f->ulps);
}

static void check_block(const struct function *f, int64_t n, const float *x)
{
    float y[BLOCK];
    for (int k = 0; k < set_count; k++) {
        f->apply(sets[k]->vector, n, x, y);
        for (int64_t i = 0; i < n; i++)
            if (!is_close(f, y[i], f->reference((long double)x[i])))
                fail_msg("%s, %s(%a) is %a, expected %La", sets[k]->name, f->name, (double)x[i], (double)y[i],
                         f->reference((long double)x[i]));
    }
}

/* Every 20,011th of all floats, so all exponents and signs, infinities and NaN. */
static void functions_are_right_everywhere(void **state)
{
    (void)state;
    float x[BLOCK];
    for (const struct function *f = functions; f < functions + COUNT(functions); f++)
        for (uint64_t bits = 0; bits <= UINT32_MAX;) {
            int64_t n = 0;
            for (; n < BLOCK && bits <= UINT32_MAX; bits += 20011)
                x[n++] = from_bits((uint32_t)bits);
            check_block(f, n, x);
        }
}

static void functions_are_right_in_the_usual_range(void **state)
{
    (void)state;
    static const float ranges[] = {1, 20, 110};
    float x[BLOCK];
    for (const struct function *f = functions; f < functions + COUNT(functions); f++)
        for (int r = 0; r < COUNT(ranges); r++)
            for (int part = 0; part < 16; part++) {
                for (int i = 0; i < BLOCK; i++)
                    x[i] = ranges[r] * ((float)(part + 16 * i) / (8.0f * BLOCK) - 1);
                check_block(f, BLOCK, x);
            }
}

static void functions_are_right_at_special_values(void **state)
{
    (void)state;
    const float x[] = {0.0f,         -0.0f,          INFINITY,   -INFINITY,     NAN,
                       -NAN,         FLT_MAX,        -FLT_MAX,   FLT_MIN,       -FLT_MIN,
                       0x1p-149f,    -0x1p-149f,     88.72283f,  88.7229f,      -103.97207f,
                       -103.9721f,   -13.14625f,     -87.33655f, 1e5f,          100001,
                       0x1p22f,      0x1p22f + 0.5f, 0x1p23f,    8388607.5f,    4194303.75f,
                       -2097151.25f, 0.125f,         0.25f,      0x1.921fb6p0f, 0x1.6ac5b2p+106f,
                       1e-40f,       -1e-40f,        -NO_TAIL,   -13.14629f,    -14};
    for (const struct function *f = functions; f < functions + COUNT(functions); f++)
        check_block(f, COUNT(x), x);
    float y[4], cosine[4];
    for (int k = 0; k < set_count; k++) {
        sets[k]->vector->exp(2, x, y);
        assert_true(y[0] == 1 && y[1] == 1);
        sets[k]->vector->tanh(4, x, y);
        assert_true(!signbit(y[0]) && signbit(y[1]) && y[2] == 1 && y[3] == -1);
        sets[k]->vector->sincos(2, x, y, cosine);
        assert_true(y[0] == 0 && y[1] == 0 && cosine[0] == 1);
        sets[k]->vector->sincos_turns(2, x, y, cosine);
        assert_true(y[0] == 0 && y[1] == 0 && cosine[0] == 1);
    }
}

/* --- ends, places, other arrays --- */

/* Numbers that make every path of every function run. */
static void fill_mixed(int64_t n, float *x)
{
    static const float mixed[] = {-1.5f, 0.25f, 3e5f, -14, 90, -0.0f, 1e-40f, -2, 700, NAN, 0.7f, -88, 5};
    for (int64_t i = 0; i < n; i++)
        x[i] = mixed[i % COUNT(mixed)] * (1 + 0.01f * (float)(i / COUNT(mixed)));
}

static void check_places(const nft_kernel_set *set, const struct function *f)
{
    float x[LENGTH + 8], alone[LENGTH + 8], y[LENGTH + 8];
    fill_mixed(COUNT(x), x);
    for (int64_t i = 0; i < COUNT(x); i++)
        f->apply(set->vector, 1, x + i, alone + i);
    for (int64_t n = 0; n <= LENGTH; n++)
        for (int64_t offset = 0; offset < 4; offset++) {
            memset(y, 0x5a, sizeof y);
            f->apply(set->vector, n, x + offset, y + 1);
            if (!same_bits(y + 1, alone + offset, n))
                fail_msg("%s, %s: an element depends on its place (%" PRId64 " from %" PRId64 ")", set->name,
                         f->name, n, offset);
            if (from_bits(0x5a5a5a5a) != y[0] || from_bits(0x5a5a5a5a) != y[n + 1])
                fail_msg("%s, %s: writes outside of %" PRId64 " elements", set->name, f->name, n);
            memcpy(y, x, sizeof y);
            f->apply(set->vector, n, y + offset, y + offset);
            assert_true(same_bits(y + offset, alone + offset, n));
            assert_true(same_bits(y + offset + n, x + offset + n, 4));
        }
}

static void elements_do_not_depend_on_their_place(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++)
        for (const struct function *f = functions; f < functions + COUNT(functions); f++)
            check_places(sets[k], f);
}

static void sine_and_cosine_may_replace_their_angles(void **state)
{
    (void)state;
    for (int k = 0; k < set_count; k++) {
        float x[LENGTH], sine[LENGTH], cosine[LENGTH], y[LENGTH], z[LENGTH];
        fill_mixed(LENGTH, x);
        sets[k]->vector->sincos(LENGTH, x, sine, cosine);
        memcpy(y, x, sizeof y);
        sets[k]->vector->sincos(LENGTH, y, z, y);
        assert_true(same_bits(y, cosine, LENGTH) && same_bits(z, sine, LENGTH));
        memcpy(y, x, sizeof y);
        sets[k]->vector->sincos(LENGTH, y, y, z);
        assert_true(same_bits(y, sine, LENGTH) && same_bits(z, cosine, LENGTH));
        sets[k]->vector->sincos(LENGTH, x, NULL, NULL);
    }
}

int main(void)
{
    find_sets();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_chooses_the_set),
        cmocka_unit_test(functions_are_right_everywhere),
        cmocka_unit_test(functions_are_right_in_the_usual_range),
        cmocka_unit_test(functions_are_right_at_special_values),
        cmocka_unit_test(elements_do_not_depend_on_their_place),
        cmocka_unit_test(sine_and_cosine_may_replace_their_angles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
