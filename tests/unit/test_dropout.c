/* Dropout: which elements are dropped is Philox's word for each, the same with every set of kernels. */
#include "base/random.h"
#include "math/gradients.h"
#include "modules/shared/module.h"
#include "unit/kernel_sets.h"

#include <math.h>

#define LONGEST 400
#define SEED UINT64_C(0x0123456789abcdef)
#define STREAM UINT64_C(0xfedcba9876543210)

/* Salmon et al., section 3.3, word by word. */
static uint32_t philox_word(uint64_t block, int word)
{
    uint32_t c[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)STREAM, (uint32_t)(STREAM >> 32)};
    uint32_t key[2] = {(uint32_t)SEED, (uint32_t)(SEED >> 32)};
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53 * c[0], b = (uint64_t)0xCD9E8D57 * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ key[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ c[3] ^ key[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return c[word];
}

/* The test's generator is the library's. */
static void same_generator(void **state)
{
    (void)state;
    nft_random random = {SEED, STREAM};
    for (uint64_t block = 0; block < 5; block++)
        assert_int_equal(nft_random_bits(&random, block),
                         philox_word(block, 0) | (uint64_t)philox_word(block, 1) << 32);
}

/* Whole groups of 64 and the rest of one; y may be x. */
static void drops_by_word(void **state)
{
    (void)state;
    uint32_t threshold = 1u << 30;
    for (int set = 0; set < set_count; set++)
        for (int64_t n = 0; n <= LONGEST; n += n < 70 ? 1 : 55) {
            float x[LONGEST], y[LONGEST + 1];
            for (int64_t i = 0; i < n; i++)
                x[i] = (float)(i + 1);
            y[n] = 77;
            sets[set]->gradients->drop(n, threshold, 1.5f, SEED, STREAM, x, y);
            for (int64_t i = 0; i < n; i++) {
                uint32_t word = philox_word((uint64_t)(i / 64 * 16 + i % 16), (int)(i / 16 % 4));
                assert_true(y[i] == (word < threshold ? 0 : 1.5f * x[i]));
            }
            assert_true(y[n] == 77);
            sets[set]->gradients->drop(n, threshold, 1.5f, SEED, STREAM, x, x);
            assert_memory_equal(x, y, (size_t)n * sizeof *x);
        }
}

/* Dropout does not hide numbers that are not finite. */
static void keeps_what_is_not_finite(void **state)
{
    (void)state;
    float x[200], y[200];
    for (int set = 0; set < set_count; set++)
        for (int i = 0; i < 2; i++) {
            for (int64_t k = 0; k < 200; k++)
                x[k] = i ? INFINITY : NAN;
            sets[set]->gradients->drop(200, UINT32_MAX / 2, 2, SEED, STREAM, x, y);
            for (int64_t k = 0; k < 200; k++)
                assert_true(!isfinite(y[k]));
        }
}

/* A share p is dropped, others elsewhere, and the same in the second call that backward makes. */
static void drops_a_share(void **state)
{
    (void)state;
    enum { COUNT_DRAWN = 100000 };
    static float ones[COUNT_DRAWN], first[COUNT_DRAWN], second[COUNT_DRAWN];
    nft_dropout_key keys[] = {{1, 2, 3}, {1, 2, 4}, {1, 3, 3}, {2, 2, 3}};
    nft_exec exec = {.dropout = &keys[0]};
    for (int64_t i = 0; i < COUNT_DRAWN; i++)
        ones[i] = 1;
    for (double p = 0; p < 1; p += 0.3) {
        double kept = 0;
        nft_drop(&exec, 9, p, COUNT_DRAWN, ones, first);
        for (int64_t i = 0; i < COUNT_DRAWN; i++) {
            assert_true(first[i] == 0 || fabsf(first[i] - (float)(1 / (1 - p))) < 1e-6f * first[i]);
            kept += first[i] != 0;
        }
        double deviation = sqrt(p * (1 - p) * COUNT_DRAWN);
        assert_true(fabs(kept - (1 - p) * COUNT_DRAWN) <= 5 * deviation);
        nft_drop(&exec, 9, p, COUNT_DRAWN, ones, second);
        assert_memory_equal(first, second, sizeof first);
    }
    nft_drop(&exec, 9, 0.5, COUNT_DRAWN, ones, first);
    for (int other = 0; other < 4; other++) {
        exec.dropout = &keys[other];
        int64_t same = 0;
        nft_drop(&exec, other ? 9 : 10, 0.5, COUNT_DRAWN, ones, second);
        for (int64_t i = 0; i < COUNT_DRAWN; i++)
            same += first[i] == second[i];
        assert_true(llabs(same - COUNT_DRAWN / 2) < 5 * 160);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_generator),
        cmocka_unit_test(drops_by_word),
        cmocka_unit_test(keeps_what_is_not_finite),
        cmocka_unit_test(drops_a_share),
    };
    find_sets();
    return cmocka_run_group_tests_name("dropout", tests, NULL, NULL);
}
