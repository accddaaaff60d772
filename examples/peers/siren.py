"""Fits of SIRENs to images with PyTorch and with JAX: 2-32-32-1, frequency 30, Adam, full batch, as `nftool fit` does.

Each fit() takes images (N, pixels) in [-1, 1] and returns the mean squared error of each network (N). All networks of a
call are fitted together, each by its own gradient.
"""

import math
import os

import numpy as np

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
HIDDEN, OMEGA, RATE, BETAS, EPSILON = 32, 30.0, 1e-3, (0.9, 0.999), 1e-8


def grid(pixels):
    """The places of the pixels of a square image (pixels, 2), y slowest."""
    side = math.isqrt(pixels)
    line = np.linspace(-1, 1, side, dtype=np.float32)
    return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(pixels, 2)


def start(count, seed):
    """Fresh parameters of `count` networks: W_0, v_0, W_1, v_1, W_2, v_2."""
    draw, parameters = np.random.default_rng(seed), []
    for layer, (inputs, outputs) in enumerate([(2, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1)]):
        bound = math.sqrt(6 / inputs) / OMEGA if layer else 1 / inputs
        parameters.append(draw.uniform(-bound, bound, (count, outputs, inputs)).astype(np.float32))
        bound = inputs ** -0.5
        parameters.append(draw.uniform(-bound, bound, (count, outputs)).astype(np.float32))
    return parameters


def torch_fit(compiled):
    """Gradients are written out, which is faster than autograd here."""
    import torch

    def gradients(parameters, places, images):
        w0, v0, w1, v1, w2, v2 = parameters
        phase0 = OMEGA * torch.baddbmm(v0[:, None], places, w0.transpose(1, 2))
        hidden0 = phase0.sin()
        phase1 = OMEGA * torch.baddbmm(v1[:, None], hidden0, w1.transpose(1, 2))
        hidden1 = phase1.sin()
        error = torch.baddbmm(v2[:, None], hidden1, w2.transpose(1, 2)) - images
        d2 = error * (2 / images.shape[1])
        d1 = d2 * w2 * phase1.cos() * OMEGA
        d0 = torch.bmm(d1, w1) * phase0.cos() * OMEGA
        slopes = [torch.bmm(d.transpose(1, 2), h) for d, h in ((d0, places), (d1, hidden0), (d2, hidden1))]
        sums = [d.sum(1) for d in (d0, d1, d2)]
        return [g for pair in zip(slopes, sums) for g in pair], error.square().mean((1, 2))

    def step(parameters, first, second, places, images, rate, correction):
        slopes, loss = gradients(parameters, places, images)
        for p, m, v, g in zip(parameters, first, second, slopes):
            m.mul_(BETAS[0]).add_(g, alpha=1 - BETAS[0])
            v.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
            p.sub_(rate * m / ((v * correction).sqrt() + EPSILON))
        return loss

    run = torch.compile(step) if compiled else step

    def fit(images, steps, seed=0):
        parameters = [torch.tensor(p) for p in start(len(images), seed)]
        first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        places = torch.tensor(grid(images.shape[1])).expand(len(images), -1, -1)
        targets = torch.tensor(images).unsqueeze(-1)
        with torch.no_grad():
            for i in range(1, steps + 1):
                rate, correction = (torch.tensor(x) for x in (RATE / (1 - BETAS[0] ** i), 1 / (1 - BETAS[1] ** i)))
                loss = run(parameters, first, second, places, targets, rate, correction)
        return loss.numpy()

    return fit


def jax_fit():
    """vmapped over networks, the loop over steps compiled."""
    import jax
    from jax import numpy as jnp

    def predict(parameters, places):
        w0, v0, w1, v1, w2, v2 = parameters
        hidden = jnp.sin(OMEGA * (places @ w0.T + v0))
        hidden = jnp.sin(OMEGA * (hidden @ w1.T + v1))
        return (hidden @ w2.T + v2)[:, 0]

    def fit_one(parameters, image, places, steps):
        def step(i, state):
            parameters, first, second, _ = state
            loss, slopes = jax.value_and_grad(lambda p: jnp.mean((predict(p, places) - image) ** 2))(parameters)
            first = [BETAS[0] * m + (1 - BETAS[0]) * g for m, g in zip(first, slopes)]
            second = [BETAS[1] * v + (1 - BETAS[1]) * g * g for v, g in zip(second, slopes)]
            rate, correction = RATE / (1 - BETAS[0] ** (i + 1)), 1 / (1 - BETAS[1] ** (i + 1))
            parameters = [p - rate * m / (jnp.sqrt(v * correction) + EPSILON)
                          for p, m, v in zip(parameters, first, second)]
            return parameters, first, second, loss

        zeros = [jnp.zeros_like(p) for p in parameters]
        return jax.lax.fori_loop(0, steps, step, (parameters, zeros, zeros, jnp.float32(0)))[3]

    run = jax.jit(jax.vmap(fit_one, in_axes=(0, 0, None, None)))

    def fit(images, steps, seed=0):
        return np.asarray(run(start(len(images), seed), images, grid(images.shape[1]), steps))

    return fit
