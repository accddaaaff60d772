/* The answers of a model: the class that it gives each network, and the class that each network has. */
#ifndef NFT_CLI_ANSWERS_H
#define NFT_CLI_ANSWERS_H

#include <nft/nft.h>
#include <stdbool.h>

typedef struct cli_answers {
    nft_array *scores; /* (N, classes) */
    nft_array *labels; /* (N) classes; NULL if they are not known */
} cli_answers;

/* Room for the text of an answer. */
#define ANSWER_CAPACITY 64

/* Reads a classifier's output as nftool forward writes it: `output`, scores (N, classes), and perhaps
 * `label`. Prints its failure and returns the exit status. Call free_answers() in any case. */
int load_answers(cli_answers *answers, const char *path);
void free_answers(cli_answers *answers);
int64_t count_answers(const cli_answers *answers);
/* Fails where networks first … first + count - 1 of the file `path` have other classes than the answers of
 * `answers_path`: these are answers to other networks. `labels` may be NULL, or no classes. */
int compare_labels(const cli_answers *answers, const char *answers_path, const nft_array *labels,
                   const char *path, int64_t first, int64_t count);
/* The class with the highest score, the first of equals; in brackets behind it the label, if that is another.
 * Returns whether it is. */
bool describe_answer(char *text, const cli_answers *answers, int64_t n);

#endif
