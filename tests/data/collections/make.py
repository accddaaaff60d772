"""Makes miniatures of published collections with the libraries that write them, in the layouts of the originals.

make.py torch | numpy | hdf5, run in this folder. Numbers count up, so that a test can tell where each of them goes.
"""
import csv
import gzip
import json
import pathlib
import sys


def numpy_collections():
    """small-cnn-zoo: a matrix of all checkpoints, its layout, and a table of as many rows."""
    import numpy as np

    folder = pathlib.Path("small-cnn-zoo")
    folder.mkdir(exist_ok=True)
    shapes = {
        "sequential/conv2d/kernel:0": (3, 3, 1, 2),
        "sequential/conv2d/bias:0": (2,),
        "sequential/conv2d_1/kernel:0": (3, 3, 2, 2),
        "sequential/conv2d_1/bias:0": (2,),
        "sequential/dense/kernel:0": (2, 3),
        "sequential/dense/bias:0": (3,),
    }
    with open(folder / "layout.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["varname", "start_idx", "end_idx", "shape"])
        start = 0
        for name, shape in shapes.items():
            end = start + int(np.prod(shape))
            table.writerow([name, start, end, str(shape)])
            start = end
    np.save(folder / "weights.npy", np.arange(6 * start, dtype="f4").reshape(6, start))
    rows = ["step,test_accuracy,train_accuracy,config.activation\n"]
    rows += [f"{step},{0.1 * i:.1f},{0.1 * i + 0.05:.2f},relu\n" for i, step in enumerate([0, 86, 0, 86, 86, 0])]
    with gzip.GzipFile(folder / "metrics.csv.gz", "wb", mtime=0) as file:
        file.write("".join(rows).encode())


def hdf5_collections():
    """fit-a-nef: a matrix with its layout in the file."""
    import h5py
    import numpy as np

    folder = pathlib.Path("fit-a-nef")
    folder.mkdir(exist_ok=True)
    shapes = [["linear_0.bias", [4]], ["linear_0.kernel", [2, 4]], ["output_linear.bias", [1]], ["output_linear.kernel", [4, 1]]]
    for first, labels in ((0, [3, 1]), (2, [2])):
        with h5py.File(folder / f"nefs_{first}-{first + len(labels)}.hdf5", "w") as file:
            file["params"] = np.arange(17 * first, 17 * (first + len(labels)), dtype="f4").reshape(-1, 17)
            file.create_dataset("param_config", data=[json.dumps(shapes)], dtype=h5py.string_dtype())
            file["labels"] = np.array(labels)
    (folder / "nef_cfg.json").write_text("{}\n")


class Dataset:
    """As the data sets of classes that some zoos have next to their checkpoints."""

    def __init__(self, data):
        self.data = data


def torch_collections():
    from collections import OrderedDict

    import numpy as np
    import torch

    def state(shapes, first=0):
        found = OrderedDict()
        for name, shape in shapes.items():
            count = torch.Size(shape).numel()
            found[name] = torch.arange(float(first), float(first + count)).reshape(shape)
            first += count
        return found

    def save(path, value):
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(value, path)

    siren = {"seq.0.weight": (3, 2), "seq.0.bias": (3,), "seq.1.weight": (3, 3), "seq.1.bias": (3,), "seq.2.weight": (1, 3), "seq.2.bias": (1,)}
    for part, label, number in (("training", 7, 1), ("testing", 2, 40)):
        save(f"dws-mnist/mnist_png_{part}_{label}_{number}/checkpoints/model_final.pth", state(siren, number))
    for number, label in ((0, 5), (1, 9)):
        save(f"dws-fmnist/{number}.pth", OrderedDict(**state(siren, number), label=label))
    pathlib.Path("dws-fmnist/splits.json").write_text('{"train": ["0.pth"], "test": ["1.pth"]}\n')
    wave = {"seq.0.weight": (3, 1), "seq.0.bias": (3,), "seq.1.weight": (3, 3), "seq.1.bias": (3,), "seq.2.weight": (1, 3), "seq.2.bias": (1,)}
    for number, coef in ((2, [0.5, 4.0]), (10, [2.0, 8.5])):  # y = coef[0] sin(coef[1] x)
        x = np.arange(-np.pi, np.pi, np.pi / 4)
        save(f"dws-ssl/artifacts/model_{number}.pth", OrderedDict(**state(wave, number), coef=coef, x=x, y=coef[0] * np.sin(coef[1] * x)))
    linear = {"net.0.linear.weight": (3, 2), "net.0.linear.bias": (3,), "net.1.linear.weight": (3, 3), "net.1.linear.bias": (3,), "net.2.weight": (1, 3), "net.2.bias": (1,)}
    save("nfn-sirens/randinit_smaller_3s/net0.pth", state(linear, 0))
    save("nfn-sirens/randinit_smaller_4s/net10.pth", state(linear, 1))
    save("nfn-sirens/randinit_smaller_aug1_4s/net2.pth", state(linear, 2))
    cnn = {"layers.0.weight": (2, 1, 3, 3), "layers.0.bias": (2,), "layers.1.weight": (2, 2, 3, 3), "layers.1.bias": (2,), "fc.weight": (3, 2), "fc.bias": (3,)}
    for run, residual in enumerate(([-1, -1], [-1, 0])):
        config = {"n_layers": 2, "n_classes": 3, "channels": [2, 2], "kernel_size": [3, 3], "stride": [1, 1], "padding": [0, 0], "residual": residual, "activation": "relu"}
        value = {"model": state(cnn), "config": config, "last_result": {"test/acc": 0.25 + run / 2}, "iteration": 2}
        save(f"cnn-wild-park/run_{run}/checkpoint_000002/checkpoint.pt", value)
    pathlib.Path("cnn-wild-park/cnn_park_splits.json").write_text('{"train": {"path": []}}\n')
    small = {"module_list.0.weight": (2, 1, 2, 2), "module_list.0.bias": (2,), "module_list.3.weight": (2, 2, 2, 2), "module_list.3.bias": (2,), "module_list.6.weight": (3, 8), "module_list.6.bias": (3,)}
    run = "cnn-zoos/NN_tune_trainable_a"
    for epoch in (0, 50):
        save(f"{run}/checkpoint_{epoch:06d}/checkpoints", state(small, epoch))
    pathlib.Path(f"{run}/params.json").write_text('{"lr": 0.1}\n')
    lines = [{"training_iteration": epoch, "test_acc": epoch / 100, "train_acc": 0.75, "config": {"lr": 0.1}} for epoch in (0, 25, 50)]
    pathlib.Path(f"{run}/result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = "cnn-zoos/NN_tune_trainable_b"  # without a checkpoint of epoch 0, so the lines begin with 1
    save(f"{run}/checkpoint_2/checkpoints", state(small, 2))
    lines = [{"training_iteration": epoch, "test_acc": epoch / 100, "train_acc": 0.75, "config": {"lr": 0.1}} for epoch in (1, 2, 3)]
    pathlib.Path(f"{run}/result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    save("cnn-zoos/dataset.pt", [1, 2])
    for label, number in ((0, 3), (12, 1)):
        save(f"implicit-zoo/ckpts/{label:02d}/{number:06d}_{42:07d}.ckpt", {"image_idx": number, "params": state(siren, number)})
    block = "encoder.0"  # without skip connections; norms have no parameters
    names = ["attention.queries", "attention.keys", "attention.values", "attention.out_projection"]
    transformer = {"embedding.pos_embedding": (9, 4), "embedding.conv1.weight": (4, 1, 2, 2), "embedding.conv1.bias": (4,)}
    for name in names:
        transformer |= {f"{block}.{name}.weight": (4, 4)}
    transformer |= {f"{block}.fc1.weight": (8, 4), f"{block}.fc1.bias": (8,), f"{block}.fc2.weight": (4, 8), f"{block}.fc2.bias": (4,)}
    transformer |= {"classifier.fc1.weight": (4, 4), "classifier.fc1.bias": (4,), "classifier.fc2.weight": (2, 4), "classifier.fc2.bias": (2,)}
    for number in (3, 12):
        save(f"small-transformer-zoo/mnist/model_{number}.pt", state(transformer, number))
    pathlib.Path("small-transformer-zoo/metadata").mkdir(exist_ok=True)
    rows = "ckpt_file,ckpt_epoch,test_top1_accuracy\nmnist/model_3.pt,75,0.25\nmnist/model_12.pt,75,0.5\n"
    pathlib.Path("small-transformer-zoo/metadata/mnist.csv").write_text(rows)
    vit = {}
    for part, shapes in (("to_patch_embedding.1", [(3,)] * 2), ("to_patch_embedding.2", [(4, 3), (4,)]), ("to_patch_embedding.3", [(4,)] * 2)):
        vit |= {f"{part}.weight": shapes[0], f"{part}.bias": shapes[1]}
    vit |= {"transformer.norm.weight": (4,), "transformer.norm.bias": (4,)}
    layer = "transformer.layers.0"
    vit |= {f"{layer}.0.norm.weight": (4,), f"{layer}.0.norm.bias": (4,), f"{layer}.0.to_qkv.weight": (12, 4), f"{layer}.0.to_out.weight": (4, 4)}
    vit |= {f"{layer}.1.net.0.weight": (4,), f"{layer}.1.net.0.bias": (4,), f"{layer}.1.net.1.weight": (5, 4), f"{layer}.1.net.1.bias": (5,)}
    vit |= {f"{layer}.1.net.3.weight": (4, 5), f"{layer}.1.net.3.bias": (4,), "linear_head.weight": (2, 4), "linear_head.bias": (2,)}
    results = []
    for number, epoch in ((2, 18), (11, 0)):
        save(f"dng-vit/vit_models/model_{number}_{epoch}.pth", state(vit, number))
        results.append({"model_id": number, "epoch": epoch, "train_accuracy": 30.5, "test_accuracy": 20.0 + number})
    save("refused/dng-graph.pt", {"e": torch.zeros(8), "b": torch.zeros(4)})
    save("refused/cnn-zoo-dataset.pt", {"trainset": Dataset(torch.zeros(3)), "testset": Dataset(torch.zeros(2))})
    tokens = {"w": torch.zeros(4, 6), "m": torch.ones(4, 6, dtype=torch.bool), "p": torch.zeros(4, 3, dtype=torch.int16), "props": {"test_acc": 0.5}}
    save("refused/sane-tokens.pt", tokens)
    stat = pathlib.Path("dng-vit/stat")
    stat.mkdir(exist_ok=True)
    (stat / "results.json").write_text(json.dumps(results, indent=4))
    (stat / "splits.json").write_text('{"train": [2], "val": [], "test": [11]}')
    (stat / "vit_hyperparameters.json").write_text('{"dim": 4, "depth": 1, "heads": 2}')


{"numpy": numpy_collections, "hdf5": hdf5_collections, "torch": torch_collections}[sys.argv[1]]()
