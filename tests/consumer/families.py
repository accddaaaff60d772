"""families.py NFTOOL: networks of common families, as PyTorch saves them, compute the same after nftool permute. Needs torch."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import warnings

import numpy
import torch
from torch import nn

nftool = sys.argv[1]


def block(inputs, outputs, bottleneck):
    body = nn.Module()
    widths = [inputs, 6, 5, outputs] if bottleneck else [inputs, 6, outputs]
    for i in range(len(widths) - 1):
        kernel = 3 if i == 1 or not bottleneck else 1
        setattr(body, f"conv{i + 1}", nn.Conv2d(widths[i], widths[i + 1], kernel, padding=kernel // 2, bias=False))
        setattr(body, f"bn{i + 1}", nn.BatchNorm2d(widths[i + 1]))
    body.count = len(widths) - 1
    if inputs != outputs:
        body.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
    return body


class ResNet(nn.Module):
    def __init__(self, bottleneck):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(block(8, 8, bottleneck), block(8, 8, bottleneck))
        self.layer2 = nn.Sequential(block(8, 12, bottleneck), block(12, 12, bottleneck))
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for body in [*self.layer1, *self.layer2]:
            y = x
            for i in range(1, body.count + 1):
                y = getattr(body, f"bn{i}")(getattr(body, f"conv{i}")(y))
                y = torch.relu(y) if i < body.count else y
            x = torch.relu(y + (body.downsample(x) if hasattr(body, "downsample") else x))
        return self.fc(x.mean((2, 3)))


def unit(inputs, outputs, kernel, groups=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(outputs), nn.ReLU6())


class Inverted(nn.Module):
    def __init__(self, inputs, outputs, expand):
        super().__init__()
        inner = inputs * expand
        first = [unit(inputs, inner, 1)] if expand > 1 else []
        self.conv = nn.Sequential(*first, unit(inner, inner, 3, inner), nn.Conv2d(inner, outputs, 1, bias=False),
                                  nn.BatchNorm2d(outputs))
        self.residual = inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(unit(3, 8, 3), Inverted(8, 6, 1), Inverted(6, 10, 3), Inverted(10, 10, 3), unit(10, 16, 1))
        self.classifier = nn.Sequential(nn.Dropout(0), nn.Linear(16, 4))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Vgg(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
                                      nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(32, 9), nn.ReLU(), nn.Linear(9, 4))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.qkv, self.proj, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / (d // self.heads) ** 0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, d))


class VitBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), Attention(width, 2), nn.LayerNorm(width)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 20), nn.Linear(20, width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp.fc2(torch.nn.functional.gelu(self.mlp.fc1(self.norm2(x))))


class Vit(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.cls_token, self.pos_embed = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 17, width))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, 3, 3)
        self.blocks = nn.Sequential(VitBlock(width), VitBlock(width))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 4)

    def forward(self, x):
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn, self.fc = kind(5, 7, num_layers=2), nn.Linear(7, 3)

    def forward(self, x):
        return self.fc(self.rnn(x)[0])


def run(*arguments):
    done = subprocess.run([nftool, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path):
    data = open(path, "rb").read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    return {name: torch.from_numpy(numpy.frombuffer(data[8 + length + entry["data_offsets"][0]:8 + length + entry["data_offsets"][1]],
                                                    "f4").copy().reshape(entry["shape"]))
            for name, entry in header.items() if name != "__metadata__" and entry["dtype"] == "F32"}


def check(name, network, x):
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.dtype == torch.float32:
                tensor.add_(torch.rand_like(tensor) * 0.1)
        network.eval()
        before = network(x)
        state = network.state_dict()
        torch.save(state, "network.pt")
        axes = run("space", "network.pt").count("permutation")
        run("permute", "network.pt", "-o", "permuted.safetensors", "--seed", "3", "-q")
        permuted = read("permuted.safetensors")
        floats = {key for key, value in state.items() if value.dtype == torch.float32}
        assert floats == set(permuted), f"{name}: {floats ^ set(permuted)}"
        changed = sum(not torch.equal(permuted[key], state[key]) for key in floats)
        state.update(permuted)
        network.load_state_dict(state)
        difference = float((network(x) - before).abs().max() / before.abs().max())
    print(f"{name}: {axes} axes, {changed} of {len(floats)} tensors changed, outputs differ by {difference:.1e}")
    assert axes and changed and difference < 1e-5, name


warnings.simplefilter("ignore")
torch.manual_seed(0)
image = torch.randn(2, 3, 12, 12)
with tempfile.TemporaryDirectory() as folder:
    nftool = os.path.abspath(nftool)
    os.chdir(folder)
    check("ResNet of basic blocks", ResNet(False), image)
    check("ResNet of bottlenecks", ResNet(True), image)
    check("MobileNetV2", MobileNet(), image)
    check("VGG with batch norms", Vgg(), image)
    check("vision transformer", Vit(), image)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 20), 2)
    check("TransformerEncoder", encoder, torch.randn(5, 2, 8))
    for kind in nn.LSTM, nn.GRU, nn.RNN:
        check(kind.__name__ + " with a linear layer", Recurrent(kind), torch.randn(6, 2, 5))
    check("conv1d with norms", nn.Sequential(nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 8, 3, groups=8),
                                            nn.Conv1d(8, 4, 1)), torch.randn(2, 3, 9))
    check("conv3d", nn.Sequential(nn.Conv3d(1, 6, 3), nn.ReLU(), nn.Conv3d(6, 4, 2)), torch.randn(2, 1, 5, 5, 5))
print("all families compute the same")
