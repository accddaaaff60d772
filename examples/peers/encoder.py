"""The NFT encoder of arXiv 2305.13546 in PyTorch 2, on networks of linear layers.

    encoder = Encoder(config, model.tensors())    # a configuration of libnft, and arrays by libnft's names
    latents = encoder([weight 0, bias 0, weight 1, …])    # (N, out, in) and (N, out): the latents (N, M, D)

It is written for speed. Tokens of all tensors lie in one array (N, tokens, channels), so that each shared map is one
product, and attention is PyTorch's scaled_dot_product_attention.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Space:
    """The tensors of a chain of linear layers, in the order W_0, v_0, W_1, …"""

    def __init__(self, layers):
        self.widths = [layers[0]["in"], *(layer["out"] for layer in layers)]
        self.shapes = []
        for columns, rows in zip(self.widths, self.widths[1:]):
            self.shapes += [(rows, columns), (rows,)]
        self.sizes = [math.prod(shape) for shape in self.shapes]

    def split(self, tokens):
        return tokens.split(self.sizes, dim=1)


class PositionEmbedding(nn.Module):
    """One vector for each tensor, each input and each output."""

    def __init__(self, space, channels):
        super().__init__()
        layers = len(space.widths) - 1
        self.space = space
        self.weight_emb, self.bias_emb = nn.Embedding(layers, channels), nn.Embedding(layers, channels)
        self.inp_emb, self.out_emb = (nn.Embedding(space.widths[i], channels) for i in (0, -1))

    def forward(self, x):
        inputs, outputs, embeddings = self.space.widths[0], self.space.widths[-1], []
        last = len(self.space.shapes) // 2 - 1
        for tensor, (shape, size) in enumerate(zip(self.space.shapes, self.space.sizes)):
            layer, is_bias = divmod(tensor, 2)
            own = (self.bias_emb if is_bias else self.weight_emb).weight[layer].expand(size, -1)
            if layer == 0 and not is_bias:
                own = own + self.inp_emb.weight.repeat(size // inputs, 1)
            if layer == last:
                own = own + self.out_emb.weight.repeat_interleave(size // outputs, 0)
            embeddings.append(own)
        return x + torch.cat(embeddings)


class TensorMap(nn.Module):
    """A linear map for each tensor."""

    def __init__(self, space, inputs, outputs):
        super().__init__()
        self.space = space
        layers = len(space.shapes) // 2
        self.weight_maps, self.bias_maps = (nn.ModuleList(nn.Linear(inputs, outputs) for _ in range(layers))
                                            for _ in range(2))

    def forward(self, x):
        maps = [self.bias_maps[t // 2] if t % 2 else self.weight_maps[t // 2] for t in range(len(self.space.shapes))]
        return torch.cat([m(part) for m, part in zip(maps, self.space.split(x))], dim=1)


class GainAndOffset(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))


class TensorNorm(nn.Module):
    """(x - mean) / (s + 1e-5) over the channels, s with n - 1, and a gain and an offset for each tensor."""

    def __init__(self, space, channels):
        super().__init__()
        layers = len(space.shapes) // 2
        self.w_norms, self.v_norms = (nn.ModuleList(GainAndOffset(channels) for _ in range(layers)) for _ in range(2))
        sizes = torch.tensor(space.sizes)
        self.register_buffer("tensor_of_token", torch.repeat_interleave(torch.arange(len(sizes)), sizes),
                             persistent=False)

    def forward(self, x):
        norms = [norm for pair in zip(self.w_norms, self.v_norms) for norm in pair]
        gamma = torch.stack([norm.gamma for norm in norms])[self.tensor_of_token]
        beta = torch.stack([norm.beta for norm in norms])[self.tensor_of_token]
        centred = x - x.mean(-1, keepdim=True)
        deviation = (centred.square().sum(-1, keepdim=True) / (x.shape[-1] - 1)).sqrt()
        return centred / (deviation + 1e-5) * gamma + beta


class WeightAttention(nn.Module):
    """Attention between the means of all tensors, and for each axis between the vectors along it."""

    def __init__(self, space, channels, heads):
        super().__init__()
        self.space, self.heads = space, heads
        self.to_qkv = nn.ModuleDict({"linear": nn.Linear(channels, 3 * channels)})

    def diagonal(self, parts):
        """Attention between the mean tokens: (N, tensors, channels)."""
        means = torch.stack([part.mean(1) for part in parts], 1)
        q, k, v = means.unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def along(self, size, vectors):
        """Attention between vectors (N, size, count, 3 channels) along an axis: (N, size, count, channels)."""
        q, k, v = vectors.unflatten(-1, (self.heads, 3, -1)).permute(4, 0, 3, 2, 1, 5).flatten(4)
        return F.scaled_dot_product_attention(q, k, v).unflatten(-1, (size, -1)).permute(0, 3, 2, 1, 4).flatten(3)

    def forward(self, x):
        widths, shapes = self.space.widths, self.space.shapes
        qkv = self.space.split(self.to_qkv["linear"](x))
        grids = [part.unflatten(1, shape) for part, shape in zip(qkv, shapes)]
        terms = list(self.diagonal(qkv).unsqueeze(2).unbind(1))
        for axis, size in enumerate(widths):
            sides, places = [], []
            if axis:
                sides += [grids[2 * axis - 2], grids[2 * axis - 1].unsqueeze(2)]
                places += [2 * axis - 2, 2 * axis - 1]
            if axis < len(widths) - 1:
                sides.append(grids[2 * axis].transpose(1, 2))
                places.append(2 * axis)
            results = self.along(size, torch.cat(sides, 2)).split([side.shape[2] for side in sides], 2)
            for place, result in zip(places, results):
                result = result.transpose(1, 2) if place == 2 * axis else result
                terms[place] = terms[place] + result.flatten(1, 2)
        return torch.cat(terms, 1)


class Block(nn.Module):
    """x + attention(norm(x)), then x + map(gelu(map(norm(x))))."""

    def __init__(self, space, channels, heads, factor):
        super().__init__()
        self.ln1, self.ln2 = TensorNorm(space, channels), TensorNorm(space, channels)
        self.attn = WeightAttention(space, channels, heads)
        self.ff = nn.Sequential(TensorMap(space, channels, factor * channels), nn.GELU(),
                                TensorMap(space, factor * channels, channels))

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.ff(self.ln2(x))


class Perceiver(nn.Module):
    """One cross-attention from learned latents to the tokens, and a gated feed-forward."""

    def __init__(self, channels, latents, width, head_width):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, width))
        attention = nn.ModuleDict({"to_q": nn.Linear(width, head_width, bias=False),
                                   "to_kv": nn.Linear(channels, 2 * head_width, bias=False),
                                   "to_out": nn.Linear(head_width, width)})
        forward = nn.ModuleDict({"net": nn.Sequential(nn.Linear(width, 8 * width), nn.Identity(),
                                                      nn.Linear(4 * width, width))})
        self.cross_attns = nn.ModuleList([nn.ModuleDict({"norm": nn.LayerNorm(width),
                                                         "norm_context": nn.LayerNorm(channels), "fn": attention})])
        self.cross_ffs = nn.ModuleList([nn.ModuleDict({"norm": nn.LayerNorm(width), "fn": forward})])

    def forward(self, tokens):
        cross, feed = self.cross_attns[0], self.cross_ffs[0]
        x = self.latents.expand(len(tokens), -1, -1)
        k, v = cross["fn"]["to_kv"](cross["norm_context"](tokens)).chunk(2, -1)
        x = x + cross["fn"]["to_out"](F.scaled_dot_product_attention(cross["fn"]["to_q"](cross["norm"](x)), k, v))
        value, gate = feed["fn"]["net"][0](feed["norm"](x)).chunk(2, -1)
        return x + feed["fn"]["net"][2](value * F.gelu(gate))


class Encoder(nn.Module):
    """gaussian_fourier, learned_pos_embedding, nft_block …, flatten_weights, perceiver: names as in libnft's files."""

    def __init__(self, config, tensors):
        super().__init__()
        space = Space(config["space"]["layers"])
        kinds, modules = [module["type"] for module in config["modules"]], config["modules"]
        blocks = len(kinds) - 4
        if kinds != ["gaussian_fourier", "learned_pos_embedding", *["nft_block"] * blocks, "flatten_weights", "perceiver"]:
            raise ValueError(f"the peers are about the encoder of Inr2Array, not about {kinds}")
        channels, last = 2 * modules[0]["mapping_size"], modules[-1]
        self.register_buffer("frequencies", torch.tensor(tensors["0._B"]))
        self.steps = nn.ModuleDict({"1": PositionEmbedding(space, channels)})
        for index in range(2, 2 + blocks):
            self.steps[str(index)] = Block(space, channels, modules[index]["num_heads"], modules[index]["ff_factor"])
        self.steps[str(blocks + 3)] = Perceiver(channels, last["num_latents"], last["latent_dim"],
                                                last["cross_dim_head"])
        own = self.steps.state_dict()
        given = {name: torch.tensor(array) for name, array in tensors.items() if name != "0._B"}
        self.steps.load_state_dict({name: tensor.reshape(own[name].shape) for name, tensor in given.items()})

    def forward(self, networks):
        numbers = torch.cat([tensor.flatten(1) for tensor in networks], 1)
        phases = 2 * math.pi * numbers.unsqueeze(-1) * self.frequencies[0]
        x = torch.cat([phases.sin(), phases.cos()], -1)
        for step in self.steps.values():
            x = step(x)
        return x
