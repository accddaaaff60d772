#include "answers.h"

#include "metrics.h"
#include "nft/file.h"
#include "report.h"
#include "sources.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int check_scores(const nft_array *scores, const char *path)
{
    int64_t rank = nft_array_rank(scores), shape[NFT_ARRAY_MAX_RANK] = {0};
    char found[TEXT_CAPACITY];
    for (int64_t i = 0; i < rank; i++)
        shape[i] = nft_array_size(scores, i);
    if (!nft_array_f32(scores) || rank != 2 || shape[1] < 2)
        return fail("%s: 'output' is %s %s, expected the scores of a classifier, floats (N, classes)", path,
                    nft_array_f32(scores) ? "floats" : "integers", text_shape(found, shape, rank));
    if (!all_finite(nft_array_f32(scores), nft_array_count(scores)))
        return fail("%s: 'output' has values that are not finite", path);
    return EXIT_SUCCESS;
}

static int check_labels(const cli_answers *answers, const char *path)
{
    const nft_array *labels = answers->labels;
    int64_t count = count_answers(answers), classes = nft_array_size(answers->scores, 1);
    if (!nft_array_i64(labels) || nft_array_rank(labels) != 1 || nft_array_size(labels, 0) != count)
        return fail("%s: 'label' is not one class, an integer, for each of %" PRId64 " answers", path, count);
    for (int64_t n = 0; n < count; n++)
        if (nft_array_i64(labels)[n] < 0 || nft_array_i64(labels)[n] >= classes)
            return fail("%s: label %" PRId64 " is %" PRId64 ", expected 0 … %" PRId64 ", the classes of "
                        "'output'",
                        path, n, nft_array_i64(labels)[n], classes - 1);
    return EXIT_SUCCESS;
}

static int read_tensors(cli_answers *answers, const nft_file *file, const char *path)
{
    if (!has_tensor(file, "output"))
        return fail("%s: there is no tensor 'output', which 'nftool forward' writes", path);
    if (nft_file_read(&answers->scores, file, "output", 0, NFT_ALL))
        return fail_library();
    int failed = check_scores(answers->scores, path);
    if (failed || !has_tensor(file, "label"))
        return failed;
    return nft_file_read(&answers->labels, file, "label", 0, NFT_ALL) ? fail_library()
                                                                      : check_labels(answers, path);
}

int load_answers(cli_answers *answers, const char *path)
{
    nft_file *file = NULL;
    *answers = (cli_answers){0};
    int failed = nft_file_open(&file, path, NULL) ? fail_library() : read_tensors(answers, file, path);
    nft_file_free(file);
    return failed;
}

void free_answers(cli_answers *answers)
{
    nft_array_free(answers->scores);
    nft_array_free(answers->labels);
}

int64_t count_answers(const cli_answers *answers)
{
    return nft_array_size(answers->scores, 0);
}

int compare_labels(const cli_answers *answers, const char *answers_path, const nft_array *labels,
                   const char *path, int64_t first, int64_t count)
{
    const int64_t *own = answers->labels ? nft_array_i64(answers->labels) : NULL;
    const int64_t *others = labels && nft_array_rank(labels) == 1 ? nft_array_i64(labels) : NULL;
    for (int64_t n = first; own && others && n < first + count; n++)
        if (own[n] != others[n])
            return fail("%s: label %" PRId64 " is %" PRId64 ", in %s %" PRId64
                        ": these are answers to other networks",
                        answers_path, n, own[n], path, others[n]);
    return EXIT_SUCCESS;
}

bool describe_answer(char *text, const cli_answers *answers, int64_t n)
{
    int64_t classes = nft_array_size(answers->scores, 1);
    int64_t answer = metrics_largest(nft_array_f32(answers->scores) + n * classes, classes);
    const int64_t *labels = answers->labels ? nft_array_i64(answers->labels) : NULL;
    bool wrong = labels && labels[n] != answer;
    if (wrong)
        snprintf(text, ANSWER_CAPACITY, "%" PRId64 " (%" PRId64 ")", answer, labels[n]);
    else
        snprintf(text, ANSWER_CAPACITY, "%" PRId64, answer);
    return wrong;
}
