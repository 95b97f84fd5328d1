"""From notebooks/20_sft_lora.ipynb, 8. LoRA; 10. DoRA: size and direction apart.

Made by `course build` from the cells marked `#| export lora`: edit sources/lectures/20_sft_lora.py.
"""

import torch
import torch.nn.functional as F
from torch import nn


class LoRALinear(nn.Module):
    """A frozen linear layer plus a trained change of low rank: y = base(x) + (alpha / r) B A x.

    base: nn.Linear, or what has its in_features, out_features and weight.  A: (r, in), B: (out, r), which starts at
    zero.  dropout: of x, before A.  Raises ValueError for a rank below 1.
    Source: Hu et al. (2021), https://arxiv.org/abs/2106.09685, section 4.1.
    """

    def __init__(self, base: nn.Module, r: int = 8, alpha: float = 16.0, dropout: float = 0.0):
        super().__init__()
        if r < 1:
            raise ValueError(f"a rank of {r} leaves nothing to train: take 1 or more.")
        self.base, self.scale, self.merged = base.requires_grad_(False), alpha / r, False
        like = next(iter(base.parameters()), next(base.buffers(), torch.empty(0)))
        self.A = nn.Parameter(torch.randn(r, base.in_features, device=like.device) / base.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(base.out_features, r, device=like.device))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.base(x)  # (..., out)
        return y if self.merged else y + self.dropout(x) @ self.A.T @ self.B.T * self.scale

    def delta(self) -> torch.Tensor:
        """The change of the weight: (out, in)."""
        return self.B @ self.A * self.scale

    @torch.no_grad()
    def merge(self) -> None:
        """Add the change to the weight: from now on the layer costs what the base costs."""
        if not self.merged:
            self.base.weight += self.delta()
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take it out again, up to rounding."""
        if self.merged:
            self.base.weight -= self.delta()
            self.merged = False


def apply_lora(
    model: nn.Module,
    names: tuple[str, ...] = ("q_proj", "v_proj"),
    r: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
    make: type = LoRALinear,
) -> list[nn.Parameter]:
    """Freeze a model, put LoRA around its linear layers of these names, and return what is to be trained.

    names: last parts of the layers' names.  make: LoRALinear or a class with the same arguments.  The model is changed
    in place.  Raises ValueError when no layer has such a name, or has been adapted before.
    """
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise ValueError("this model has adapters already: merge_lora(model) first, or begin with a fresh copy.")
    found = [(parent, name) for parent in model.modules() for name, _ in parent.named_children() if name in names]
    if not found:
        raise ValueError(f"no layer is called {' or '.join(names)}: look at model.named_modules() for the names.")
    model.requires_grad_(False)
    for parent, name in found:
        setattr(parent, name, make(getattr(parent, name), r=r, alpha=alpha, dropout=dropout))
    return [p for p in model.parameters() if p.requires_grad]


def merge_lora(model: nn.Module) -> nn.Module:
    """Add every change to its weight and put the plain layers back. Returns the model, changed in place."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, LoRALinear):
                layer.merge()
                setattr(parent, name, layer.base)
    return model


class DoRALinear(LoRALinear):
    """LoRALinear with the length m (out,) of each row of the weight trained apart from its direction.

    Source: Liu et al. (2024), https://arxiv.org/abs/2402.09353, equation 5; the norm is constant in the backward pass.
    """

    def __init__(self, base: nn.Linear, r: int = 8, alpha: float = 16.0, dropout: float = 0.0):
        super().__init__(base, r, alpha, dropout)
        self.m = nn.Parameter(base.weight.norm(dim=1).detach().clone())  # (out,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.merged:
            return self.base(x)
        ratio = self.m / (self.base.weight + self.delta()).norm(dim=1).detach()  # (out,)
        plain = F.linear(x, self.base.weight)  # (..., out)
        if self.training:
            x = self.dropout(x)
        y = ratio * (plain + x @ self.A.T @ self.B.T * self.scale)
        return y if self.base.bias is None else y + self.base.bias

    @torch.no_grad()
    def merge(self) -> None:
        if not self.merged:
            self.kept = self.base.weight.clone()
            new = self.base.weight + self.delta()
            self.base.weight.copy_(self.m[:, None] * new / new.norm(dim=1, keepdim=True))
            self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        if self.merged:
            self.base.weight.copy_(self.kept)
            self.merged = False
