// Uses an installed libnft from C++.
#include <nft/nft.hpp>

#include <iostream>

int main()
try {
    const nft::Model model = nft::Model::from_config(R"({
        "format_version": 1,
        "space": {"layers": [{"type": "linear", "in": 2, "out": 4}, {"type": "linear", "in": 4, "out": 1}]},
        "modules": [{"type": "np_pool"}]})");
    nft::Context context(model);
    const nft::ArrayView output = context.forward(nft::Weights(model.space(), 3));
    std::cout << nft::build_info() << ": " << output.count() << " numbers\n";
    return 0;
} catch (const nft::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
