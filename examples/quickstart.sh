#!/bin/sh
# Builds libnft in build/quickstart and does its main job on the real sample in examples/data. As root on Debian it installs the
# packages that are missing.
set -eu

cd "$(dirname "$0")/.."
. src/package/debian.sh
build=build/quickstart
data=examples/data

heading() {
    printf '\n--- %s\n\n' "$*"
}

show() {
    echo "\$ $*"
    "$@"
    echo
}

# shellcheck disable=SC2086
install_packages $nft_build_packages
mkdir -p $build
printf 'building in %s ... ' $build
if ! { cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DNFT_BUILD_TESTS=OFF && cmake --build $build; } \
    >$build/log 2>&1 </dev/null; then
    echo failed
    tail -n 40 $build/log
    exit 1
fi
echo "done"
$build/nftool --version

heading "A trained model reads the weights of 50 CNNs trained on FashionMNIST and says how accurate they are"
show $build/nftool info $data/accuracy-predictor.safetensors
show $build/examples/predict_accuracy $data/accuracy-predictor.safetensors $data/fashion-cnns.safetensors
show $build/nftool evaluate $data/accuracy-predictor.safetensors $data/fashion-cnns.safetensors --loss bce --quiet

heading "The order of hidden neurons does not matter: other weights, the same networks, the same answers"
show $build/nftool permute $data/fashion-cnns.safetensors -o $build/permuted.safetensors --seed 1 --quiet
show $build/nftool evaluate $data/accuracy-predictor.safetensors $build/permuted.safetensors --loss bce --quiet

heading "300 handwritten digits become SIRENs, and a model classifies the digits from their weights"
echo "The model was trained on SIRENs whose neurons have one sign and phase, so these get them too: --canonical."
echo
show $build/nftool fit $data/digits-idx3-ubyte.gz --labels $data/digits-labels-idx1-ubyte.gz --canonical \
    -o $build/digits.safetensors --quiet
show $build/nftool evaluate $data/digit-classifier.safetensors $build/digits.safetensors --quiet
show $build/nftool forward $data/digit-classifier.safetensors $build/digits.safetensors -o $build/answers.safetensors --quiet

heading "Another model makes the digits bolder by changing the weights; Inr2Array compresses each network to 16 latents and back"
show $build/nftool forward $data/digit-editor.safetensors $build/digits.safetensors -o $build/bolder.safetensors --quiet
show $build/nftool forward $data/digit-encoder.safetensors $build/digits.safetensors --decode -o $build/decoded.safetensors --quiet
show $build/nftool render $data/digits-idx3-ubyte.gz $build/digits.safetensors $build/bolder.safetensors $build/decoded.safetensors \
    --count 80 --answers $build/answers.safetensors --zoom 2 -o $build/digits.png
echo "$build/digits.png shows digits, their SIRENs, the bolder ones, the images that Inr2Array decodes, and the answers;"
echo "a wrong answer is red, with the digit behind it."

heading "60 MNIST digits, stored as SIRENs, become latents: the encoder of arXiv 2305.13546 with 64 channels, then with 256"
echo "A model made from a configuration is freshly initialised, not trained: this shows shapes and speed, not accuracy."
echo
show $build/examples/encode_sirens $data/mnist-encoder-64.json $data/mnist-sirens.safetensors $build/latents-64.safetensors
show $build/nftool forward $data/mnist-encoder.json $data/mnist-sirens.safetensors -o $build/latents.safetensors --quiet
show $build/nftool info $build/latents.safetensors
echo "The programs are in $build; examples/*.c shows how they use the library."
