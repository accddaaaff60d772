// predict_accuracy MODEL WEIGHTS: predict_accuracy.c in C++.
#include <nft/nft.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

// Kendall's tau-b: pairs that one of the two ties count for neither.
static double kendall_tau_b(const std::vector<float> &a, const std::vector<float> &b)
{
    double agreement = 0, pairs_a = 0, pairs_b = 0;
    for (std::size_t i = 0; i < a.size(); i++)
        for (std::size_t j = 0; j < i; j++) {
            const int order_a = (a[i] > a[j]) - (a[i] < a[j]), order_b = (b[i] > b[j]) - (b[i] < b[j]);
            agreement += order_a * order_b;
            pairs_a += order_a != 0;
            pairs_b += order_b != 0;
        }
    return agreement / std::sqrt(pairs_a * pairs_b);
}

static std::vector<float> floats(const nft::ArrayView &array, const char *what, std::int64_t count)
{
    if (!array || !array.f32() || array.count() != count)
        throw std::runtime_error(std::string(what) + ": expected one float for each network");
    return {array.f32(), array.f32() + count};
}

int main(int argc, char **argv)
try {
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s MODEL WEIGHTS\n", argv[0]);
        return 2;
    }
    const nft::Model model = nft::Model::load(argv[1]);
    nft::Weights networks = nft::Weights::load(argv[2]);
    nft::Context context(model);
    const auto count = networks.count();

    const auto actual = floats(networks.extra("label"), "label", count);
    const auto predicted = floats(context.forward(networks), "output", count);
    std::puts("network  predicted  actual");
    for (std::size_t n = 0; n < predicted.size(); n++)
        std::printf("%7zu  %9.3f  %6.3f\n", n, predicted[n], actual[n]);
    std::printf("Kendall's tau-b %.3f\n", kendall_tau_b(predicted, actual));

    networks.permute_random(1);
    const auto again = floats(context.forward(networks), "output", count);
    float largest = 0;
    for (std::size_t n = 0; n < predicted.size(); n++)
        largest = std::max(largest, std::abs(again[n] - predicted[n]));
    std::printf("after shuffling all hidden neurons: largest difference %.1e\n", largest);
    return 0;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
