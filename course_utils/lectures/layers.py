"""From notebooks/04_makemore_activations_batchnorm.ipynb, 7. Layers, as PyTorch has them; The evaluation that changes
what it measures; also from notebooks/06_makemore_wavenet.ipynb, 5. Two at a time; 6. The tree, and a bug that says
nothing.

Made by `course build` from the cells marked `#| export layers`: edit
sources/lectures/04_makemore_activations_batchnorm.py and sources/lectures/06_makemore_wavenet.py.
"""

from contextlib import contextmanager

import torch
from torch import nn


class Linear(nn.Module):
    """y = x Wᵀ + b, as `torch.nn.Linear`, with the starting scale of He et al. (2015).

    weight: (fan_out, fan_in), drawn with standard deviation gain / sqrt(fan_in).  bias: (fan_out,), zeros, or None.
    x: (..., fan_in).  Returns (..., fan_out).
    """

    def __init__(self, fan_in: int, fan_out: int, bias: bool = True, gain: float = 1.0, generator=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(fan_out, fan_in, generator=generator) * gain / fan_in**0.5)
        self.bias = nn.Parameter(torch.zeros(fan_out)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x @ self.weight.T  # (..., fan_out)
        return y if self.bias is None else y + self.bias


class BatchNorm1d(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) of x: (N, C), as `torch.nn.BatchNorm1d`. Returns (N, C).

    In training mode every column is normalised by its mean and (biased) variance in this batch, and the running
    statistics take a step of `momentum` towards them (variance: unbiased). In evaluation mode the running statistics
    are used and left alone. Training mode with gradients switched off is refused: it looks like an evaluation that
    forgot `model.eval()` and would change what it measures.
    """

    def __init__(self, features: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(features))  # gamma
        self.bias = nn.Parameter(torch.zeros(features))  # beta
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def batch_dims(self, x: torch.Tensor) -> tuple[int, ...]:
        """The dimensions that statistics are taken over: all but the last, which holds the features."""
        if x.dim() != 2:
            raise ValueError(f"this BatchNorm1d takes (N, C), but x has {x.dim()} dimensions: {tuple(x.shape)}.")
        return (0,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dims = self.batch_dims(x)
        mean = x.mean(dims) if self.training else self.running_mean  # (C,)
        centred = x - mean  # (N, C)
        var = centred.square().mean(dims) if self.training else self.running_var  # (C,)
        if self.training:
            self.track(mean, var, n=x.numel() // var.numel())
        scale = self.weight / (var + self.eps).sqrt()  # (C,)
        return torch.addcmul(self.bias, centred, scale)  # bias + centred * scale, in one pass over memory

    def track(self, mean: torch.Tensor, var: torch.Tensor, n: int) -> None:
        """Move the running statistics towards those of a batch with n values a feature."""
        if n < 2:
            raise ValueError("one example has no variance: train on at least two, or call model.eval() first.")
        if not torch.is_grad_enabled():
            raise RuntimeError("BatchNorm1d is in training mode and gradients are off: use `with evaluating(model):`.")
        with torch.no_grad():
            m = self.momentum
            self.running_mean = (1 - m) * self.running_mean + m * mean
            self.running_var = (1 - m) * self.running_var + m * var * n / (n - 1)
            self.num_batches_tracked += 1


class Tanh(nn.Module):
    """tanh of every element. x: any shape, and the same comes out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x)


class Embedding(nn.Module):
    """A table with a row for each of `num` symbols, as `torch.nn.Embedding`.

    weight: (num, dim), standard normal.  ix: integers of any shape.  Returns (*ix.shape, dim).
    """

    def __init__(self, num: int, dim: int, generator=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num, dim, generator=generator))

    def forward(self, ix: torch.Tensor) -> torch.Tensor:
        return self.weight[ix]


class Sequential(nn.Module):
    """Layers in a row, as `torch.nn.Sequential`: each gets what the one before it returned. `seq[2]` is the third."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        for number, layer in enumerate(layers):
            self.add_module(str(number), layer)

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, number: int) -> nn.Module:
        return list(self.children())[number]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.children():
            x = layer(x)
        return x


@contextmanager
def evaluating(model: nn.Module):
    """`with evaluating(model):` every layer is in evaluation mode and gradients are off; afterwards each layer has the
    mode back that it had before, also after an error. Running statistics stay as they are.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        for module, mode in modes.items():
            module.training = mode


class FlattenConsecutive(nn.Module):
    """Lay the features of every n neighbouring positions side by side: the leaves of a tree, joined n by n.

    x: (B, T, C), T a multiple of n.  Returns (B, T/n, n*C), or (B, n*C) when a single position is left.
    """

    def __init__(self, n: int):
        super().__init__()
        self.n = n

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, C = x.shape
        if T % self.n:
            raise ValueError(f"{T} positions cannot be joined {self.n} by {self.n}: choose a multiple of {self.n}.")
        x = x.reshape(B, T // self.n, self.n * C)  # (B, T/n, n*C)
        return x.squeeze(1) if x.shape[1] == 1 else x


class BatchNormLast(BatchNorm1d):
    """`BatchNorm1d` for features in the last dimension: x (N, C) or (N, ..., C), the same shape comes out.

    Statistics run over every other dimension, so (32, 4, 68) counts as 128 examples. `torch.nn.BatchNorm1d` computes
    the same with the features in dimension 1: (N, C, L).
    """

    def batch_dims(self, x: torch.Tensor) -> tuple[int, ...]:
        return tuple(range(x.dim() - 1))
