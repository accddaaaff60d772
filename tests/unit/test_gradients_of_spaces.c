/* Gradients of networks of tensors and axes against finite differences. */
#include "unit/gradient_checks.h"

static void agrees(void **state)
{
    check_spaces(*state, ON_SPACES);
}

int main(void)
{
    add_cases(more_cases, COUNT(more_cases), ON_SPACES, agrees);
    add_cases(entry_cases, COUNT(entry_cases), ON_SPACES, agrees);
    add_cases(hidden_cases, COUNT(hidden_cases), ON_SPACES, agrees);
    add_cases(neuron_cases, COUNT(neuron_cases), ON_SPACES, agrees); /* the slowest last */
    return _cmocka_run_group_tests("gradients of spaces", tests, test_count, NULL, NULL);
}
