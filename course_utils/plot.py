"""Pictures for lectures: each function draws one figure that carries its axes, units and message."""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from torch import nn


def grid(X, resolution: int = 40, margin: float = 0.4) -> list[list[float]]:
    """Places on a regular grid around points of the plane, at which to ask a classifier for its score.

    X: (n, 2) points.  Returns resolution² places [x1, x2], row by row from the bottom.
    """
    low, high = np.min(X, axis=0) - margin, np.max(X, axis=0) + margin
    across, up = (np.linspace(low[i], high[i], resolution) for i in (0, 1))
    return [[float(x1), float(x2)] for x2 in up for x1 in across]


def boundaries(panels: dict[str, object], places, X, y, title: str = "") -> None:
    """The decision boundary of a two-class classifier, a panel each, with the points that it should separate.

    panels: {panel's title: scores at `places`}.  places: from `plot.grid(X)`.  X: (n, 2) points.  y: n answers, above 0
    or not.  title: what the whole figure says.
    """
    places, X, y = np.asarray(places), np.asarray(X), np.asarray(y)
    side = round(len(places) ** 0.5)
    across, up = places[:side, 0], places[::side, 1]
    fig, axes = plt.subplots(1, len(panels), figsize=(3.4 * len(panels), 3.1), sharey=True, squeeze=False)
    for ax, (panel, scores) in zip(axes[0], panels.items(), strict=True):
        scores = np.asarray(scores, dtype=float).reshape(side, side)
        filled = ax.contourf(across, up, scores.clip(-2, 2), levels=np.linspace(-2, 2, 9), alpha=0.6)
        if scores.min() < 0 < scores.max():
            ax.contour(across, up, scores, levels=[0], colors="black", linewidths=2)
        ax.scatter(*X[y <= 0].T, s=18, marker="o", color="black", edgecolor="white", linewidth=0.6, label="negative")
        ax.scatter(*X[y > 0].T, s=26, marker="^", color="white", edgecolor="black", linewidth=0.9, label="positive")
        ax.set(xlabel="x1", title=panel)
        ax.grid(False)
    if title:
        fig.suptitle(title, weight="bold")
    axes[0, 0].set(ylabel="x2")
    axes[0, 0].legend(loc="lower left", fontsize="small", frameon=True)
    fig.colorbar(filled, ax=axes[0, -1], label="score (cut at ±2)")
    plt.show()


# --- tables as pictures (lecture 02) --------------------------------------------------------------------------------


def labelled_table(table, labels, title: str, number_format: str = "{:.0f}") -> None:
    """A square table as a picture in which every cell says what it is: its two characters, and its number.

    table: (V, V) numbers, row = what comes first.  labels: V strings.  The colour is the square root of the number, so
    that small ones stay visible. All labels are drawn as one shape in two colours: a text object for each of the 2 V²
    would take seconds.
    """
    table = torch.as_tensor(table).double().numpy()
    size = len(labels)
    shade = np.sqrt(table / table.max())
    _, ax = plt.subplots(figsize=(0.4 * size, 0.4 * size))
    ax.imshow(shade, cmap="Blues")
    for dark in (False, True):
        texts = []  # (text, x, y of its baseline, height) in cells
        for i, j in zip(*np.nonzero((shade > 0.55) == dark), strict=True):
            texts.append((labels[i] + labels[j], j, i - 0.08, 0.0034))
            texts.append((number_format.format(table[i, j]), j, i + 0.32, 0.003))
        colour = "white" if dark else "#222222"
        shape = PathPatch(_outline(texts), facecolor=colour, linewidth=0, transform=ax.transData)
        shape.set_in_layout(False)
        ax.add_artist(shape)  # add_patch would measure every curve of it
    ax.set(xlabel="next character", ylabel="character", title=title)
    ax.set_xticks(range(size), labels)
    ax.set_yticks(range(size), labels)
    ax.grid(False)
    plt.show()


def _outline(texts: list[tuple[str, float, float, float]]) -> Path:
    """All texts as one outline, each centred on its x; every different letter is made once."""
    letters = {letter for text, *_ in texts for letter in text}
    outlines = {letter: TextPath((0, 0), letter, size=100) for letter in letters}
    bar = TextPath((0, 0), "|", size=100).get_extents().x1
    width = {letter: TextPath((0, 0), letter + "|", size=100).get_extents().x1 - bar for letter in letters}
    places: dict[str, list] = {letter: [] for letter in letters}
    for text, x, y, height in texts:
        at = -sum(width[letter] for letter in text) / 2
        for letter in text:
            places[letter].append((x + at * height, y, height))
            at += width[letter]
    vertices, codes = [np.empty((0, 2))], [np.empty(0, Path.code_type)]
    for letter, outline in outlines.items():
        x, y, height = np.array(places[letter]).T[..., None]  # (times, 1) each
        v = outline.vertices.T[:, None]  # (2, 1, points)
        vertices.append(np.stack([x + v[0] * height, y - v[1] * height], -1).reshape(-1, 2))
        codes.append(np.tile(outline.codes, len(places[letter])))
    return Path(np.concatenate(vertices), np.concatenate(codes))


def heatmaps(panels: dict[str, object], labels=None, share_scale: bool = False, title: str = "") -> None:
    """Matrices as pictures side by side, each with its own title and scale of colours.

    panels: {panel's title: (rows, columns) numbers}.  labels: what to write along both axes.  share_scale: one scale
    for all, so that colours compare.  title: what the whole figure says.
    """
    tables = {name: torch.as_tensor(table).detach().double().cpu().numpy() for name, table in panels.items()}
    top = max(table.max() for table in tables.values()) if share_scale else None
    low = min(table.min() for table in tables.values()) if share_scale else None
    fig, axes = plt.subplots(1, len(tables), figsize=(4.6 * len(tables), 4), squeeze=False)
    for ax, (name, table) in zip(axes[0], tables.items(), strict=True):
        picture = ax.imshow(table, vmin=low, vmax=top)
        ax.set(title=name, xlabel="column", ylabel="row")
        if labels is not None:
            ax.set_xticks(range(len(labels)), labels, fontsize=7)
            ax.set_yticks(range(len(labels)), labels, fontsize=7)
        ax.grid(False)
        fig.colorbar(picture, ax=ax, shrink=0.8)
    if title:
        fig.suptitle(title, weight="bold")
    plt.show()


# --- inside a network: activations, gradients, and what an update does (built up in lecture 04) ----------------------


class Look(NamedTuple):
    """What one run of a network held. Each is {name: tensor}; without a loss the gradients are empty."""

    outputs: dict[str, torch.Tensor]  # what each layer returned
    gradients: dict[str, torch.Tensor]  # the loss's gradient in each of those
    weights: dict[str, torch.Tensor]  # the parameters with two dimensions or more
    weight_gradients: dict[str, torch.Tensor]


def look(layers, inputs, loss=None, only=None) -> Look:
    """Run a network once, in the mode it is in, and leave it exactly as it was: buffers, `.grad`, random state.

    layers: an `nn.Module`, whose innermost layers are watched, or named layers in the order in which they are applied,
    {name: layer} or [(name, layer)]: a layer is anything that can be called. inputs: a tensor, or a tuple of them.
    loss: a function from the network's output to a number. only: a class (or several) of layers to keep.
    """
    named = _named(layers)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str, layer, output) -> None:
        output = output[0] if isinstance(output, tuple) else output
        if isinstance(output, torch.Tensor) and output.is_floating_point() and (not only or isinstance(layer, only)):
            label, times = f"{name} {_kind(layer)}".strip(), 1
            while label in seen:  # a layer used twice
                times += 1
                label = f"{name} {_kind(layer)} ({times})"
            seen[label] = output

    modules = (
        [layers] if isinstance(layers, nn.Module) else [layer for _, layer in named if isinstance(layer, nn.Module)]
    )
    inner = [part for module in modules for part in module.modules()]
    buffers = [
        (part, name, held, held.clone()) for part in inner for name, held in part._buffers.items() if held is not None
    ]
    hooks = []
    try:
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            if isinstance(layers, nn.Module):
                for name, layer in named:
                    hooks.append(layer.register_forward_hook(lambda m, _, out, name=name: keep(name, m, out)))
                result = layers(*inputs)
            else:
                result = inputs
                for name, layer in named:
                    result = (layer(*result),)
                    keep(name, layer, result[0])
                result = result[0]
            weights = {n: p for n, p in _parameters(layers).items() if p.dim() > 1 and p.requires_grad}
            wanted = [tensor if tensor.requires_grad else None for tensor in seen.values()] + list(weights.values())
            slopes = [None] * len(wanted)
            if loss is not None:
                asked = [tensor for tensor in wanted if tensor is not None]
                answers = iter(torch.autograd.grad(loss(result), asked, allow_unused=True))
                slopes = [None if tensor is None else next(answers) for tensor in wanted]
    finally:
        for hook in hooks:
            hook.remove()
        for part, name, held, before in buffers:
            held.copy_(before)
            setattr(part, name, held)
    names = [*seen, *weights]
    found = [(name, slope) for name, slope in zip(names, slopes, strict=True)]
    return Look(
        {name: tensor.detach() for name, tensor in seen.items()},
        {name: slope for name, slope in found[: len(seen)] if slope is not None},
        {name: tensor.detach() for name, tensor in weights.items()},
        {name: slope for name, slope in found[len(seen) :] if slope is not None},
    )


def activations(
    layers, inputs, only=None, saturated: float | None = 0.97, title: str = "What each layer returns"
) -> None:
    """Histograms of what each layer returns, with mean, spread, and the share beyond ±`saturated` (None: leave it out).

    layers, inputs, only: as in `plot.look`. A healthy picture has curves of like width, few values at the ends.
    """
    outputs = look(layers, inputs, only=only).outputs

    def word(values) -> str:
        beyond = f", beyond ±{saturated}: {(values.abs() > saturated).float().mean():.1%}" if saturated else ""
        return f"mean {values.mean():+.2f}, std {values.std():.2f}{beyond}"

    _histograms(outputs, word, title, "value of an activation")


def gradients(layers, inputs, loss, only=None, title: str = "The loss's gradient in what each layer returns") -> None:
    """Histograms of the loss's gradient in each layer's output. A healthy picture has curves of like width.

    layers, inputs, loss, only: as in `plot.look`.
    """
    slopes = look(layers, inputs, loss, only).gradients
    _histograms(slopes, lambda values: f"std {values.std():.1e}", title, "gradient in an activation", spread=3)


def grad_data(
    layers, inputs, loss, title: str = "Each weight matrix's gradient, beside the weights themselves"
) -> None:
    """Histograms of each weight's gradient, with the ratio std(gradient) / std(weights): how big a step of rate 1 is.

    layers, inputs, loss: as in `plot.look`. Parameters of one dimension (biases, gains) are left out.
    """
    seen = look(layers, inputs, loss)
    ratios = {name: slope.std() / seen.weights[name].std() for name, slope in seen.weight_gradients.items()}
    label = {id(slope): f"grad:data {ratios[name]:.1e}" for name, slope in seen.weight_gradients.items()}
    _histograms(seen.weight_gradients, lambda values: label[id(values)], title, "gradient in a weight", spread=3)


class UpdateRatios:
    """Records how far each optimiser step moves each weight matrix, as std(update) / std(weights).

    ratios = plot.UpdateRatios(model) before, ratios.record() after each step, plot.update_data(ratios) at the end.
    layers: an `nn.Module` or named layers. history: {name: [ratio of each recorded step]}.
    """

    def __init__(self, layers):
        self.weights = {name: p for name, p in _parameters(layers).items() if p.dim() > 1 and p.requires_grad}
        self.before = {name: p.detach().clone() for name, p in self.weights.items()}
        self.history: dict[str, list] = {name: [] for name in self.weights}

    @torch.no_grad()
    def record(self) -> None:
        for name, p in self.weights.items():
            self.history[name].append(((p - self.before[name]).std() / self.before[name].std()).cpu())
            self.before[name].copy_(p)


def update_data(ratios: UpdateRatios, title: str = "How far one step moves each weight matrix") -> None:
    """The recorded update:data ratios over the steps, on a log scale, with the usual guide at a thousandth."""
    _, ax = plt.subplots(figsize=(7.5, 3.4))
    for (name, history), style in zip(ratios.history.items(), _styles(len(ratios.history)), strict=True):
        ax.semilogy(range(1, len(history) + 1), [float(ratio) for ratio in history], label=name, **style | {"lw": 1.1})
    ax.axhline(1e-3, color="black", lw=1.6, ls="-", label="guide: 1e-3")
    ax.set(xlabel="step", ylabel="std(update) / std(weights)", title=title)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    plt.show()


def _named(layers) -> list[tuple[str, object]]:
    if isinstance(layers, nn.Module):
        return [(name, part) for name, part in layers.named_modules() if not any(True for _ in part.children())]
    return list(layers.items() if isinstance(layers, dict) else layers)


def _parameters(layers) -> dict[str, nn.Parameter]:
    if isinstance(layers, nn.Module):
        return dict(layers.named_parameters())
    named = [(name, layer) for name, layer in _named(layers) if isinstance(layer, nn.Module)]
    return {f"{name}.{own}": p for name, layer in named for own, p in layer.named_parameters()}


def _kind(layer) -> str:
    return type(layer).__name__ if isinstance(layer, nn.Module) else ""


def _styles(count: int) -> list[dict]:
    """From dark (first layer) to light (last), each with its own dash pattern, so that greyscale tells them apart."""
    dashes = ["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))]
    return [{"color": plt.cm.cividis(0.85 * i / max(1, count - 1)), "ls": dashes[i % 6]} for i in range(count)]


def _histograms(tensors: dict, word, title: str, xlabel: str, spread: float | None = None) -> None:
    """A curve a tensor on one axis. spread: show ± so many times the largest standard deviation; None: all values."""
    if not tensors:
        raise ValueError("no layer to show: is `only` a class that the network has, and does the loss reach it?")
    _, ax = plt.subplots(figsize=(9, 3.4))
    most = max(float(values.std()) * spread if spread else float(values.abs().max()) for values in tensors.values())
    for (name, values), style in zip(tensors.items(), _styles(len(tensors)), strict=True):
        height, edges = np.histogram(values.float().cpu().numpy(), bins=80, range=(-most or -1, most or 1))
        ax.plot((edges[:-1] + edges[1:]) / 2, 100 * height / values.numel(), label=f"{name}: {word(values)}", **style)
    ax.set(xlabel=xlabel, ylabel="% of values in each of 80 bins", title=title, ylim=(0, None))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize="small")
    plt.show()
