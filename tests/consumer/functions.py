"""functions.py PROGRAM GRAPHS: networks that `nftool permute` permuted by the spaces of their graphs still compute the same
outputs. Small graphs from the folder GRAPHS, and, where PyTorch is installed, a ResNet-18, a MobileNetV2, a vision transformer
and an LSTM with random weights, exported to ONNX: torchvision's if it is there."""

import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

TOLERANCE = 1e-5


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    space = json.loads(header.pop("__metadata__")["nft.space"])
    arrays = {}
    for name, entry in header.items():
        if entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            arrays[name] = np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"])
    return arrays, space


def compute(model, inputs):
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, inputs)
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(model).run(None, inputs)


def make_inputs(model, random):
    initializers = {t.name for t in model.graph.initializer}
    inputs = {}
    for value in model.graph.input:
        if value.name in initializers:
            continue
        about = value.type.tensor_type
        shape = [d.dim_value or 1 for d in about.shape.dim]
        if about.elem_type == TensorProto.FLOAT:
            inputs[value.name] = random.standard_normal(shape).astype(np.float32)
        elif about.elem_type == TensorProto.BOOL:
            inputs[value.name] = np.array(True)
        else:
            inputs[value.name] = random.integers(0, 5, shape)
    return inputs


def set_weights(model, arrays):
    """How many tensors changed."""
    changed = 0
    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            old, new = numpy_helper.to_array(tensor), arrays[tensor.name]
            changed += not np.array_equal(old, new)
            tensor.CopyFrom(numpy_helper.from_array(new.reshape(old.shape).astype(old.dtype), tensor.name))
    return changed


def check(program, path, name, seeds=(1,), all_ordered=False):
    inputs = make_inputs(onnx.load(path), np.random.default_rng(0))
    before = compute(onnx.load(path), inputs)
    assert all(np.isfinite(a).all() and np.ptp(a) > 0 or a.size == 1 for a in before), f"{name}: nothing to compare"
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "permuted.safetensors")
            subprocess.run([program, "permute", path, "-o", out, "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)
            arrays, space = read_safetensors(out)
        model = onnx.load(path)
        changed = set_weights(model, arrays)
        error = max(np.abs(a - b).max() / np.abs(a).max() for a, b in zip(before, compute(model, inputs)))
        assert error < TOLERANCE, f"{name}: outputs differ by {error}"
    assert all_ordered or changed, f"{name}: no tensor was permuted"
    print(f"{name}: {changed} of {len(arrays)} tensors permuted, outputs differ by {error:.1e}")


def networks():
    """Name, module and input."""
    import torch
    from torch import nn

    try:
        from torchvision import models
    except ImportError:
        models = None

    class Lstm(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.lstm, self.head = nn.Embedding(20, 12), nn.LSTM(12, 16, 2, batch_first=True), nn.Linear(16, 3)

        def forward(self, x):
            return self.head(self.lstm(self.words(x))[0][:, -1])

    class Block(nn.Module):
        """Residual, with batch norms; a factor above 0 makes it MobileNetV2's inverted one."""

        def __init__(self, inputs, outputs, stride, factor):
            super().__init__()
            hidden = inputs * factor if factor else outputs
            self.body = nn.Sequential(
                nn.Conv2d(inputs, hidden, 1 if factor else 3, 1 if factor else stride, 0 if factor else 1, bias=False),
                nn.BatchNorm2d(hidden),
                nn.ReLU6() if factor else nn.ReLU(),
                nn.Conv2d(hidden, hidden, 3, stride if factor else 1, 1, groups=hidden if factor else 1, bias=False),
                nn.BatchNorm2d(hidden),
                *([nn.ReLU6(), nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)] if factor else []),
            )
            same = inputs == outputs and stride == 1
            self.factor, self.same = factor, same
            self.downsample = None if same or factor else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = self.body(x)
            if self.factor:
                return x + y if self.same else y
            return torch.relu(y + (self.downsample(x) if self.downsample else x))

    def convolutional(widths, blocks, factor):
        layers = [nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for i, width in enumerate(widths):
            for k in range(blocks):
                layers.append(Block(widths[max(i - 1, 0)] if k == 0 else width, width, 2 if i and k == 0 else 1, factor))
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))

    class Vit(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches, self.places = nn.Conv2d(3, 32, 8, 8), nn.Parameter(torch.randn(1, 65, 32) * 0.1)
            self.cls, self.head = nn.Parameter(torch.randn(1, 1, 32)), nn.Linear(32, 10)
            self.qkv = nn.ModuleList(nn.Linear(32, 96) for _ in range(2))
            self.out = nn.ModuleList(nn.Linear(32, 32) for _ in range(2))
            self.up, self.down = nn.ModuleList(nn.Linear(32, 64) for _ in range(2)), nn.ModuleList(nn.Linear(64, 32) for _ in range(2))
            self.norms = nn.ModuleList(nn.LayerNorm(32) for _ in range(4))

        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls, x], 1) + self.places
            for i in range(2):
                q, k, v = self.qkv[i](self.norms[2 * i](x)).reshape(1, 65, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0)
                y = torch.softmax(q @ k.transpose(-2, -1) / 8**0.5, -1) @ v
                x = x + self.out[i](y.transpose(1, 2).reshape(1, 65, 32))
                x = x + self.down[i](nn.functional.gelu(self.up[i](self.norms[2 * i + 1](x))))
            return self.head(x[:, 0])

    torch.manual_seed(0)
    image = torch.randn(1, 3, 64, 64)
    yield "ResNet-18", models.resnet18(num_classes=10) if models else convolutional([64, 128, 256, 512], 2, 0), image
    yield "MobileNetV2", models.mobilenet_v2(num_classes=10) if models else convolutional([16, 24, 32, 64], 2, 6), image
    yield "vision transformer", Vit(), image
    yield "LSTM", Lstm(), torch.randint(0, 20, (1, 9))


def export(module, example, path):
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.dim() == 1:  # norms and biases begin as zeros and ones, which no permutation changes
                value.copy_(torch.rand_like(value) + 0.5 if name.endswith(("var", "weight")) else torch.randn_like(value) * 0.1)
        try:
            torch.onnx.export(module.eval(), (example,), path, external_data=False)
        except TypeError:  # an older one
            torch.onnx.export(module.eval(), (example,), path)


def main():
    program, graphs = sys.argv[1:]
    paths = sorted(glob.glob(os.path.join(graphs, "*.onnx")))
    assert paths
    for path in paths:
        check(program, path, os.path.basename(path), seeds=(1, 2, 3), all_ordered="branch" in path)
    try:
        import torch  # noqa: F401
    except ImportError:
        print("PyTorch is not installed, so its networks are left out")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.onnx")
        for name, module, example in networks():
            try:
                export(module, example, path)
            except ModuleNotFoundError as missing:
                print(f"{missing.name} is not installed, which PyTorch needs to write ONNX")
                return
            check(program, path, name)


main()
