"""The set-up cell's one call."""

import os
import platform
import random
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

STYLE = Path(__file__).with_name("course.mplstyle")


def pick_device() -> torch.device:
    """The fastest device that this machine has: CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def start(lecture: str, seed: int = 42) -> torch.device:
    """Seed every generator, set the plot style, print one line on what runs where, and return the device.

    lecture: the page's name, printed.  seed: for `random`, NumPy's global generator and PyTorch (all devices).
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    plt.style.use(STYLE)
    device = pick_device()
    where = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    print(
        f"{lecture} · Python {platform.python_version()} · torch {torch.__version__} · {where}, "
        f"{torch.get_num_threads()} of {os.cpu_count()} cores · seed {seed}"
    )
    return device
