"""Recorded results: what a page shows but cannot afford to run each time, in data/results/NAME.json."""

import json
import platform
import subprocess
import time
from pathlib import Path

import torch

from course_utils import data


def load(name: str) -> dict:
    """The record of a lecture. "made" says when, where and with what it was made.  Raises DataError."""
    path = _path(name)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise data.DataError(
            f"There is no record {path.name} that can be read: install the course (or clone it) again, or make the "
            f"record with `course run {name[:2]} --profile full` in a clone."
        ) from None


def save(name: str, content: dict, seconds: float) -> Path:
    """Write a record, with the device, versions, commit and date it was made with.  Only in a clone of the course.

    content: what JSON can hold.  seconds: what making it took.  Returns the path.  Raises DataError.
    """
    if data.REPOSITORY is None:
        raise data.DataError("A record belongs into a clone of the course: clone it, then run this page there.")
    git = ["git", "-C", str(data.REPOSITORY), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True)
    made = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit.stdout.strip() if commit.returncode == 0 else "unknown",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {platform.machine()}",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seconds": round(seconds),
    }
    path = _path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"made": made, **content}, indent=1) + "\n", encoding="utf-8")
    return path


def _path(name: str) -> Path:
    return data.SHIPPED / "results" / f"{name}.json"
