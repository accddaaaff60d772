"""examples/python/nft.py: files of the safetensors package, borrowing, lifetimes, failures."""

import gc
import os
import sys
import tempfile
import threading
import unittest
import weakref

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "examples", "python"))

import nft

FOREIGN = os.path.join(ROOT, "tests", "data", "python")
DATA = os.path.join(ROOT, "examples", "data")
CONFIG = {"format_version": 1, "in_channels": 1,
          "space": {"layers": [{"type": "linear", "in": 2, "out": 3}, {"type": "linear", "in": 3, "out": 1}]},
          "modules": [{"type": "np_linear", "out_channels": 4}, {"type": "relu"}, {"type": "hnp_pool"}]}
FEATURES = {**CONFIG, "modules": CONFIG["modules"][:1]}
TOKENS = {"format_version": 1, "input": {"type": "tokens", "tokens": 2, "channels": 3},
          "modules": [{"type": "mean_tokens"}]}


def values(*shape):
    """As tests/data/python/README.md has it."""
    return ((np.arange(np.prod(shape)) % 100 - 50) / 8).reshape(shape).astype(np.float32)


def layers(count):
    stack = lambda *shape: np.stack([values(*shape) + n for n in range(count)])
    return [stack(3, 2), stack(1, 3)], [stack(3), stack(1)]


class Files(unittest.TestCase):
    def test_types(self):
        read = nft.read(os.path.join(FOREIGN, "types.safetensors"))
        self.assertEqual(sorted(read), ["empty", "f64", "i32", "i64", "scalar", "u8"])
        np.testing.assert_array_equal(read["f64"], values(2, 3))
        np.testing.assert_array_equal(read["i64"], np.arange(-2, 3))
        np.testing.assert_array_equal(read["i32"], np.arange(-2, 3))
        np.testing.assert_array_equal(read["u8"], [0, 255])
        self.assertEqual((read["scalar"].shape, float(read["scalar"])), ((), 0.5))
        self.assertEqual(read["empty"].shape, (0, 3))
        self.assertEqual((read["f64"].dtype, read["i32"].dtype), (np.float32, np.int64))

    def test_one_network(self):
        network = nft.Weights.load(os.path.join(FOREIGN, "network-f32.safetensors"))
        self.assertEqual((len(network), network.layer_names, network.keys()), (1, ["net.0", "net.2"], []))
        np.testing.assert_array_equal(network.weight(0)[0, 0], values(3, 2))
        np.testing.assert_array_equal(network.bias(1)[0, 0], values(1))

    def test_stacked_networks_of_half_precision(self):
        weights, biases = layers(4)
        for name in ("networks-f16.safetensors", "networks-bf16.safetensors"):
            networks = nft.Weights.load(os.path.join(FOREIGN, name))
            self.assertEqual(len(networks), 4)
            for layer in range(2):
                np.testing.assert_array_equal(networks.weight(layer)[:, 0], weights[layer])
                np.testing.assert_array_equal(networks.bias(layer)[:, 0], biases[layer])
            np.testing.assert_array_equal(networks["label"], np.arange(4))

    def test_layers_by_name(self):
        path = os.path.join(FOREIGN, "network-f32.safetensors")
        network = nft.Weights.load(path, layers=["net.0", "net.2"])
        self.assertEqual(network.layer_names, ["net.0", "net.2"])
        self.assertEqual(network.tensor_names, ["net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"])
        np.testing.assert_array_equal(network.tensor(2), network.weight(1))
        with self.assertRaisesRegex(nft.Error, "layer 'net.0' takes 2 inputs"):
            nft.Weights.load(path, layers=["net.2", "net.0"])
        with self.assertRaisesRegex(nft.Error, "net.1"):
            nft.Weights.load(path, layers=["net.0", "net.1"])

    def test_what_is_saved_is_read(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "ä.safetensors")
            nft.save(path, {"a": values(2, 2)[::-1], "b": np.array([True, False]), "c": np.float64(1.5),
                            "none": np.zeros((0, 2), np.int64)})
            read = nft.read(path)
            self.assertEqual((read["none"].dtype, read["none"].shape), (np.int64, (0, 2)))
            np.testing.assert_array_equal(read["a"], values(2, 2)[::-1])
            np.testing.assert_array_equal(read["b"], [1, 0])
            self.assertEqual(float(read["c"]), 1.5)
            weights, biases = layers(4)
            nft.Weights.from_arrays(weights, biases, {"label": np.arange(4)}).save(path)
            np.testing.assert_array_equal(nft.Weights.load(path)["label"], np.arange(4))
            model = nft.Model.from_config(CONFIG, seed=3)
            model.save(path)
            for name, tensor in nft.Model.load(path).tensors().items():
                np.testing.assert_array_equal(tensor, model.tensors()[name])

    def test_messages_of_any_bytes(self):
        for path in (b"nowhere\xff.safetensors", "n" + 1500 * "é"):
            with self.assertRaises(nft.Error):
                nft.read(path)

    def test_failures(self):
        with self.assertRaisesRegex(nft.Error, "nothing.safetensors: cannot open") as caught:
            nft.Model.load("nothing.safetensors")
        self.assertEqual(caught.exception.status, 4)
        with self.assertRaisesRegex(nft.Error, "nft.config"):
            nft.Model.load(os.path.join(FOREIGN, "types.safetensors"))
        with self.assertRaises(nft.Error):
            nft.save("/nothing/nothing.safetensors", {"a": np.zeros(1)})
        with self.assertRaisesRegex(ValueError, "more than an int64 holds"):
            nft.save("nothing.safetensors", {"a": np.array([2**63], np.uint64)})


class Arrays(unittest.TestCase):
    def test_borrowed(self):
        weights, biases = layers(4)
        networks = nft.Weights.from_arrays(weights, biases, {"label": np.arange(4)})
        for layer in range(2):
            self.assertTrue(np.shares_memory(networks.weight(layer), weights[layer]))
            self.assertTrue(np.shares_memory(networks.bias(layer), biases[layer]))
        self.assertIn("label", networks)
        with self.assertRaises(KeyError):
            networks["other"]
        with self.assertRaises(ValueError):
            networks.weight(0)[0] = 1
        with self.assertRaises(nft.Error):
            networks.weight(2)

    def test_kept_alive(self):
        weights, biases = layers(4)
        kept, expected = weakref.ref(weights[0]), weights[0].copy()
        networks = nft.Weights.from_arrays(weights, biases)
        del weights, biases
        view = networks.weight(0)
        del networks
        gc.collect()
        np.testing.assert_array_equal(view[:, 0], expected)
        del view
        gc.collect()
        self.assertIsNone(kept())

    def test_converted(self):
        weights, biases = layers(4)
        others = [weights[0].astype(float), np.repeat(weights[1], 2, axis=2)[:, :, ::2]]
        networks = nft.Weights.from_arrays(others, [biases[0], None])
        np.testing.assert_array_equal(networks.weight(0)[:, 0], weights[0])
        np.testing.assert_array_equal(networks.weight(1)[:, 0], weights[1])
        np.testing.assert_array_equal(networks.bias(1), np.zeros((4, 1, 1)))

    def test_convolutions_and_flattened_maps(self):
        weights = [np.ones((2, 4, 1, 3, 5)), np.ones((2, 10, 4 * 6))]
        networks = nft.Weights.from_arrays(weights, [np.ones((2, 4)), None])
        self.assertEqual((networks.weight(0).shape, networks.weight(1).shape), ((2, 1, 4, 1, 3, 5), (2, 1, 10, 24)))

    def test_misshaped(self):
        weights, biases = layers(4)
        for wrong in (([], []), (weights, biases[:1]), (weights, [biases[0][:, :2], biases[1]]),
                      (weights, [biases[0][:3], biases[1]]), ([weights[0], weights[1][:3]], biases),
                      ([weights[0][0], weights[1]], biases),
                      ([weight[0] for weight in weights], [bias[0] for bias in biases]),
                      ([weight[None, None] for weight in weights], [bias[None, None] for bias in biases])):
            with self.assertRaises(ValueError):
                nft.Weights.from_arrays(*wrong)
        for inputs in (4, 0):
            with self.assertRaisesRegex(nft.Error, "layer"):
                nft.Weights.from_arrays([np.ones((1, 3, 2)), np.ones((1, 1, inputs))], [None, None])


class Forward(unittest.TestCase):
    def setUp(self):
        self.model = nft.Model.from_config(CONFIG, seed=1)
        self.networks = nft.Weights.from_arrays(*layers(40))

    def test_as_pytorch(self):
        model = nft.Model.load(os.path.join(DATA, "accuracy-predictor.safetensors"))
        networks = nft.Weights.load(os.path.join(DATA, "fashion-cnns.safetensors"))
        np.testing.assert_allclose(nft.Context(model).forward(networks)[:, 0], networks["prediction"], atol=1e-4)
        self.assertEqual(model.config["format_version"], 1)
        self.assertGreater(model.parameter_count, 0)
        self.assertIsNone(model.metadata("nothing"))

    def test_from_file_and_from_arrays(self):
        of_file = nft.Weights.load(os.path.join(FOREIGN, "networks-bf16.safetensors"))
        of_arrays = nft.Weights.from_arrays(*layers(4))
        context = nft.Context(self.model)
        np.testing.assert_array_equal(context.forward(of_file), context.forward(of_arrays))

    def test_ranges(self):
        context = nft.Context(self.model, threads=1, max_batch=4)
        whole = context.forward(self.networks)
        np.testing.assert_array_equal(context.forward(self.networks, 3, 2), whole[3:5])
        np.testing.assert_array_equal(context.forward(self.networks, 30), whole[30:])
        with self.assertRaises(nft.Error):
            context.forward(self.networks, 39, 2)

    def test_views_outlive_everything(self):
        context = nft.Context(self.model, max_batch=2)
        self.assertIsNone(context.output)
        expected = context.forward(self.networks, 0, 2)
        context.run(self.networks, 0, 2)
        view = context.output[1:]
        self.assertFalse(view.flags.writeable)
        self.assertTrue(np.shares_memory(view, context.output))
        context.forward(self.networks, 0, 1)
        context.forward(self.networks)  # larger than before
        np.testing.assert_array_equal(view, expected[1:])
        del context, self.model
        gc.collect()
        np.testing.assert_array_equal(view, expected[1:])

    def test_features_and_tokens(self):
        context = nft.Context(nft.Model.from_config(FEATURES))
        self.assertIsNone(context.forward(self.networks))
        self.assertEqual(context.get("0.weight").shape, (40, 4, 3, 2))
        self.assertIsNone(context.get("nothing"))
        means = nft.Context(nft.Model.from_config(TOKENS)).forward(np.arange(12).reshape(2, 2, 3) / 1)
        np.testing.assert_array_equal(means, [[1.5, 2.5, 3.5], [7.5, 8.5, 9.5]])

    def test_threads_share_a_model(self):
        expected, results = nft.Context(self.model).forward(self.networks), []

        def work():
            context = nft.Context(self.model, threads=1)
            results.extend(np.array_equal(context.forward(self.networks), expected) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [True] * 80)

    def test_mismatch(self):
        with self.assertRaises(nft.Error):
            nft.Context(self.model).forward(nft.Weights.from_arrays([np.ones((1, 3, 2))], [None]))
        with self.assertRaises(nft.Error):
            nft.Model.from_config("{")


if __name__ == "__main__":
    unittest.main()
