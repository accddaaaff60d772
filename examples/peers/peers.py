"""Times libnft, PyTorch, ONNX Runtime and JAX in turn on this machine, and prints one table.

usage: peers.py [--nftool build/nftool] [--rounds 5] [--threads 2] [--quick] [--models FILE…] [--only NAME…]

Each round measures every library once, so that they share the machine's good and bad minutes; the table has medians
over the rounds. Before it times anything it compares the outputs of all libraries on the same weights.
"""

import argparse
import datetime
import gzip
import importlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent
MODELS = [EXAMPLES / "data/mnist-encoder.json", EXAMPLES / "data/mnist-encoder-64.json"]
DIGITS = EXAMPLES / "data/digits-idx3-ubyte.gz"
LIBRARIES = {"libnft": [], "libnft bf16": [], "PyTorch eager": ["torch"], "PyTorch compiled": ["torch"],
             "PyTorch bf16 autocast": ["torch"], "ONNX Runtime": ["torch", "onnx", "onnxruntime"], "JAX": ["jax"]}
FULL_PRECISION = ("PyTorch eager", "PyTorch compiled", "ONNX Runtime", "JAX")
TOLERANCE = 1e-4  # of the largest output
FIT_STEPS, FIT_TOGETHER = 250, 16


def say(text):
    print(text, file=sys.stderr, flush=True)


def installed(module):
    """The module, or None. PyTorch 1 does not count: it lacks torch.compile."""
    try:
        found = importlib.import_module(module)
    except ImportError:
        return None
    return None if module == "torch" and not hasattr(found, "compile") else found


def has(name):
    return all(installed(module) for module in LIBRARIES[name])


def wanted(names, given):
    return [name for name in names if name in given.only and has(name)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nftool", type=Path, default=EXAMPLES.parent / "build/nftool")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--quick", action="store_true", help="one round of single runs: a trial")
    parser.add_argument("--models", nargs="+", type=Path, default=MODELS, help="configurations of encoders")
    parser.add_argument("--only", nargs="+", choices=LIBRARIES, default=list(LIBRARIES), metavar="NAME",
                        help=", ".join(LIBRARIES))
    given = parser.parse_args()
    given.rounds, given.runs, given.fits = (1, 1, 16) if given.quick else (given.rounds, 5, 128)
    return given


def nftool(given, *command):
    """A command's JSON lines. libnft computes alone: nothing else of this process runs meanwhile."""
    run = subprocess.run([given.nftool, *map(str, command), "--json", "--quiet"], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"nftool {' '.join(map(str, command))}: {run.stderr.strip()}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def best_time(run, given):
    """Seconds of the best of some runs, as `nftool bench` counts: the first warms up."""
    times = []
    for _ in range(given.runs + 1):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times[1:])


class EncoderRow:
    """Forward passes or training steps of one model, batch and number of threads."""

    def __init__(self, path, given, batch, threads, training=False):
        self.path, self.given, self.batch, self.threads, self.training = path, given, batch, threads, training
        self.config = json.loads(path.read_text())
        self.sgemm = []
        self.libraries = [name for name in LIBRARIES if name != "JAX" and not (training and name == "ONNX Runtime")]
        what = "training step" if training else "encoder"
        self.name = (f"{what}, {2 * self.config['modules'][0]['mapping_size']} channels, batch {batch}, "
                     f"{threads} thread{'s' if threads > 1 else ''}")

    def networks(self):
        draw, arrays = np.random.default_rng(0), []
        for layer in self.config["space"]["layers"]:
            for shape in ((layer["out"], layer["in"]), (layer["out"],)):
                arrays.append(0.2 * draw.standard_normal((self.batch, *shape), dtype=np.float32))
        return arrays

    def expected(self):
        """libnft's output for the networks, and the parameters of its model."""
        import nft
        model = nft.Model.from_config(self.config)
        networks = nft.Weights.from_arrays(self.config["space"], self.networks())
        return nft.Context(model, threads=self.threads).forward(networks), model.tensors()

    def prepare(self):
        """What measures the seconds of a batch, by library; outputs are compared first."""
        self.output, tensors = self.expected()
        runs = {}
        for name in wanted(self.libraries, self.given):
            if name.startswith("libnft"):
                runs[name] = lambda name=name: self.bench(name)
                continue
            import torch
            from encoder import Encoder
            torch.set_num_threads(self.threads)
            model = Encoder(self.config, tensors)
            batch = [torch.from_numpy(array) for array in self.networks()]
            run = self.onnx_run if name == "ONNX Runtime" else self.torch_run
            runs[name] = run(torch, model, batch, name)
        return runs

    def bench(self, name):
        command = ["bench", self.path, "--batch-size", self.batch, "--threads", self.threads]
        command += ["--train"] if self.training else []
        command += ["--precision", "bf16"] if name == "libnft bf16" else []
        measured = nftool(self.given, *command)[0]
        self.sgemm.append(measured["sgemm_gflops"])
        return self.batch / measured["samples_per_s"]

    def check(self, name, output):
        error = float(np.abs(output - self.output).max() / np.abs(self.output).max())
        say(f"  {name} differs from libnft by {error:.1e} of the largest output")
        if error > TOLERANCE:
            sys.exit(f"{self.name}: {name} differs from libnft by {error:.1e}, expected {TOLERANCE} at most")

    def torch_run(self, torch, model, batch, name):
        torch._dynamo.reset()  # the number of threads is compiled in
        call = torch.compile(model) if name == "PyTorch compiled" else model
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
        half = name == "PyTorch bf16 autocast"

        def step():
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                if not self.training:
                    with torch.no_grad():
                        return call(batch)
                optimizer.zero_grad()
                output = call(batch)
                loss = output.float().square().mean()
            loss.backward()
            optimizer.step()
            return output.detach()

        output = step()
        if not half:
            self.check(name, output.numpy())
        return lambda: self.with_threads(torch, step)

    def with_threads(self, torch, step):
        torch.set_num_threads(self.threads)
        return best_time(step, self.given)

    def onnx_run(self, torch, model, batch, name):
        import onnxruntime as runtime
        names = [f"tensor{i}" for i in range(len(batch))]
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = os.path.join(folder, "encoder.onnx")
            torch.onnx.export(model.eval(), (batch,), file, input_names=names, dynamo=False, opset_version=17)
            options = runtime.SessionOptions()
            options.intra_op_num_threads = self.threads
            session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        inputs = {name: tensor.numpy() for name, tensor in zip(names, batch)}
        self.check(name, session.run(None, inputs)[0])
        return lambda: best_time(lambda: session.run(None, inputs), self.given)


class FitRow:
    """Fits of SIRENs to digits on one thread."""

    def __init__(self, given):
        self.given, self.batch, self.sgemm = given, given.fits, []
        self.libraries = ["libnft", "PyTorch eager", "PyTorch compiled", "JAX"]
        self.name = f"SIREN fit, {FIT_STEPS} steps, 1 thread"
        with gzip.open(DIGITS) as file:
            pixels = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 784)
        self.images = (pixels[:self.batch].astype(np.float32) / 255 - 0.5) / 0.5

    def prepare(self):
        import siren
        makers = {"libnft": lambda: None, "PyTorch eager": lambda: siren.torch_fit(False),
                  "PyTorch compiled": lambda: siren.torch_fit(True), "JAX": siren.jax_fit}
        fits = {name: makers[name]() for name in wanted(self.libraries, self.given)}
        return {name: self.fit_all(name, fit) if fit else self.nftool_fit for name, fit in fits.items()}

    def nftool_fit(self):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            lines = nftool(self.given, "fit", DIGITS, "--count", self.batch, "--steps", FIT_STEPS, "--threads", 1, "-o",
                           os.path.join(folder, "sirens.safetensors"))
            seconds = time.perf_counter() - started
        self.check("libnft", lines[-1]["mean_psnr"])
        return seconds

    def check(self, name, psnr):
        say(f"  {name} reaches {psnr:.1f} dB")
        if psnr < 28:
            sys.exit(f"{self.name}: {name} reaches {psnr:.1f} dB, expected 28 at least")

    def fit_all(self, name, fit):
        """In batches of FIT_TOGETHER networks, which keeps activations in the cache."""
        def run():
            losses = [fit(self.images[i:i + FIT_TOGETHER], FIT_STEPS) for i in range(0, self.batch, FIT_TOGETHER)]
            return float(np.mean(10 * np.log10(4 / np.concatenate(losses))))

        torch = installed("torch")
        if torch:
            torch.set_num_threads(1)
        fit(self.images[:FIT_TOGETHER], 2)

        def timed():
            if torch:
                torch.set_num_threads(1)
            started = time.perf_counter()
            psnr = run()
            seconds = time.perf_counter() - started
            self.check(name, psnr)
            return seconds

        return timed


def measure(row, given):
    """Medians of milliseconds a sample, by library."""
    say(row.name)
    runs = row.prepare()
    times = {name: [] for name in runs}
    for _ in range(given.rounds):
        for name, run in runs.items():
            times[name].append(run() * 1e3 / row.batch)
            say(f"  {name}: {times[name][-1]:.2f} ms")
    return {name: statistics.median(values) for name, values in times.items()}


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def cell(name, row, medians):
    if name not in row.libraries:
        return "–"
    if name not in medians:
        return "not installed"
    return f"{medians[name]:.{max(0, 2 - math.floor(math.log10(medians[name])))}f}"


def print_table(rows, results, given):
    names = [name for name in LIBRARIES if name in given.only]
    versions = [f"{title} {module.__version__}" for title, module in
                (("PyTorch", installed("torch")), ("ONNX Runtime", installed("onnxruntime")), ("JAX", installed("jax")))
                if module]
    sgemm = [value for row in rows for value in row.sgemm if getattr(row, "threads", 0) == given.threads]
    print(f"{processor()}, {given.threads} threads, {datetime.date.today()}; {', '.join(versions)}."
          + (f" sgemm: {statistics.median(sgemm):.0f} GFLOP/s." if sgemm else ""))
    print(f"Milliseconds a sample, {f'medians of {given.rounds} rounds' if given.rounds > 1 else 'one round'} in turn.\n")
    print(f"| | {' | '.join(names)} | times as fast as the best peer in float32 |")
    print("|---" * (len(names) + 2) + "|")
    for row, medians in zip(rows, results):
        others = [medians[name] for name in FULL_PRECISION if name in medians]
        ratio = f"{min(others) / medians['libnft']:.1f}" if others and "libnft" in medians else "–"
        print(f"| {row.name} | {' | '.join(cell(name, row, medians) for name in names)} | {ratio} |")


def main():
    given = arguments()
    given.nftool = given.nftool.resolve()
    os.environ.setdefault("NFT_LIBRARY", str(given.nftool.parent / "libnft.so.0"))
    sys.path.insert(0, str(EXAMPLES / "python"))
    rows = []
    for path in given.models:
        rows.append(EncoderRow(path, given, given.batch_size, given.threads))
        rows.append(EncoderRow(path, given, 1, 1))
    rows += [EncoderRow(path, given, given.batch_size, given.threads, training=True) for path in given.models]
    rows.append(FitRow(given))
    print_table(rows, [measure(row, given) for row in rows], given)


if __name__ == "__main__":
    main()
