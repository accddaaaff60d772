"""examples/python/nft.py: files of the safetensors package, borrowing, lifetimes, failures."""

import gc
import json
import os
import sys
import tempfile
import threading
import unittest
import unittest.mock
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
ANY = {"format_version": 1, "space": "any",
       "modules": [{"type": "lift", "out_channels": 4, "positions": 9}, {"type": "role_pool"},
                   {"type": "linear", "out_features": 2}]}
RESIDUAL = {"axes": [{"name": "in", "size": 2, "symmetry": "none"}, {"name": "c", "size": 3}],
            "tensors": [{"name": "stem.weight", "shape": ["c", "in"]}, {"name": "block.weight", "shape": ["c", "c"]},
                        {"name": "norm.weight", "shape": ["c"]}]}
TOKENS = {"format_version": 1, "input": {"type": "tokens", "tokens": 2, "channels": 3},
          "modules": [{"type": "mean_tokens"}]}


def values(*shape):
    """As tests/data/python/README.md has it."""
    return ((np.arange(np.prod(shape)) % 100 - 50) / 8).reshape(shape).astype(np.float32)


def networks_of(count):
    """The space of CONFIG, and an array for each of its tensors."""
    stack = lambda *shape: np.stack([values(*shape) + n for n in range(count)])
    return CONFIG["space"], [stack(3, 2), stack(3), stack(1, 3), stack(1)]


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
        names = ["net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"]
        self.assertEqual((len(network), network.names, network.keys()), (1, names, []))
        np.testing.assert_array_equal(network.tensor("net.0.weight")[0, 0], values(3, 2))
        np.testing.assert_array_equal(network.tensor(3)[0, 0], values(1))
        self.assertEqual(network.space, CONFIG["space"])
        with self.assertRaises(KeyError):
            network.tensor("net.1.weight")

    def test_stacked_networks_of_half_precision(self):
        _, arrays = networks_of(4)
        for name in ("networks-f16.safetensors", "networks-bf16.safetensors"):
            networks = nft.Weights.load(os.path.join(FOREIGN, name))
            self.assertEqual(len(networks), 4)
            for tensor in range(4):
                np.testing.assert_array_equal(networks.tensor(tensor)[:, 0], arrays[tensor])
            np.testing.assert_array_equal(networks["label"], np.arange(4))

    def test_layers_by_name(self):
        path = os.path.join(FOREIGN, "network-f32.safetensors")
        network = nft.Weights.load(path, layers=["net.0", "net.2"])
        self.assertEqual(network.names[::2], ["net.0.weight", "net.2.weight"])
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
            nft.Weights.from_arrays(*networks_of(4), {"label": np.arange(4)}).save(path)
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
        space, arrays = networks_of(4)
        networks = nft.Weights.from_arrays(space, arrays, {"label": np.arange(4)})
        self.assertEqual(networks.names, ["0.weight", "0.bias", "1.weight", "1.bias"])
        for tensor in range(4):
            self.assertTrue(np.shares_memory(networks.tensor(tensor), arrays[tensor]))
        self.assertIn("label", networks)
        with self.assertRaises(KeyError):
            networks["other"]
        with self.assertRaises(ValueError):
            networks.tensor(0)[0] = 1
        with self.assertRaises(nft.Error):
            networks.tensor(4)

    def test_kept_alive(self):
        space, arrays = networks_of(4)
        kept, expected = weakref.ref(arrays[0]), arrays[0].copy()
        networks = nft.Weights.from_arrays(space, arrays)
        del arrays
        view = networks.tensor(0)
        del networks
        gc.collect()
        np.testing.assert_array_equal(view[:, 0], expected)
        del view
        gc.collect()
        self.assertIsNone(kept())

    def test_converted(self):
        space, arrays = networks_of(4)
        others = [arrays[0].astype(float), arrays[1], np.repeat(arrays[2], 2, axis=2)[:, :, ::2], None]
        networks = nft.Weights.from_arrays(space, others)
        np.testing.assert_array_equal(networks.tensor("0.weight")[:, 0], arrays[0])
        np.testing.assert_array_equal(networks.tensor("1.weight")[:, 0], arrays[2])
        np.testing.assert_array_equal(networks.tensor("1.bias"), np.zeros((4, 1, 1)))

    def test_tensors_and_axes(self):
        arrays = {"stem.weight": values(5, 3, 2), "norm.weight": values(5, 3), "block.weight": values(5, 3, 3)}
        networks = nft.Weights.from_arrays(RESIDUAL, arrays)
        self.assertEqual(networks.names, ["stem.weight", "block.weight", "norm.weight"])
        for name, array in arrays.items():
            np.testing.assert_array_equal(networks.tensor(name)[:, 0], array)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "networks.safetensors")
            networks.save(path)
            again = nft.Weights.load(path)
            self.assertEqual(again.space, networks.space)
            self.assertEqual(json.loads(again.metadata("nft.space")), again.space)
            self.assertIsNone(again.metadata("nft.omega"))
            nft.save(path, arrays)
            with self.assertRaises(nft.Error):
                nft.Weights.load(path)
            again = nft.Weights.load(path, space=RESIDUAL)
            np.testing.assert_array_equal(again.tensor("norm.weight"), networks.tensor("norm.weight"))

    def test_features(self):
        features = nft.Weights.from_arrays(RESIDUAL, [values(5, 2, 3, 2), values(5, 2, 3, 3), values(5, 2, 3)])
        self.assertEqual(features.tensor(1).shape, (5, 2, 3, 3))

    def test_misshaped(self):
        space, arrays = networks_of(4)
        for wrong in ([], arrays[:3], dict(zip("abcd", arrays)), [None] * 4, [arrays[0][:, :2], *arrays[1:]],
                      [arrays[0], arrays[1][:3], *arrays[2:]], [array[0] for array in arrays],
                      [array[None, None] for array in arrays]):
            with self.assertRaises(ValueError):
                nft.Weights.from_arrays(space, wrong)
        with self.assertRaisesRegex(nft.Error, "layers"):
            nft.Weights.from_arrays({"layers": [{"type": "linear", "in": 2, "out": 0}]}, arrays[:2])


class Forward(unittest.TestCase):
    def setUp(self):
        self.model = nft.Model.from_config(CONFIG, seed=1)
        self.networks = nft.Weights.from_arrays(*networks_of(40))

    def test_as_pytorch(self):
        model = nft.Model.load(os.path.join(DATA, "accuracy-predictor.safetensors"))
        networks = nft.Weights.load(os.path.join(DATA, "fashion-cnns.safetensors"))
        np.testing.assert_allclose(nft.Context(model).forward(networks)[:, 0], networks["prediction"], atol=1e-4)
        self.assertEqual(model.config["format_version"], 1)
        self.assertGreater(model.parameter_count, 0)
        self.assertIsNone(model.metadata("nothing"))

    def test_from_file_and_from_arrays(self):
        of_file = nft.Weights.load(os.path.join(FOREIGN, "networks-bf16.safetensors"))
        of_arrays = nft.Weights.from_arrays(*networks_of(4))
        context = nft.Context(self.model)
        np.testing.assert_array_equal(context.forward(of_file), context.forward(of_arrays))

    def test_ranges(self):
        context = nft.Context(self.model, threads=1, max_batch=4)
        whole = context.forward(self.networks)
        np.testing.assert_array_equal(context.forward(self.networks, 3, 2), whole[3:5])
        np.testing.assert_array_equal(context.forward(self.networks, 30), whole[30:])
        with self.assertRaises(nft.Error):
            context.forward(self.networks, 39, 2)

    def test_precision(self):
        expected = nft.Context(self.model).forward(self.networks)
        for precision, error in (("bf16x3", 1e-3), ("bf16", 0.1)):
            context = nft.Context(self.model, precision=precision)
            np.testing.assert_allclose(context.forward(self.networks), expected, atol=error * np.abs(expected).max())
        with self.assertRaisesRegex(ValueError, "expected one of float32, bf16x3, bf16"):
            nft.Context(self.model, precision="half")
        with unittest.mock.patch.object(nft, "_PRECISIONS", ("float32", "bf16x3", "bf16", "none")):
            with self.assertRaisesRegex(nft.Error, "precision is 3"):
                nft.Context(self.model, precision="none")

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

    def test_any_space(self):
        context = nft.Context(nft.Model.from_config(ANY))
        residual = nft.Weights.from_arrays(RESIDUAL, [values(5, 3, 2), values(5, 3, 3), values(5, 3)])
        first = context.forward(residual)
        self.assertEqual((first.shape, context.forward(self.networks).shape), ((5, 2), (40, 2)))
        np.testing.assert_array_equal(context.forward(residual), first)

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
            nft.Context(self.model).forward(nft.Weights.from_arrays(RESIDUAL, [np.ones((1, 3, 2)), np.ones((1, 3, 3)), np.ones((1, 3))]))
        with self.assertRaises(nft.Error):
            nft.Model.from_config("{")


if __name__ == "__main__":
    unittest.main()
