"""Makes the files of this folder with the libraries that write such files. README.md says which file is whose.

make.py torch SUFFIX | numpy | onnx | hdf5 | shards, run in this folder.
"""
import argparse
import collections
import gzip
import json
import sys


def torch_files(suffix):
    import numpy as np
    import torch
    from torch import nn

    def numbers(*shape):
        n = 1
        for size in shape:
            n *= size
        return torch.arange(float(n)).reshape(shape)

    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(numbers(*p.shape))
    state = net.state_dict()
    a = numbers(2, 3, 4)
    views = {
        "whole": a,
        "permuted": a.permute(2, 0, 1),
        "slice": a[1, 1:, ::2],
        "expanded": numbers(1, 3).expand(2, 3),
        "tail": a.flatten()[20:],
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    }
    types = {
        name: torch.tensor([0, 1, 2, 3]).to(getattr(torch, name))
        for name in "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 uint16 uint32 uint64 bool float8_e4m3fn "
        "float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu".split()
        if hasattr(torch, name) and name != "float8_e8m0fnu"
    }
    if hasattr(torch, "float8_e8m0fnu"):
        types["float8_e8m0fnu"] = torch.tensor([1.0, 2.0, 4.0]).to(torch.float8_e8m0fnu)
    types["complex"] = torch.tensor([1 + 2j])
    types["sparse"] = torch.eye(2).to_sparse()
    types["quantised"] = torch.quantize_per_tensor(torch.tensor([1.0, 2.0]), 0.1, 0, torch.qint8)
    checkpoint = {
        "epoch": 3,
        "state_dict": state,
        "accuracy": 0.75,
        "arch": "mlp",
        "history": [1, 2, 3],
        "score": np.float64(0.5),
        "label": np.int64(7),
        "augmented": True,
        "none": None,
        "last_result": {"test/acc": 0.25},
        "args": argparse.Namespace(lr=0.1),
    }
    torch.save(state, f"state-{suffix}.pt")
    torch.save(checkpoint, f"checkpoint-{suffix}.pt")
    torch.save(views, f"views-{suffix}.pt")
    torch.save(types, f"types-{suffix}.pt")
    torch.save(net, f"module-{suffix}.pt")
    torch.save(collections.OrderedDict(p=nn.Parameter(numbers(2))), f"parameter-{suffix}.pt")
    torch.save(numbers(2, 3), f"tensor-{suffix}.pt")
    torch.save(state, f"protocol4-{suffix}.pt", pickle_protocol=4)
    old = {"_use_new_zipfile_serialization": False}
    torch.save(checkpoint, f"checkpoint-{suffix}-stream.pth", **old)
    torch.save(views, f"views-{suffix}-stream.pth", **old)
    torch.save({k: v for k, v in types.items() if "8_e" not in k}, f"types-{suffix}-stream.pth", **old)
    if suffix == "1":
        torch.jit.script(net).save(f"script-{suffix}.pt")


def numpy_files():
    import numpy as np

    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for version in (1, 2, 3):
        with open(f"version{version}.npy", "wb") as f:
            np.lib.format.write_array(f, a, version=(version, 0))
    np.save("fortran.npy", np.asfortranarray(a))
    np.save("big-endian.npy", a.astype(">f4"))
    np.save("fortran-big-endian.npy", np.asfortranarray(a.astype(">f8")))
    arrays = {
        "0.weight": a,
        "label": np.arange(3, dtype=">i2"),
        "half": a.astype(np.float16),
        "scalar": np.float64(2.5),
        "empty": np.zeros((0, 3)),
        "complex": a + 1j,
        "texts": np.array(["x", "yy"]),
        "fields": np.zeros(2, dtype=[("a", "f4"), ("b", "i2")]),
        "long": np.arange(2, dtype=np.longdouble),
    }
    np.savez("stored.npz", **arrays)
    np.savez_compressed("deflated.npz", **arrays)
    with open("version1.npy", "rb") as f, gzip.GzipFile("version1.npy.gz", "wb", mtime=0) as out:
        out.write(f.read())


def onnx_files():
    import numpy as np
    import onnx
    from onnx import TensorProto as T, helper, numpy_helper

    a = np.arange(6, dtype=np.float32).reshape(2, 3)

    def save(tensors, path, **how):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "graph",
            [value("x", T.FLOAT, [1])],
            [value("y", T.FLOAT, [1])],
            tensors,
        )
        onnx.save(helper.make_model(graph), path, **how)

    tensors = [
        numpy_helper.from_array(a, "0.weight"),
        helper.make_tensor("float_data", T.FLOAT, [2, 3], a.flatten()),
        helper.make_tensor("double_data", T.DOUBLE, [2, 3], a.flatten()),
        helper.make_tensor("int64_data", T.INT64, [3], [-1, 2, 1 << 40]),
        helper.make_tensor("int32_data", T.INT32, [3], [-1, 2, 300]),
        helper.make_tensor("int8", T.INT8, [3], [-1, 2, 3]),
        helper.make_tensor("uint64", T.UINT64, [2], [1, 2]),
        helper.make_tensor("bool", T.BOOL, [2], [True, False]),
        helper.make_tensor("half", T.FLOAT16, [2], [0.0, 1.0]),
        helper.make_tensor("bfloat", T.BFLOAT16, [2], [0.0, 1.0]),
        helper.make_tensor("float8", T.FLOAT8E4M3FN, [2], [0.0, 1.0]),
        helper.make_tensor("empty", T.FLOAT, [0], []),
        helper.make_tensor("scalar", T.FLOAT, [], [2.5]),
        helper.make_tensor("int4", T.INT4, [2], [1, -2]),
        helper.make_tensor("complex", T.COMPLEX64, [1], [1 + 2j]),
        helper.make_tensor("text", T.STRING, [1], [b"x"]),
    ]
    save(tensors, "tensors.onnx")
    large = [numpy_helper.from_array(np.ones((40, 40), np.float32), "0.weight"), numpy_helper.from_array(a, "small")]
    save(large, "external.onnx", save_as_external_data=True, location="external.data", size_threshold=1024)


def hdf5_files():
    import h5py
    import numpy as np

    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    with h5py.File("datasets.h5", "w") as f:
        f["dense/dense/kernel:0"] = a
        f.create_dataset("packed", data=np.arange(300.0).reshape(10, 30), chunks=(3, 7), compression="gzip")
        f["big_endian"] = a.astype(">f4")
        f["half"] = np.arange(4, dtype=np.float16)
        f["bool"] = np.array([False, True])
        f["int16"] = np.arange(3, dtype=">i2")
        f["scalar"] = 2.5
        f["complex"] = a + 1j
        f["texts"] = ["a", "b"]
        f["empty"] = np.zeros((0, 3), np.float32)
        f["param_config"] = np.array([json.dumps([["kernel", [2, 3]]])], dtype=h5py.string_dtype())
        f["fixed"] = np.bytes_("abc")


def shard_files():
    import numpy as np
    from safetensors.numpy import save_file

    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    save_file({"0.weight": a, "0.bias": a[0, :2].copy()}, first)
    save_file({"1.weight": a, "1.bias": a[0, :2].copy()}, second)
    where = {"0.weight": first, "0.bias": first, "1.weight": second, "1.bias": second}
    with open("model.safetensors.index.json", "w") as f:
        json.dump({"metadata": {"total_size": 64}, "weight_map": where}, f, indent=2)


if sys.argv[1] == "torch":
    torch_files(sys.argv[2])
else:
    {"numpy": numpy_files, "onnx": onnx_files, "hdf5": hdf5_files, "shards": shard_files}[sys.argv[1]]()
