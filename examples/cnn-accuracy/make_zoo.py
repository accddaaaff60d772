#!/usr/bin/env python3
"""make_zoo.py IMAGES ZOO [--count N] [--seed S]: trains a zoo of small CNNs on FashionMNIST with PyTorch.

IMAGES holds the four files in which FashionMNIST is distributed. Each CNN has three 3×3 convolutions of 16 channels with stride 2,
global average pooling and a linear layer. Its hyperparameters are random: learning rate, optimizer, weight decay, dropout, scale of the
initial weights, activation, number of training images and steps. ZOO/train, ZOO/validation and ZOO/test get eight, one and one in ten
of the networks: NNNNN.pt, a state_dict, and NNNNN.json with the accuracy on 3,000 images that no network was trained on. The same
command continues after an interruption. `nftool collect` then makes data sets of the folders:

    nftool collect ZOO/train --labels sidecar --label accuracy --skip -o train.safetensors
"""
import argparse
import gzip
import json
import math
import os
import random

import torch
from torch import nn

HELD_OUT = 3000  # images at the end of the training file, which judge every network
BATCH = 64


def read_idx(path):
    with gzip.open(path, "rb") as file:
        data = file.read()
    rank = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return torch.frombuffer(bytearray(data[4 + 4 * rank :]), dtype=torch.uint8).reshape(shape)


class Net(nn.Module):
    def __init__(self, activation, dropout):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.fc = nn.Linear(16, 10)
        self.activation = torch.relu if activation == "relu" else torch.tanh
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        for layer in (self.conv1, self.conv2, self.conv3):
            x = self.dropout(self.activation(layer(x)))
        return self.fc(x.mean((2, 3)))


def draw_hyperparameters(rng):
    return {
        "activation": rng.choice(["relu", "tanh"]),
        "optimizer": rng.choice(["sgd", "adam", "rmsprop"]),
        "lr": math.exp(rng.uniform(math.log(5e-4), math.log(5e-2))),
        "weight_decay": math.exp(rng.uniform(math.log(1e-6), math.log(1e-2))),
        "dropout": rng.uniform(0, 0.5),
        "init_scale": math.exp(rng.uniform(math.log(0.3), math.log(3))),
        "images": rng.choice([500, 2000, 8000, 30000]),
        "steps": int(math.exp(rng.uniform(math.log(20), math.log(1500)))),
    }


def make_optimizer(net, h):
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
    more = {"momentum": 0.9} if h["optimizer"] == "sgd" else {}
    return kinds[h["optimizer"]](net.parameters(), lr=h["lr"], weight_decay=h["weight_decay"], **more)


def train_network(h, images, labels, seed):
    torch.manual_seed(seed)
    net = Net(h["activation"], h["dropout"])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(h["init_scale"])
    optimizer = make_optimizer(net, h)
    chosen = torch.randperm(len(images) - HELD_OUT)[: h["images"]]
    for _ in range(h["steps"]):
        batch = chosen[torch.randint(len(chosen), (BATCH,))]
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        found = net(images[-HELD_OUT:]).argmax(1)
    return net.state_dict(), (found == labels[-HELD_OUT:]).double().mean().item()


def write(path, save):
    save(path + ".new")
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("zoo")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # start several ranges of seeds for several cores
    images = read_idx(os.path.join(arguments.images, "train-images-idx3-ubyte.gz")).float().unsqueeze(1) / 255
    images = (images - images.mean()) / images.std()
    labels = read_idx(os.path.join(arguments.images, "train-labels-idx1-ubyte.gz")).long()
    for number in range(arguments.count):
        part = {8: "validation", 9: "test"}.get(number % 10, "train")
        stem = os.path.join(arguments.zoo, part, f"{number:05d}")
        if os.path.exists(stem + ".json"):
            continue
        os.makedirs(os.path.dirname(stem), exist_ok=True)
        seed = arguments.seed * 1_000_000 + number
        h = draw_hyperparameters(random.Random(seed))
        state, accuracy = train_network(h, images, labels, seed)
        write(stem + ".pt", lambda path: torch.save(state, path))

        def save_sidecar(path):
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"accuracy": accuracy, "hyperparameters": h}, file)

        write(stem + ".json", save_sidecar)
        print(f"{stem}: accuracy {accuracy:.3f}", flush=True)


if __name__ == "__main__":
    main()
