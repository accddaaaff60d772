/* Learning curves of logs with any numbers: they are drawn, and soon. */
#define _XOPEN_SOURCE 700
#include "plot_curves.h"
#include "plot_runs.h"
#include "plot_scaling.h"
#include "unit/temporary.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_svg(const char *path)
{
    char text[1 << 18] = "";
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    return size > 0 && strstr(text, "<svg") && strstr(text, "</svg>") && !strstr(text, "nan") &&
           !strstr(text, "inf");
}

static void expect_drawn(double a, double b, double metric)
{
    log_step_entry steps[] = {{0, a}, {1, b}, {2, 1}};
    log_validation_entry validations[2] = {{.step = 1}, {.step = 3}};
    training_log log = {.steps = steps, .step_count = 3, .validations = validations, .validation_count = 2};
    const char *path = temporary_path("curves.svg");
    for (int i = 0; i < 2; i++)
        validations[i].scores = (cli_scores){.kind = LOSS_MSE,
                                             .loss = i ? b : a,
                                             .accuracy = (double)NAN,
                                             .tau = i ? metric : -metric,
                                             .r2 = metric,
                                             .mean_absolute_error = metric,
                                             .psnr = (double)NAN};
    assert_int_equal(plot_curves(path, "a model", &log), 0);
    assert_true(is_svg(path));
    const training_run runs[] = {{"one", log}, {"two", log}};
    assert_int_equal(plot_runs(path, "two models", runs, 2), 0);
    assert_true(is_svg(path));
}

static void curves_of_any_numbers_are_drawn(void **state)
{
    (void)state;
    const double values[] = {1e308, -1e308,  DBL_MAX,  5e-324,    1e-323, DBL_MIN,  1e-100, 1e100,
                             0,     -5e-324, INFINITY, -INFINITY, NAN,    1 + 1e-9, 1,      1e300};
    for (size_t i = 0; i < COUNT(values); i++)
        for (size_t k = 0; k < COUNT(values); k++)
            expect_drawn(values[i], values[k], values[(i + k) % COUNT(values)]);
}

static void scaling_of_any_numbers_is_drawn(void **state)
{
    (void)state;
    const double values[] = {1e308, 5e-324, 1, 0, INFINITY, NAN};
    const char *path = temporary_path("scaling.svg");
    for (size_t i = 0; i < COUNT(values); i++)
        for (int threads = 1; threads <= 2; threads++) {
            const scaling_row rows[] = {
                {1000, INT64_MAX, 1, values[i], 1e-300, 1, INT64_MAX},
                {1000, INT64_MAX, threads, 1, values[i], 1, 1},
                {1000000, 1, 1, 1e-9, 100, INT64_MAX, 1},
                {1000000, 1, threads, values[i], values[i], 0, 0},
            };
            assert_int_equal(plot_scaling(path, "a model", rows, 1), 0);
            assert_true(is_svg(path));
            assert_int_equal(plot_scaling(path, "a model", rows, COUNT(rows)), 0);
            assert_true(is_svg(path));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves_of_any_numbers_are_drawn),
        cmocka_unit_test(scaling_of_any_numbers_is_drawn),
    };
    return cmocka_run_group_tests_name("plots", tests, temporary_open, temporary_close);
}
