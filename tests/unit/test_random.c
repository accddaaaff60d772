/* Philox 4x32-10 against the known answers that its authors distribute, and the distributions that are made
 * of it. */
#include "base/random.h"

#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Random123's kat_vectors, "philox4x32 10": the first two words of each answer are the bits, the others
 * complete the normal numbers. */
static const struct known {
    uint64_t index, stream, seed;
    uint64_t low, high;
} known[] = {
    {0, 0, 0, 0xe169c58d6627e8d5, 0x9b00dbd8bc57ac4c},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, 0x41c83b0e408f276d, 0x6d5451fda20bc7c6},
    {0x85a308d3243f6a88, 0x0370734413198a2e, 0x299f31d0a4093822, 0x94fdccebd16cfe09, 0x24126ea15001e420},
};

static void bits_are_the_known_answers(void **state)
{
    (void)state;
    for (const struct known *k = known; k < known + sizeof known / sizeof *known; k++) {
        nft_random random = {k->seed, k->stream};
        assert_true(nft_random_bits(&random, k->index) == k->low);
    }
}

static void normals_use_the_whole_block(void **state)
{
    (void)state;
    for (const struct known *k = known; k < known + sizeof known / sizeof *known; k++) {
        nft_random random = {k->seed, k->stream};
        double u = ldexp((double)(k->low >> 11) + 1, -53), v = ldexp((double)(k->high >> 11), -53);
        double expected = sqrt(-2 * log(u)) * cos(2 * acos(-1) * v);
        assert_true(fabs((double)nft_random_normal(&random, k->index) - expected) < 1e-6);
    }
}

static void seed_stream_and_index_all_matter(void **state)
{
    (void)state;
    uint64_t bits = nft_random_bits(&(nft_random){1, 2}, 3);
    assert_true(nft_random_bits(&(nft_random){1, 2}, 3) == bits);
    for (int bit = 0; bit < 64; bit++) {
        uint64_t flip = UINT64_C(1) << bit;
        assert_true(nft_random_bits(&(nft_random){1 ^ flip, 2}, 3) != bits);
        assert_true(nft_random_bits(&(nft_random){1, 2 ^ flip}, 3) != bits);
        assert_true(nft_random_bits(&(nft_random){1, 2}, 3 ^ flip) != bits);
    }
}

#define DRAWS 100000

static void uniforms_lie_in_their_interval(void **state)
{
    (void)state;
    nft_random random = {7, nft_random_stream("uniform")};
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = (double)nft_random_uniform(&random, i);
        assert_true(x >= 0 && x < 1 && ldexp(x, 24) == floor(ldexp(x, 24)));
        sum += x;
        squares += (x - 0.5) * (x - 0.5);
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 0.004);
    assert_true(fabs(squares / DRAWS - 1.0 / 12) < 0.001);
}

static void normals_have_their_moments(void **state)
{
    (void)state;
    nft_random random = {7, nft_random_stream("normal")};
    double moments[5] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = (double)nft_random_normal(&random, i), power = 1;
        assert_true(isfinite(x));
        for (int k = 0; k < 5; k++, power *= x)
            moments[k] += power / DRAWS;
    }
    assert_true(fabs(moments[1]) < 0.02 && fabs(moments[2] - 1) < 0.03);
    assert_true(fabs(moments[3]) < 0.06 && fabs(moments[4] - 3) < 0.2);
}

static void numbers_below_a_bound_are_even(void **state)
{
    (void)state;
    nft_random random = {9, 1};
    int counts[7] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t number = nft_random_below(&random, i, 7);
        assert_true(number < 7);
        counts[number]++;
        assert_true(nft_random_below(&random, i, 1) == 0);
    }
    for (int k = 0; k < 7; k++)
        assert_true(abs(counts[k] - DRAWS / 7) < 600);
}

/* ⌊bound (high 2^64 + low) / 2^128⌋ with bounds whose products are easy to know. */
static void large_bounds_take_all_bits(void **state)
{
    (void)state;
    for (const struct known *k = known; k < known + sizeof known / sizeof *known; k++) {
        nft_random random = {k->seed, k->stream};
        for (int shift = 0; shift < 64; shift++) {
            uint64_t expected = shift == 0 ? 0 : k->high >> (64 - shift);
            assert_true(nft_random_below(&random, k->index, UINT64_C(1) << shift) == expected);
        }
        /* (2^64 - 1) r = 2^64 r - r: subtracting r borrows from the high word unless the low one is larger */
        uint64_t borrow = k->low <= k->high;
        assert_true(nft_random_below(&random, k->index, UINT64_MAX) == k->high - borrow);
    }
}

static void streams_are_fnv_hashes(void **state)
{
    (void)state;
    assert_true(nft_random_stream("") == 0xcbf29ce484222325);
    assert_true(nft_random_stream("a") == 0xaf63dc4c8601ec8c);
    assert_true(nft_random_stream("foobar") == 0x85944171f73967e8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_the_known_answers),       cmocka_unit_test(normals_use_the_whole_block),
        cmocka_unit_test(seed_stream_and_index_all_matter), cmocka_unit_test(uniforms_lie_in_their_interval),
        cmocka_unit_test(normals_have_their_moments),       cmocka_unit_test(numbers_below_a_bound_are_even),
        cmocka_unit_test(large_bounds_take_all_bits),       cmocka_unit_test(streams_are_fnv_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
