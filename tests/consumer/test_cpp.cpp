// nft.hpp: every class, moving, failures and exceptions of callbacks.
#include "nft/nft.hpp"

#include <cstdio>
#include <cstdlib>
#include <type_traits>

static void expect(bool right, const char *what)
{
    if (!right) {
        std::fprintf(stderr, "not so: %s\n", what);
        std::exit(1);
    }
}
#define EXPECT(condition) expect(condition, #condition)

template <class Call> static nft_status status_of(Call call)
{
    try {
        call();
    } catch (const nft::Error &error) {
        EXPECT(!std::string(error.what()).empty());
        return error.status();
    }
    return NFT_OK;
}

static const std::string data = NFT_SOURCE_DIR "/examples/data/";

static void arrays_and_files()
{
    const nft::Array floats({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
    EXPECT(floats.rank() == 2 && floats.size(1) == 3 && floats.count() == 6 && floats.f32()[5] == 6);
    EXPECT((floats.shape() == std::vector<std::int64_t>{2, 3}) && !floats.i64());
    EXPECT(status_of([] { nft::Array({2}, std::vector<float>{1}); }) == NFT_ERROR_ARGUMENT);
    EXPECT(nft::Array({0, 3}, std::vector<float>()).count() == 0);
    nft::Array labels({2}, std::vector<std::int64_t>{7, 8});
    nft::Array moved = std::move(labels);
    EXPECT(moved.i64()[1] == 8 && !labels); // NOLINT: the source of a move is empty

    nft::save("nft-cpp-test.safetensors", {{"floats", floats}, {"labels", moved}}, {{"key", "text"}});
    const nft::File file = nft::File::open("nft-cpp-test.safetensors");
    EXPECT(file.tensor_count() == 2 && std::string(file.tensor(0).name) == "floats");
    EXPECT(file.read("labels").i64()[0] == 7 && file.metadata("none").empty());
    EXPECT(file.metadata("key") == "text" && (file.metadata() == nft::Metadata{{"key", "text"}}));
    EXPECT(std::remove("nft-cpp-test.safetensors") == 0);
    EXPECT(status_of([] { nft::File::open("nft-cpp-test.safetensors"); }) == NFT_ERROR_FILE);
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    info.name = "a";
    info.type = "F32";
    info.rank = 1;
    info.shape[0] = 3;
    const float values[] = {1, 2, 3};
    nft::FileWriter writer("nft-cpp-test.safetensors", {info}, {{"a", "b"}});
    writer.append(values, sizeof values);
    writer.commit();
    EXPECT(nft::File::open("nft-cpp-test.safetensors").read_rows("a", 1, 2).f32()[1] == 3);
    EXPECT(nft::File::open("nft-cpp-test.safetensors").metadata("a") == "b");
    std::remove("nft-cpp-test.safetensors");
    EXPECT(status_of([] { nft::File::from_memory("x", 1); }) == NFT_ERROR_FORMAT);
}

static void spaces_and_weights()
{
    const nft::Space space = nft::Space::mlp({2, 3, 1});
    const nft::Space same({NFT_LAYER_INIT_LINEAR(2, 3), NFT_LAYER_INIT_LINEAR(3, 1)});
    EXPECT(space == same && space != nft::Space::mlp({2, 1}) && space.parameter_count() == 13);
    EXPECT(space.layer_count() == 2 && space.layer(1).in == 3);
    EXPECT(status_of([&] { space.layer(2); }) == NFT_ERROR_ARGUMENT);
    EXPECT(nft::Space::parse(R"({"layers": [{"type": "linear", "in": 2, "out": 1}]})") ==
           nft::Space::mlp({2, 1}));

    nft::Weights weights(space, 2);
    weights.edit(0)[0] = 5;
    weights.set_extra("label", nft::Array({2}, std::vector<std::int64_t>{1, 2}));
    EXPECT(weights.extra_count() == 1 && weights.extra_name(0) == "label" &&
           weights.extra("label").i64()[1] == 2);
    const std::vector<std::int64_t> order{2, 1, 0, 0, 1, 2};
    weights.permute({nullptr, order.data(), nullptr});
    EXPECT(weights.data(0)[4] == 5 && weights.data_count(0) == 12);
    EXPECT(status_of([&] { weights.permute({}); }) == NFT_ERROR_ARGUMENT);
    nft::Weights(nft::Space::mlp({2, 1}), 1).permute({nullptr, nullptr}); // no hidden layer
    weights.permute_random(3);
    weights.remove_extra("label");
    EXPECT(!weights.extra("label") && weights.channels() == 1 && weights.tensor_name(2) == "1.weight");

    const std::vector<float> first(6, 1), second(3, 2), bias(3, 3);
    const std::vector<const float *> arrays{first.data(), bias.data(), second.data(), nullptr};
    nft::Weights borrowed = nft::Weights::borrow(space, 1, 1, arrays);
    const nft::Weights copied = nft::Weights::copy(space, 1, 1, arrays);
    EXPECT(borrowed.data(0) == first.data() && !borrowed.edit(0));
    EXPECT(copied.data(0) != first.data() && copied.data(1)[2] == 3 && copied.data(3)[0] == 0);
    EXPECT(status_of([&] { nft::Weights::copy(space, 1, 1, {first.data()}); }) == NFT_ERROR_ARGUMENT);
    weights.set_metadata("nft.omega", "30");
    EXPECT(weights.metadata("nft.omega") == "30" && weights.metadata("nft.none").empty());
}

/* A residual block: both convolutions write to one axis. */
static void spaces_of_tensors()
{
    const std::vector<nft_factor> wide{NFT_AXIS(1), NFT_AXIS(0), NFT_POSITIONS(3)};
    const std::vector<nft_factor> narrow{NFT_AXIS(0), NFT_AXIS(1), NFT_POSITIONS(3)};
    const nft::Space space(
        {NFT_SPACE_AXIS("c", 4, NFT_SYMMETRY_PERMUTATION), NFT_SPACE_AXIS("m", 2, NFT_SYMMETRY_PERMUTATION)},
        {NFT_SPACE_TENSOR("conv1.weight", wide.data(), 3),
         NFT_SPACE_TENSOR("conv2.weight", narrow.data(), 3)});
    EXPECT(space.axis_count() == 2 && std::string(space.axis(1).name) == "m" && space.layer_count() == 0);
    EXPECT(space.tensor_count() == 2 && space.tensor(0).rank == 3 && space.tensor(0).shape[1] == 4);
    EXPECT(space.tensor(0).role == NFT_ROLE_CONV && space.parameter_count() == 48);
    EXPECT(nft::Space::parse(space.json()) == space);
    EXPECT(status_of([&] { space.axis(2); }) == NFT_ERROR_ARGUMENT);
}

static void sirens()
{
    nft::Weights weights(nft::Space::mlp({2, 8, 1}), 2);
    weights.init_sirens(1);
    const nft::Array before = nft::render_sirens(weights, 0, 2, 3, 4);
    EXPECT((before.shape() == std::vector<std::int64_t>{2, 3, 4, 1}));
    const std::vector<float> losses = weights.fit_sirens(before);
    nft_inr_fit_options stopped = NFT_INR_FIT_OPTIONS_INIT;
    stopped.threads = 1;
    std::vector<float> partly;
    const auto stop = [](std::int64_t, std::int64_t) { return false; };
    EXPECT(status_of([&] { weights.fit_sirens(before, partly, stopped, stop); }) == NFT_ERROR_CANCELLED);
    EXPECT(partly.size() == 2 && partly[1] != partly[1]); // not finished
    bool caught = false;
    try {
        weights.fit_sirens(before, NFT_INR_FIT_OPTIONS_INIT,
                           [](std::int64_t, std::int64_t) -> bool { throw std::range_error("mine"); });
    } catch (const std::range_error &) {
        caught = true;
    }
    EXPECT(caught);
    weights.canonicalize_sirens();
    EXPECT(weights.data(0)[0] + weights.data(0)[1] > 0);
    EXPECT(losses.size() == 2 && losses[0] < 1e-3f && losses[1] < 1e-3f);
    EXPECT(status_of([&] { nft::render_sirens(weights, 0, 3, 3, 4); }) == NFT_ERROR_ARGUMENT);
    EXPECT(status_of([] {
               nft::Weights(nft::Space::mlp({3, 1}), 1).fit_sirens(nft::Array({0}, std::vector<float>()));
           }) != NFT_OK);
}

static void models_and_contexts()
{
    nft::Model model = nft::Model::load(data + "accuracy-predictor.safetensors");
    const nft::Weights networks = nft::Weights::load(data + "fashion-cnns.safetensors");
    EXPECT(model.space() == networks.space() && model.module_count() > 1 && model.tensor_count() > 1);
    EXPECT(model.output().output == NFT_VALUE_VECTOR && model.input().channels == 1 && !model.has_decoder());
    EXPECT(model.module(0).parameter_count >= 0 && model.tensor(0).count > 0 && !model.config().empty());

    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.threads = 2;
    EXPECT(nft::Context::memory(model, options) > 0);
    nft::Context first(model, options);
    model = nft::Model::from_config(model.config(), 1);
    nft::Context context = std::move(first);
    int calls = 0;
    context.set_progress([&](std::int64_t, std::int64_t) { return ++calls > 0; });
    const nft::ArrayView output = context.forward(networks);
    const nft::ArrayView expected = networks.extra("prediction");
    EXPECT(output && output.count() == 50 && calls > 0 && !context.latents());
    for (std::int64_t n = 0; n < output.count(); n++)
        EXPECT(output.f32()[n] - expected.f32()[n] < 1e-4f && expected.f32()[n] - output.f32()[n] < 1e-4f);
    EXPECT(context.forward(networks, 3, 2).array().size(0) == 2);
    EXPECT(status_of([&] { context.output().weights(); }) == NFT_ERROR_ARGUMENT);
    EXPECT(status_of([&] { context.latents().array(); }) == NFT_ERROR_ARGUMENT);
    const float fourth = context.output().array().f32()[0];
    EXPECT(context.forward(networks, {7, 3}).array().f32()[1] == fourth);
    EXPECT(status_of([&] { context.forward(networks, std::vector<std::int64_t>()); }) == NFT_ERROR_ARGUMENT);

    context.set_progress([](std::int64_t, std::int64_t) { return false; });
    EXPECT(status_of([&] { context.forward(networks); }) == NFT_ERROR_CANCELLED);
    context.set_progress([](std::int64_t, std::int64_t) -> bool { throw std::range_error("mine"); });
    bool thrown = false;
    try {
        context.forward(networks);
    } catch (const std::range_error &) {
        thrown = true;
    }
    EXPECT(thrown);
    context.set_progress(nullptr);
    EXPECT(context.forward(networks).array().count() == 50);
    EXPECT(status_of([&] {
               context.forward(nft::Weights(nft::Space::mlp({2, 1}), 1));
           }) == NFT_ERROR_MISMATCH);
    EXPECT(status_of([] { nft::Model::from_config("{"); }) == NFT_ERROR_FORMAT);
}

static void features_and_tokens()
{
    const nft::Model editor = nft::Model::from_config(
        R"({"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 3}]},
            "modules": [{"type": "pointwise", "out_channels": 4}]})");
    nft::Context context(editor);
    const nft::WeightsView edited = context.forward(nft::Weights(editor.space(), 2));
    EXPECT(edited.channels() == 4 && edited.data_count(1) == 2 * 4 * 3);
    EXPECT(status_of([&] { context.output().array(); }) == NFT_ERROR_ARGUMENT);

    const nft::Model on_tokens = nft::Model::from_config(
        R"({"format_version": 1, "input": {"type": "tokens", "tokens": 2, "channels": 3},
            "modules": [{"type": "mean_tokens"}]})");
    EXPECT(!on_tokens.space());
    nft::Context means(on_tokens);
    EXPECT(means.forward(nft::Array({1, 2, 3}, std::vector<float>{1, 2, 3, 3, 2, 1})).array().f32()[0] == 2);
}

static void training()
{
    const nft::Model model = nft::Model::from_config(
        R"({"format_version": 1, "space": {"layers": [{"type": "linear", "in": 2, "out": 3}]},
            "modules": [{"type": "np_pool"}, {"type": "linear", "out_features": 1}]})");
    const std::string recipe =
        R"({"loss": "mse", "optimizer": {"type": "adam"}, "batch_size": 2, "steps": 4})";
    nft::Weights set(model.space(), 3);
    set.set_extra("label", nft::Array({3}, std::vector<float>{1, 2, 3}));
    EXPECT(nft::Trainer::memory(model, recipe) > 0);
    nft::Trainer trainer(model, recipe);
    trainer.set_data(set, set);
    trainer.fit_normalize();
    EXPECT(trainer.step().step == 0);
    EXPECT(!trainer.run([](const nft_step_info &info) { return info.step < 2; }) &&
           trainer.steps_done() == 3);
    bool thrown = false;
    try {
        trainer.run([](const nft_step_info &) -> bool { throw std::range_error("mine"); });
    } catch (const std::range_error &) {
        thrown = true;
    }
    EXPECT(thrown && trainer.steps_done() == 4 && trainer.validate() > 0);
    EXPECT(trainer.steps() == 4 && trainer.best_loss() == trainer.validate() &&
           trainer.validation_output().count() == 3);
    EXPECT(trainer.snapshot().tensor_count() == 2 && trainer.best().metadata("nft.loss") == "mse");
    EXPECT(status_of([&] { nft::Trainer(model, "{}"); }) == NFT_ERROR_CONFIG);

    nft::Trainer generated(model, recipe);
    int filled = 0;
    generated.set_source([&](nft_batch &batch) {
        for (int64_t i = 0; i < batch.count; i++)
            batch.targets[i] = 1;
        return ++filled < 3;
    });
    EXPECT(status_of([&] { generated.run(); }) == NFT_ERROR_CANCELLED && generated.steps_done() == 2);
    generated.set_source([](nft_batch &) -> bool { throw std::range_error("mine"); });
    thrown = false;
    try {
        generated.step();
    } catch (const std::range_error &) {
        thrown = true;
    }
    EXPECT(thrown && generated.steps_done() == 2);
    generated.set_validation(set);
    EXPECT(generated.validate() > 0);
    generated.set_source(nullptr);
    EXPECT(status_of([&] { generated.step(); }) == NFT_ERROR_ARGUMENT);

    const nft::Model on_tokens = nft::Model::from_config(
        R"({"format_version": 1, "input": {"type": "tokens", "tokens": 2, "channels": 1},
            "modules": [{"type": "mean_tokens"}, {"type": "linear", "out_features": 1}]})");
    const nft::Array tokens({2, 2, 1}, std::vector<float>{1, 2, 3, 4}),
        targets({2}, std::vector<float>{1, 2});
    nft::Trainer validates(on_tokens, recipe);
    validates.set_validation(tokens, targets);
    EXPECT(validates.validate() > 0);
    nft::Trainer of_tokens(on_tokens, recipe);
    of_tokens.set_tokens(tokens, targets, tokens, targets);
    of_tokens.run();
    EXPECT(of_tokens.best_loss() >= 0);
    nft_context_options input_options = NFT_CONTEXT_OPTIONS_INIT;
    input_options.keep_for_backward = input_options.input_gradient = 1;
    nft::Context backwards(on_tokens, input_options);
    backwards.forward(tokens);
    backwards.backward(nft::Array({2, 1}, std::vector<float>{2, 4}));
    const nft::ArrayView gradient = backwards.input_gradient();
    EXPECT(gradient.f32()[2] == 2 * gradient.f32()[0]);

    nft_context_options options = NFT_CONTEXT_OPTIONS_INIT;
    options.keep_for_backward = 1;
    nft::Context context(model, options);
    nft::Gradients gradients(model);
    context.forward(set);
    gradients.backward(context, nft::Array({3, 1}, std::vector<float>{1, 1, 1}));
    EXPECT(gradients.tensor(1).data[0] == 3);
    gradients.clear();
    EXPECT(gradients.tensor(1).data[0] == 0);
    const nft::Model before = context.snapshot();
    std::vector<float> larger(static_cast<std::size_t>(before.tensor(1).count), before.tensor(1).data[0] + 1);
    context.set_tensor(1, larger.data(), before.tensor(1).count);
    EXPECT(context.snapshot().tensor(1).data[0] == before.tensor(1).data[0] + 1);
    EXPECT(status_of([] { nft::Dataset::open("nowhere"); }) == NFT_ERROR_FILE);
}

static void data_sets_in_pieces()
{
    const nft::Dataset dataset = nft::Dataset::open(NFT_SOURCE_DIR "/examples/data/mnist-sirens.safetensors");
    const nft::Array all = dataset.read_tensor("label"), some = dataset.read_rows("label", 2, 3);
    EXPECT(some.count() == 3 && some.i64()[0] == all.i64()[2]);
    EXPECT(dataset.extra_name(0) == "label" && dataset.metadata(0, "nothing").empty());
    nft::Weights batch = dataset.batch(0, 2);
    dataset.read({4, 5}, batch);
    nft_tensor_info info = NFT_TENSOR_INFO_INIT;
    const std::string path = "pieces.safetensors";
    std::vector<nft_tensor_info> tensors;
    std::vector<std::string> names;
    for (std::int64_t t = 0; t < batch.space().tensor_count(); t++)
        names.push_back(batch.tensor_name(t));
    for (std::int64_t t = 0; t < batch.space().tensor_count(); t++) {
        const nft_space_tensor about = batch.space().tensor(t);
        info.name = names[static_cast<std::size_t>(t)].c_str();
        info.type = "F32";
        info.rank = about.rank + 1;
        info.shape[0] = 2;
        for (std::int64_t d = 0; d < about.rank; d++)
            info.shape[d + 1] = about.shape[d];
        tensors.push_back(info);
    }
    nft::FileWriter writer(path, tensors);
    batch.permute_random_from(3, 4);
    batch.write(writer, 0, 2);
    writer.commit();
    const nft::Weights again = nft::Weights::load(path);
    EXPECT(again.data(0)[1] == batch.data(0)[1] && again.count() == 2);
    std::remove(path.c_str());
}

int main()
{
    static_assert(!std::is_copy_constructible_v<nft::Model> &&
                  std::is_nothrow_move_constructible_v<nft::Model>);
    static_assert(!std::is_copy_constructible_v<nft::Context> && !std::is_copy_constructible_v<nft::Weights>);
    static_assert(!std::is_copy_constructible_v<nft::Space> && !std::is_copy_constructible_v<nft::Array>);
    EXPECT(nft::version() == "0.1.0" && !nft::build_info().empty());
    arrays_and_files();
    spaces_and_weights();
    spaces_of_tensors();
    data_sets_in_pieces();
    sirens();
    models_and_contexts();
    features_and_tokens();
    training();
    std::puts("nft.hpp: ok");
    return 0;
}
