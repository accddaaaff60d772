/* The metrics of nftool evaluate where they are not obvious. */
#include "unit/support.h"

#include "metrics.h"

/* Labels that are all equal have no R², whatever rounding does to their mean. */
static void r2_of_equal_labels(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 50; n++) {
        float targets[50], predictions[50];
        for (int64_t i = 0; i < n; i++) {
            targets[i] = 0.7f;
            predictions[i] = 0.6f;
        }
        assert_true(isnan(metrics_r2(predictions, targets, n)));
    }
    assert_true(isnan(metrics_r2(NULL, NULL, 0)));
}

static void r2_of_others(void **state)
{
    (void)state;
    const float targets[] = {1, 2, 4, 5}, predictions[] = {1, 2, 4, 7}, mean[] = {3, 3, 3, 3};
    assert_true(metrics_r2(targets, targets, 4) == 1);
    assert_true(metrics_r2(mean, targets, 4) == 0);
    assert_true(fabs(metrics_r2(predictions, targets, 4) - 0.6) < 1e-12); /* 1 - 4 / 10 */
}

/* Values of scipy.stats.kendalltau. */
static void tau_with_ties(void **state)
{
    (void)state;
    const float x[] = {1, 2, 2, 3, 4, 4}, y[] = {1, 3, 2, 2, 5, 5}, same[] = {1, 1, 1, 1, 1, 1};
    double tau = 0;
    assert_true(metrics_tau(&tau, x, y, 6));
    assert_true(fabs(tau - 10.0 / 13) < 1e-12);
    assert_true(metrics_tau(&tau, x, x, 6));
    assert_true(fabs(tau - 1) < 1e-12);
    assert_true(metrics_tau(&tau, x, same, 6));
    assert_true(isnan(tau));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r2_of_equal_labels),
        cmocka_unit_test(r2_of_others),
        cmocka_unit_test(tau_with_ties),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
