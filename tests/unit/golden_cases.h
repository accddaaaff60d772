/* The cases of tests/data/golden, or of the folder that a test's argument names. */
#ifndef NFT_TEST_GOLDEN_CASES_H
#define NFT_TEST_GOLDEN_CASES_H

#include "unit/support.h"

#include <dirent.h>
#include <sys/stat.h>

#define LEAST_CASES 49 /* of the tree's own folder */
#define RELATIVE 1e-4
/* Of the largest number of a tensor. bf16 numbers have 8 bits, and the cases are small networks with random
 * weights. */
#define ABSOLUTE (support_precision() == NFT_PRECISION_BF16 ? 0.1 : 5e-5)

typedef struct golden_case {
    char *name, *model, *input, *expected; /* paths but for the name */
} golden_case;

static golden_case *cases;
static size_t case_count;

static char *joined(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = support_allocate(size);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static bool is_file(const char *path)
{
    struct stat status;
    return !stat(path, &status) && S_ISREG(status.st_mode);
}

static void free_case(golden_case *c)
{
    free(c->name);
    free(c->model);
    free(c->input);
    free(c->expected);
}

/* `suffix` is "" or "-SPACE" of a model of any space, which has a case for each. */
static void add_files(const char *root, const char *name, const char *suffix)
{
    char input[300], expected[300], full[300], *folder = joined(root, name);
    snprintf(input, sizeof input, "input%s.safetensors", suffix);
    snprintf(expected, sizeof expected, "expected%s.safetensors", suffix);
    snprintf(full, sizeof full, "%s%s", name, suffix);
    golden_case c = {strdup(full), joined(folder, "model.safetensors"), joined(folder, input),
                     joined(folder, expected)};
    free(folder);
    if (!is_file(c.model) || !is_file(c.input) || !is_file(c.expected)) {
        free_case(&c);
        return;
    }
    cases = realloc(cases, (case_count + 1) * sizeof *cases);
    if (!cases)
        abort();
    cases[case_count++] = c;
}

static void add_case(const char *root, const char *name)
{
    static const char prefix[] = "input-", end[] = ".safetensors";
    char *path = joined(root, name);
    DIR *folder = opendir(path);
    add_files(root, name, "");
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, prefix, strlen(prefix)) || length < strlen(prefix) + strlen(end))
            continue;
        char suffix[256];
        snprintf(suffix, sizeof suffix, "%.*s", (int)(length - strlen("input") - strlen(end)),
                 entry->d_name + strlen("input"));
        add_files(root, name, suffix);
    }
    if (folder)
        closedir(folder);
    free(path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const golden_case *)a)->name, ((const golden_case *)b)->name);
}

static void find_cases(const char *root)
{
    DIR *folder = opendir(root);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            add_case(root, entry->d_name);
    if (folder)
        closedir(folder);
    if (case_count)
        qsort(cases, case_count, sizeof *cases, by_name);
}

typedef struct opened {
    nft_model *model;
    nft_weights *input;
} opened;

static opened open_case(const golden_case *c)
{
    opened o = {NULL, NULL};
    nft_load_options options = NFT_LOAD_OPTIONS_INIT;
    assert_ok(nft_model_load(&o.model, c->model, NULL));
    options.space = nft_model_describe(o.model)->space; /* NULL of any space: the file has its own */
    assert_ok(nft_weights_load(&o.input, c->input, &options));
    return o;
}

static void close_case(opened *o)
{
    nft_weights_free(o->input);
    nft_model_free(o->model);
}

static void enough_cases(void **state)
{
    const size_t *least = *state;
    if (case_count < *least)
        fail_msg("%zu cases found, expected at least %zu", case_count, *least);
}

static char *test_name(const char *name, const char *what)
{
    size_t size = strlen(name) + strlen(what) + 3;
    char *text = support_allocate(size);
    snprintf(text, size, "%s%s%s", name, *what ? ": " : "", what);
    return text;
}

typedef struct golden_kind {
    const char *what;
    CMUnitTestFunction function;
} golden_kind;

/* NFT_TEST_KINDS in the environment lowers their number, for an emulator: the first compares with PyTorch. */
static size_t kinds_wanted(size_t count)
{
    const char *most = getenv("NFT_TEST_KINDS");
    size_t wanted = most ? (size_t)strtoul(most, NULL, 10) : count;
    return wanted >= 1 && wanted < count ? wanted : count;
}

/* Runs each kind of test on each case, after `first`, another test or NULL, which fewer kinds do without. */
static int run_golden(const char *group, int argc, char **argv, const golden_kind *kinds, size_t kind_count,
                      CMUnitTestFunction first, CMFixtureFunction setup, CMFixtureFunction teardown)
{
    size_t least = argc > 1 ? 1 : LEAST_CASES, count = 0, wanted = kinds_wanted(kind_count);
    find_cases(argc > 1 ? argv[1] : NFT_TEST_DATA "/golden");
    struct CMUnitTest *tests = support_allocate((case_count * kind_count + 2) * sizeof *tests);
    tests[count++] =
        (struct CMUnitTest){.name = "enough cases", .test_func = enough_cases, .initial_state = &least};
    if (first && wanted == kind_count)
        tests[count++] = (struct CMUnitTest){.name = "real networks", .test_func = first};
    size_t named = count;
    for (size_t kind = 0; kind < wanted; kind++)
        for (size_t i = 0; i < case_count; i++)
            tests[count++] = (struct CMUnitTest){.name = test_name(cases[i].name, kinds[kind].what),
                                                 .test_func = kinds[kind].function,
                                                 .initial_state = &cases[i]};
    int failed = _cmocka_run_group_tests(group, tests, count, setup, teardown);
    for (size_t i = named; i < count; i++)
        free((char *)tests[i].name);
    free(tests);
    for (size_t i = 0; i < case_count; i++)
        free_case(&cases[i]);
    free(cases);
    return failed;
}

#endif
