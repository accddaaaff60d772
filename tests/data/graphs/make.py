#!/usr/bin/env python3
"""make.py: writes the graphs of this folder, with random weights from a fixed seed."""
import os

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save, shape_inference

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Graph:
    def __init__(self, seed):
        self.random = np.random.RandomState(seed)
        self.nodes, self.inputs, self.weights = [], [], []

    def input(self, name, *shape, kind=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def weight(self, name, *shape):
        low = 0.5 if name.endswith("running_var") else -1
        values = self.random.uniform(low, low + 2, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def integers(self, name, values):
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def op(self, kind, *inputs, outputs=None, **attributes):
        name = f"{kind.lower()}_{len(self.nodes)}"
        names = [f"{name}_{i}" for i in range(outputs)] if outputs else [name]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names if outputs else name

    def norm(self, x, name, channels):
        return self.op("BatchNormalization", x, *(self.weight(f"{name}.{part}", channels) for part in ("weight", "bias", "running_mean", "running_var")))

    def conv(self, x, name, out, channels, *kernel, kind="Conv", bias=True, **attributes):
        inputs = [x, self.weight(f"{name}.weight", out, channels, *kernel)]
        if bias:
            inputs.append(self.weight(f"{name}.bias", (channels if kind == "ConvTranspose" else out) * (attributes.get("group", 1) if kind == "ConvTranspose" else 1)))
        return self.op(kind, *inputs, **attributes)

    def linear(self, x, name, out, features):
        return self.op("Gemm", x, self.weight(f"{name}.weight", out, features), self.weight(f"{name}.bias", out), transB=1)

    def project(self, x, name, features, out):
        return self.op("Add", self.op("MatMul", x, self.weight(f"{name}.weight", features, out)), self.weight(f"{name}.bias", out))

    def save(self, name, *outputs, shapes=False):
        values = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
        graph = helper.make_graph(self.nodes, name, self.inputs, values, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        model = shape_inference.infer_shapes(model) if shapes else model
        save(model, os.path.join(FOLDER, name + ".onnx"))


def chain():
    g = Graph(1)
    x = g.op("Relu", g.linear(g.input("x", "batch", 3), "0", 4, 3))
    g.save("chain", g.linear(x, "2", 2, 4))


def residual():
    """A block with batch norms, then a flattened map."""
    g = Graph(2)
    x = g.op("Relu", g.norm(g.conv(g.input("x", 1, 2, 4, 4), "stem", 4, 2, 3, 3, bias=False, pads=[1, 1, 1, 1]), "norm", 4))
    y = g.op("Relu", g.conv(x, "block.0", 3, 4, 3, 3, pads=[1, 1, 1, 1]))
    x = g.op("MaxPool", g.op("Add", g.conv(y, "block.1", 4, 3, 1, 1), x), kernel_shape=[2, 2], strides=[2, 2])
    g.save("residual", g.linear(g.op("Flatten", x), "head", 2, 16))


def groups():
    """A depthwise convolution, one with groups on both sides, and a transposed one."""
    g = Graph(3)
    x = g.conv(g.input("x", 1, 1, 4, 4), "stem", 4, 1, 1, 1)
    x = g.conv(g.op("Relu", x), "depthwise", 4, 1, 3, 3, group=4, pads=[1, 1, 1, 1])
    x = g.conv(g.op("Relu", x), "groups", 6, 2, 1, 1, group=2)
    x = g.conv(g.op("Relu", x), "up", 6, 4, 2, 2, kind="ConvTranspose", group=2, strides=[2, 2])
    x = g.op("GroupNormalization", x, g.weight("norm.weight", 2), g.weight("norm.bias", 2), num_groups=2)
    x = g.op("GlobalAveragePool", g.op("Relu", x))
    g.save("groups", g.linear(g.op("Reshape", x, g.integers("shape", [1, -1])), "head", 2, 8))


def attention():
    """Words and places, one product for q, k and v, and two heads."""
    g = Graph(4)
    x = g.op("Gather", g.weight("words", 5, 6), g.input("x", 1, 3, kind=TensorProto.INT64))
    x = g.op("Add", x, g.weight("places", 1, 3, 6))
    y = g.op("LayerNormalization", x, g.weight("norm.weight", 6), g.weight("norm.bias", 6))
    y = g.op("Reshape", g.project(y, "qkv", 6, 12), g.integers("heads", [0, 3, 3, 2, 2]))
    y = g.op("Transpose", y, perm=[2, 0, 3, 1, 4])
    q, k, v = (g.op("Gather", y, g.integers(f"part {i}", i)) for i in range(3))
    y = g.op("Softmax", g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2])))
    y = g.op("Transpose", g.op("MatMul", y, v), perm=[0, 2, 1, 3])
    x = g.op("Add", x, g.project(g.op("Reshape", y, g.integers("joined", [0, 0, 4])), "out", 4, 6))
    x = g.op("ReduceMean", g.op("Erf", x), g.integers("axis", [1]), keepdims=0)
    g.save("attention", g.linear(x, "head", 2, 6))


def recurrent(kind, gates, directions):
    g = Graph(5)
    zeros = numpy_helper.from_array(np.zeros((directions, 1, 4), np.float32), "zeros")
    g.weights.append(zeros)
    x = g.input("x", 3, 1, 2)
    for i, features in enumerate((2, 4 * directions)):
        w = [g.weight(f"{part}{i}", directions, gates * 4, size) for part, size in (("w", features), ("r", 4))]
        b = g.weight(f"b{i}", directions, 2 * gates * 4)
        y = g.op(kind, x, *w, b, "", "zeros", hidden_size=4, direction="bidirectional" if directions == 2 else "forward")
        x = g.op("Reshape", g.op("Transpose", y, perm=[0, 2, 1, 3]), g.integers(f"joined{i}", [0, 0, -1]))
    g.save(kind.lower(), g.linear(g.op("Gather", x, g.integers("last", -1)), "head", 2, 4 * directions))


def dense():
    """What is joined is read by the next layers, and a part of it alone by the last."""
    g = Graph(6)
    x = g.input("x", 1, 2, 3, 3)
    a = g.conv(x, "a", 3, 2, 1, 1)
    b = g.conv(g.op("Relu", a), "b", 2, 3, 1, 1)
    ab = g.op("Concat", a, b, axis=1)
    c = g.conv(g.norm(ab, "norm", 5), "c", 4, 5, 1, 1)
    d = g.op("Slice", g.op("Relu", c), g.integers("start", [1]), g.integers("end", [3]), g.integers("along", [1]))
    e, f = g.op("Split", g.op("Concat", d, ab, axis=1), g.integers("sizes", [2, 5]), axis=1, outputs=2)
    e = g.op("GlobalAveragePool", g.op("Relu", e))
    f = g.op("GlobalMaxPool", f)
    g.save("dense", g.op("Add", g.conv(e, "e", 2, 2, 1, 1), g.conv(f, "f", 2, 5, 1, 1)))


def shuffle():
    """Channels of two branches, taken in turn."""
    g = Graph(7)
    x = g.input("x", 1, 2, 2, 2)
    x = g.op("Concat", g.conv(x, "a", 3, 2, 1, 1), g.conv(x, "b", 3, 2, 1, 1), axis=1)
    x = g.op("Transpose", g.op("Reshape", g.op("Relu", x), g.integers("apart", [1, 2, 3, 2, 2])), perm=[0, 2, 1, 3, 4])
    x = g.op("Relu", g.conv(g.op("Reshape", x, g.integers("joined", [1, 6, 2, 2])), "c", 2, 6, 1, 1))
    g.save("shuffle", g.conv(x, "d", 1, 2, 2, 2))


def sizes():
    """A shape that the graph computes, pads and repeats."""
    g = Graph(8)
    x = g.conv(g.input("x", "n", 1, 2, 2), "a", 2, 1, 1, 1)
    x = g.op("Pad", x, g.integers("pads", [0, 0, 0, 0, 0, 2, 0, 0]))
    n = g.op("Unsqueeze", g.op("Gather", g.op("Shape", x), g.integers("zero", 0)), g.integers("axes", [0]))
    c = g.op("Mul", g.op("Slice", g.op("Shape", x), g.integers("one", [1]), g.integers("two", [2])), g.integers("pixels", [4]))
    y = g.op("Relu", g.op("Reshape", x, g.op("Concat", n, g.op("Cast", c, to=TensorProto.INT64), axis=0)))
    y = g.op("Tile", y, g.integers("repeats", [1, 2]))
    y = g.op("Einsum", y, g.weight("b.weight", 3, 32), equation="nc, oc -> no")
    y = g.op("Mul", y, g.op("Expand", g.weight("scale", 1), g.integers("three", [1, 3])))
    g.save("sizes", g.linear(g.op("Squeeze", g.op("Unsqueeze", y, "axes"), "axes"), "c", 2, 3))


def strange():
    """An operator that is not understood, with axes before and behind it."""
    g = Graph(9)
    x = g.op("Relu", g.linear(g.input("x", 1, 2), "a", 3, 2))
    x = g.op("Trilu", g.linear(x, "b", 4, 3))
    x = g.linear(x, "c", 5, 4)
    x = g.op("CumSum", x, g.integers("axis", 1))
    g.save("strange", g.linear(g.linear(x, "d", 3, 5), "e", 1, 3), shapes=True)


def branch():
    """A branch, whose own graph reads values from around it."""
    g = Graph(10)
    x = g.linear(g.input("x", 1, 2), "a", 3, 2)
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    sides = [helper.make_graph([helper.make_node(op, [x], ["y"])], op, [], [value]) for op in ("Relu", "Softmax")]
    y = g.op("If", g.input("which", kind=TensorProto.BOOL), then_branch=sides[0], else_branch=sides[1])
    g.save("branch", g.linear(y, "b", 1, 3))


if __name__ == "__main__":
    chain()
    residual()
    groups()
    attention()
    recurrent("LSTM", 4, 1)
    recurrent("GRU", 3, 2)
    dense()
    shuffle()
    sizes()
    strange()
    branch()
