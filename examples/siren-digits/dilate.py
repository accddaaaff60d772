"""dilate.py IMAGES SIRENS OUT [--first I]: the target of each SIREN: its image after dilation.

Copies the data set SIRENS to OUT, with one tensor more: `target` (N, height, width, 1), -1 ... 1, the image that each
network was fitted to, after dilation with 3 x 3 pixels: each becomes the maximum of itself and its neighbours. IMAGES is
the IDX file, gzipped or not, that the networks were fitted to. The tensor `image` of SIRENS, which `nftool fit --views`
writes, says which image each network is of; without it they are images I, I + 1 ... in their order.
"""

import argparse
import gzip
import math
import os
import sys
import zlib

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))

import nft


class Failure(Exception):
    """One line about the fault."""


def read_images(path):
    """The bytes (N, height, width) of an IDX file."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise Failure(f"{path}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    if data[:4] != b"\0\0\x08\x03" or len(data) < 16:
        raise Failure(f"{path}: is no IDX file of bytes, (N, height, width)")
    shape = np.frombuffer(data, ">u4", 3, 4).tolist()
    if len(data) - 16 != math.prod(shape):
        raise Failure(f"{path}: its header says {' x '.join(map(str, shape))} bytes, it holds {len(data) - 16}")
    if not all(shape):
        raise Failure(f"{path}: holds no images")
    return np.frombuffer(data, np.uint8, offset=16).reshape(shape)


def dilate(images):
    """The maximum of each pixel and its eight neighbours, at the edges of those that there are."""
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = np.maximum(np.maximum(padded[:, :height], padded[:, 1:-1]), padded[:, 2:])
    return np.maximum(np.maximum(rows[:, :, :width], rows[:, :, 1:-1]), rows[:, :, 2:])


def numbers_of_images(path, tensors, first):
    """Which image each network is of."""
    networks = len(nft.Weights.load(path))
    if any(len(tensor) != networks or tensor.ndim != 2 for name, tensor in tensors.items() if name.endswith(".bias")):
        raise Failure(f"{path}: is no data set of networks, with a leading axis N")
    if "image" not in tensors:
        return np.arange(networks) + (first or 0)
    if first is not None:
        raise Failure(f"{path}: its tensor 'image' says which image each network is of, --first is for sets without it")
    if tensors["image"].shape != (networks,) or tensors["image"].dtype.kind != "i":
        raise Failure(f"{path}: its tensor 'image' is not one integer for each of {networks} networks")
    return tensors["image"]


def add_targets(images_path, sirens_path, out_path, first):
    images = read_images(images_path)
    tensors = nft.read(sirens_path)
    numbers = numbers_of_images(sirens_path, tensors, first)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= len(images)))
    if len(wrong):
        raise Failure(f"{sirens_path}: network {wrong[0]} is of image {numbers[wrong[0]]}, "
                      f"{images_path} holds {len(images)}, the first is 0")
    target = dilate(images).astype(np.float32)[numbers, :, :, np.newaxis]
    target /= 127.5
    target -= 1
    nft.save(out_path, {**tensors, "target": target}, nft.metadata(sirens_path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", metavar="IMAGES")
    parser.add_argument("sirens", metavar="SIRENS")
    parser.add_argument("out", metavar="OUT")
    parser.add_argument("--first", type=int, metavar="I", help="number of the first network's image (default: 0)")
    given = parser.parse_args()
    try:
        add_targets(given.images, given.sirens, given.out, given.first)
    except (Failure, nft.Error) as failure:
        sys.exit(f"dilate.py: {failure}")


if __name__ == "__main__":
    main()
