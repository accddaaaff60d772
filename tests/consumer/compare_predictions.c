/* compare_predictions WEIGHTS: numbers on standard input, one a network, are the file's `prediction` to 1e-4.
 */
#include <nft/nft.h>

#include <math.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    nft_weights *networks = NULL;
    if (argc != 2 || nft_weights_load(&networks, argv[1], NULL)) {
        fprintf(stderr, "%s\n", argc == 2 ? nft_error_message() : "usage: compare_predictions WEIGHTS");
        return 2;
    }
    const nft_array *array = nft_weights_extra(networks, "prediction");
    const float *expected = array ? nft_array_f32(array) : NULL;
    int64_t count = expected ? nft_array_count(array) : 0, seen = 0;
    double number, largest = 0;
    for (; seen < count && scanf("%lf", &number) == 1; seen++)
        largest = fmax(largest, fabs(number - expected[seen]));
    int failed = count == 0 || seen != count || scanf("%lf", &number) == 1 || !(largest <= 1e-4);
    printf("%d of %d predictions, largest difference %.2g\n", (int)seen, (int)count, largest);
    nft_weights_free(networks);
    return failed;
}
