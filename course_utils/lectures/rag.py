"""From notebooks/26_rag.ipynb, 1. What a model does not know; 2. From notebooks to passages; 3. Questions first; 4.
Words: TF-IDF and BM25; 6. Meaning: an encoder; 7. A store that remembers; 9. Hybrid: two rankings into one; 10.
Questions find questions; 11. Reading question and passage together; 17. An answer that can be checked.

Made by `course build` from the cells marked `#| export rag`: edit sources/lectures/26_rag.py.
"""

import functools
import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import numpy as np
import onnxruntime
import sqlite_vec
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

from course_utils import data
from course_utils.lectures.chat import chatml
from course_utils.lectures.kv_cache import stream
from course_utils.lectures.quant import gguf_llama


class Writer:
    """SmolLM2-135M-Instruct, greedy, but no four tokens twice.  Fetches 93 MB once; raises data.DataError."""

    def __init__(self):
        from transformers import AutoTokenizer

        path = data.fetch("smollm2")
        path = next(path.glob("*.gguf")) if path.is_dir() else path
        self.words = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        self.model = gguf_llama(path)

    def write(self, system: str, user: str, longest: int = 60) -> Iterator[str]:
        """Yield the answer to a message, piece by piece; stops at the end of its turn or after `longest` tokens."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        said: list[int] = []

        def model(idx: torch.Tensor, cache, last: bool) -> torch.Tensor:
            logits = self.model(idx, cache, last=last)
            for at in range(len(said) - 3):  # the last three tokens stood here before: not the same fourth again
                if said[at : at + 3] == said[-3:]:
                    logits[0, -1, said[at + 3]] = -torch.inf
            return logits

        ids = torch.tensor([self.words.encode(chatml(messages, ask=True))])
        stop, shown = self.words.encode("<|im_end|>")[0], ""
        for token in stream(model, ids, longest, temperature=0, stop=stop):
            if token.item() == stop:
                return
            said.append(token.item())
            whole = self.words.decode(said)
            if not whole.endswith("\ufffd"):  # half a character: wait for the rest
                yield whole[len(shown) :]
                shown = whole


SIGNS = {"sqrt": "the square root of", "cdot": "times", "times": "times", "odot": "times", "partial": "d"}
SIGNS |= {"le": "at most", "ge": "at least", "approx": "about", "left": "", "right": "", "quad": ""}


CLOSING = re.compile(r"(\d+\. )?(Papers|Recall tomorrow|What we (have|built))")


@dataclass(frozen=True)
class Passage:
    """A piece of a lecture, and where it stands."""

    lecture: str  # "07_gpt"
    section: str  # "6. Six notes on attention"
    text: str
    code: bool = False  # or prose

    @property
    def source(self) -> str:
        """The address that is cited: "07_gpt § 6. Six notes on attention"."""
        return f"{self.lecture} § {self.section}"

    @property
    def whole(self) -> str:
        """The text with its context before it: what is searched."""
        heading = re.sub(r"^\d+\. ", "", self.section)
        return f"{self.lecture[3:].replace('_', ' ')}: {heading}\n{self.text}"


def plain(markdown: str) -> str:
    """Markdown as running text: formulas read out, links, tags, stars and table rules gone."""

    def formula(found: re.Match) -> str:
        text = re.sub(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"(\1) over (\2)", found[1] or found[2])
        text = re.sub(r"\\(?:math\w+|text|operatorname|hat|bar|tilde)\s*\{([^{}]*)\}", r"\1", text)
        text = re.sub(r"\\([a-zA-Z]+)", lambda sign: f" {SIGNS.get(sign[1], sign[1])} ", text)
        return re.sub(r"\s+", " ", re.sub(r"[{}\\]", "", text)).strip()

    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1", markdown)
    text = re.sub(r"</?[a-z][^>]*>", " ", text)
    text = re.sub(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", formula, text, flags=re.S)
    text = re.sub(r"\*\*([^*]+)\*\*|(?<!\w)\*([^*\n]+)\*(?!\w)", lambda m: m[1] or m[2], text)
    text = re.sub(r"(?m)^\|[-| :]+\|\n?", "", text)
    return re.sub(r"(?m)^\| *(.*?) *\|$", lambda row: row[1].replace(" | ", ", "), text).strip()


def sections(lecture: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """A lecture's text (cells as jupytext writes them, "# %%") -> [(heading, its pieces)].

    A piece is ("prose", a paragraph in plain text) or ("code", a cell). The title, the set-up and the closing sections
    (papers, tables of what was built, questions to recall) are left out: they repeat, and explain nothing.
    """
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for head, body in re.findall(r"(?ms)^# %%([^\n]*)\n(.*?)(?=^# %%|\Z)", lecture):
        if "[markdown]" not in head:
            if found:
                found[-1][1].append(("code", re.sub(r"(?m)^#\|.*\n", "", body).strip()))
            continue
        before, *rest = re.split(r"(?m)^## (.+)\n?", re.sub(r"(?m)^# ?", "", body))
        if found:
            found[-1][1].extend(("prose", plain(piece)) for piece in re.split(r"\n\s*\n", before))
        for heading, text in zip(rest[::2], rest[1::2], strict=True):
            found.append((heading.strip(), [("prose", plain(piece)) for piece in re.split(r"\n\s*\n", text)]))
    return [
        (heading, [piece for piece in pieces if piece[1]]) for heading, pieces in found if not CLOSING.match(heading)
    ]


def passages(lectures: dict[str, str], size: int = 110, mixed: bool = False) -> list[Passage]:
    """Cut lectures into passages of up to `size` words, along paragraphs, cells and, in long ones, lines.

    mixed: prose and the code below it may share a passage.
    """
    cut: list[Passage] = []
    for lecture, text in lectures.items():
        for heading, pieces in sections(text):
            groups = [pieces] if mixed else [list(g) for _, g in itertools.groupby(pieces, key=lambda piece: piece[0])]
            for group in groups:
                waiting, code = [], group[0][0] == "code" and not mixed
                for _, piece in group:
                    for part in [piece] if len(piece.split()) <= size else piece.splitlines():
                        if waiting and len(" ".join([*waiting, part]).split()) > size:
                            cut.append(Passage(lecture, heading, "\n".join(waiting), code))
                            waiting = []
                        waiting.append(part)
                if waiting:
                    cut.append(Passage(lecture, heading, "\n".join(waiting), code))
    return cut


def ranked(order, places: list[str]) -> list[str]:
    """Sections in the order of their first passage, ten at most. order: passage numbers, the best first."""
    return list(dict.fromkeys(places[i] for i in order))[:10]


def judge(found: list[str], needs: list[list[str]]) -> dict[str, float]:
    """recall@5, MRR and nDCG@10 of a ranking of sections, for needs that any of their alternatives meets.

    No two needs of a question share a section, or nDCG could pass 1.
    """
    first = [min((found.index(s) + 1 for s in need if s in found), default=99) for need in needs]  # rank of each need
    gain = sum(1 / math.log2(rank + 1) for rank in first if rank <= 10)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(needs), 10) + 1))
    return {
        "recall@5": sum(rank <= 5 for rank in first) / len(needs),
        "MRR": 1 / min(first) if min(first) <= 10 else 0.0,
        "nDCG@10": gain / best,
    }


LITTLE = set(
    re.findall(
        r"\w+",
        "a an and any are as at be been but by can could did do does for from had has have how i if in into is it its "
        "me my no not of on one or our should so some than that the their them then there these they this to was we "
        "were what when where which who why will with would you your",
    )
)


def bare(word: str) -> str:
    """A word without its ending: "scales", "scaled", "scaling" -> "scal"."""
    for ending in ("ings", "ing", "ies", "ed", "es", "s", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word.removesuffix(ending)
    return word


def words(text: str) -> list[str]:
    """The words of a text for BM25: lower case, without little words and endings; identifiers whole and in parts."""
    found = []
    for word in re.findall(r"[^\W\d]\w*|\d[\d,.]*\d|\d", text):
        parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", word)
        found += [word.replace(",", ""), *(parts if len(parts) > 1 and not word[0].isdigit() else [])]
    return [bare(word.lower()) for word in found if word.lower() not in LITTLE]


class BM25:
    """Scores of passages for a question, by their words.  Source: Robertson and Zaragoza (2009), with Lucene's IDF.

    texts: each a list of words, as `words` makes them.
    """

    def __init__(self, texts: list[list[str]], k1: float = 1.2, b: float = 0.75):
        lengths = np.array([len(text) for text in texts])
        self.count = len(texts)
        self.damp = k1 * (1 - b + b * lengths / max(lengths.mean(), 1))  # (N,)
        where: dict[str, list[tuple[int, int]]] = {}
        for i, text in enumerate(texts):
            for word, count in Counter(text).items():
                where.setdefault(word, []).append((i, count))
        self.where = {word: np.array(pairs) for word, pairs in where.items()}  # word -> (n, 2): passage, count

    def idf(self, word: str) -> float:
        """How much it says that a passage has the word."""
        n = len(self.where.get(word, ()))
        return math.log(1 + (self.count - n + 0.5) / (n + 0.5))

    def scores(self, question: list[str]) -> np.ndarray:
        """A score for each passage, (N,): 0 where no word is shared.  A word asked twice counts twice."""
        total = np.zeros(self.count)
        for word in question:
            if word in self.where:
                i, f = self.where[word].T
                total[i] += self.idf(word) * f / (f + self.damp[i])
        return total


class BertLayer(nn.Module):
    """Attention among all tokens and a feed-forward, each normalised after it is added: (B, T, C) -> (B, T, C)."""

    def __init__(self, C: int, n_head: int):
        super().__init__()
        self.n_head = n_head
        self.query, self.key, self.value, self.out = (nn.Linear(C, C) for _ in range(4))
        self.up, self.down = nn.Linear(C, 4 * C), nn.Linear(4 * C, C)
        self.norm1, self.norm2 = nn.LayerNorm(C, 1e-12), nn.LayerNorm(C, 1e-12)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        qkv = (p(x).unflatten(2, (self.n_head, -1)).transpose(1, 2) for p in (self.query, self.key, self.value))
        y = F.scaled_dot_product_attention(*qkv, attn_mask=mask)  # (B, nh, T, hs)
        x = self.norm1(x + self.out(y.transpose(1, 2).flatten(2)))  # (B, T, C)
        return self.norm2(x + self.down(F.gelu(self.up(x))))


BERT_NAMES = {  # the published weights' name of each part of a layer
    "attention.self.query": "query", "attention.self.key": "key", "attention.self.value": "value",
    "attention.output.dense": "out", "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "up", "output.dense": "down", "output.LayerNorm": "norm2",
}  # fmt: skip


class MiniLM(nn.Module):
    """The encoder of all-MiniLM-L6-v2: ids (B, T), mask (B, T) -> a vector for each token, (B, T, 384)."""

    def __init__(self, vocab_size: int = 30522, C: int = 384, n_layer: int = 6, n_head: int = 12, longest: int = 512):
        super().__init__()
        self.word, self.position, self.kind = nn.Embedding(vocab_size, C), nn.Embedding(longest, C), nn.Embedding(2, C)
        self.norm = nn.LayerNorm(C, 1e-12)
        self.layers = nn.ModuleList(BertLayer(C, n_head) for _ in range(n_layer))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.word(ids) + self.position.weight[: ids.shape[1]] + self.kind.weight[0]
        x = self.norm(x)  # (B, T, C)
        for layer in self.layers:
            x = layer(x, mask[:, None, None].bool())  # nobody looks at padding
        return x

    @classmethod
    def pretrained(cls) -> "MiniLM":
        """With the published weights, in evaluation mode.  Fetches 84 MB once; raises data.DataError."""
        model, state = cls(), {}
        starts = {"embeddings.word_embeddings": "word", "embeddings.position_embeddings": "position"}
        starts |= {"embeddings.token_type_embeddings": "kind", "embeddings.LayerNorm": "norm"}
        for name, weight in load_file(data.fetch("minilm") / "model.safetensors").items():
            part, _, last = name.rpartition(".")
            if part.startswith("encoder.layer."):
                _, _, number, rest = part.split(".", 3)
                state[f"layers.{number}.{BERT_NAMES[rest]}.{last}"] = weight
            elif part in starts:
                state[f"{starts[part]}.{last}"] = weight
            # what is left in the file, a layer over the first token, sentence vectors do not use
        model.load_state_dict(state)
        return model.eval()


def pool(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens that are not padding, scaled to length 1: x (B, T, C), mask (B, T) -> (B, C)."""
    m = mask[..., None].to(x.dtype)  # (B, T, 1)
    return F.normalize((x * m).sum(1) / m.sum(1), dim=1)


@functools.cache
def encoder() -> tuple[MiniLM, Tokenizer]:
    """The pretrained encoder and its tokenizer, loaded once."""
    tokenizer = Tokenizer.from_file(str(data.fetch("minilm") / "tokenizer.json"))
    tokenizer.enable_truncation(256)  # the model card's limit
    tokenizer.enable_padding()
    return MiniLM.pretrained(), tokenizer


@torch.no_grad()
def embed(texts: list[str], model: MiniLM | None = None, batch: int = 32) -> np.ndarray:
    """Vectors of length 1 for texts, (N, 384) float32; a cosine is then a dot product.

    Texts are sorted by length first, so that a batch holds little padding.  model: instead of the pretrained one.
    """
    pretrained, tokenizer = encoder()
    model = model or pretrained
    out = np.zeros((len(texts), 384), np.float32)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for at in range(0, len(order), batch):
        rows = order[at : at + batch]
        encoded = tokenizer.encode_batch([texts[i] for i in rows])
        ids, mask = (torch.tensor([getattr(e, name) for e in encoded]) for name in ("ids", "attention_mask"))
        out[rows] = pool(model(ids, mask), mask)
    return out


@functools.cache
def asked_vector(question: str) -> np.ndarray:
    """The vector of a question, (384,), made once: several searches and signals need it."""
    return embed([question])[0]


class Store:
    """Passages and their vectors in one SQLite file: `sync` brings it up to date, `nearest` searches.

    path: made if missing.  Whoever is killed during `sync` loses the batch at hand; the next call goes on there.
    """

    def __init__(self, path: str | Path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.db = apsw.Connection(str(path))
        self.db.set_busy_timeout(20_000)  # milliseconds, when two processes write
        self.db.enable_load_extension(True)
        self.db.load_extension(sqlite_vec.loadable_path())
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS passages "
            "(id INTEGER PRIMARY KEY, key TEXT UNIQUE, number, lecture, section, text, code, tokens BLOB)"
        )
        self.db.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS vectors USING vec0 "
            "(vector FLOAT[384] DISTANCE_METRIC=COSINE, lecture TEXT)"
        )

    def sync(self, corpus: list[Passage], embed=embed, batch: int = 64, bar=iter) -> tuple[int, int]:
        """Make the store hold these passages and no others; returns how many were embedded and how many removed.

        embed: texts -> vectors.  bar: wraps the batches, to show progress.
        """
        places = {}  # two equal passages are one
        for number, p in enumerate(corpus):
            places.setdefault(hashlib.sha256(f"{p.source}\n{p.text}".encode()).hexdigest(), number)
        there = dict(self.db.execute("SELECT key, id FROM passages"))
        gone = [(there[key],) for key in there.keys() - places.keys()]
        with self.db:  # a transaction: all of it, or nothing
            self.db.executemany("DELETE FROM passages WHERE id = ?", gone)
            self.db.executemany("DELETE FROM vectors WHERE rowid = ?", gone)
            self.db.executemany("UPDATE passages SET number = ? WHERE key = ?", [(n, key) for key, n in places.items()])
        todo = [(key, corpus[number]) for key, number in places.items() if key not in there]
        for at in bar(range(0, len(todo), batch)):
            some = todo[at : at + batch]
            vectors = embed([p.whole for _, p in some])
            with self.db:
                for (key, p), vector in zip(some, vectors, strict=True):
                    row = (key, places[key], p.lecture, p.section, p.text, p.code)
                    self.db.execute(
                        "INSERT OR IGNORE INTO passages (key, number, lecture, section, text, code) "
                        "VALUES (?, ?, ?, ?, ?, ?)",
                        row,
                    )
                    if not self.db.changes():  # another process was faster
                        continue
                    new = (self.db.last_insert_rowid(), vector.tobytes(), p.lecture)
                    self.db.execute("INSERT INTO vectors (rowid, vector, lecture) VALUES (?, ?, ?)", new)
        return len(todo), len(gone)

    def fill(self, encode, batch: int = 64, bar=iter) -> int:
        """Keep what `encode` makes of each passage that has nothing kept yet; returns how many that were.

        encode: texts -> int8 arrays (T, C), such as the token vectors of section 11.
        """
        todo = [(key, p) for key, p in self.passages("WHERE tokens IS NULL").items()]
        for at in bar(range(0, len(todo), batch)):
            some = todo[at : at + batch]
            rows = [(x.tobytes(), key) for x, (key, _) in zip(encode([p.whole for _, p in some]), some, strict=True)]
            with self.db:
                self.db.executemany("UPDATE passages SET tokens = ? WHERE id = ?", rows)
        return len(todo)

    def passages(self, some: str = "") -> dict[int, Passage]:
        """All passages by their id, in the order of the course."""
        rows = self.db.execute(f"SELECT id, lecture, section, text, code FROM passages {some} ORDER BY number")
        return {key: Passage(*rest, bool(code)) for key, *rest, code in rows}

    def vectors(self) -> dict[int, np.ndarray]:
        """All vectors (384,) by their passage's id."""
        return {key: np.frombuffer(v, np.float32) for key, v in self.db.execute("SELECT rowid, vector FROM vectors")}

    def tokens(self, ids: list[int], width: int = 384) -> list[np.ndarray]:
        """What `fill` kept of these passages: arrays (T, width) int8."""
        marks = ", ".join("?" * len(ids))
        kept = dict(self.db.execute(f"SELECT id, tokens FROM passages WHERE id IN ({marks})", ids))
        return [np.frombuffer(kept[key] or b"", np.int8).reshape(-1, width) for key in ids]

    def nearest(self, vector: np.ndarray, k: int = 50, lecture: str = "%") -> list[tuple[int, float]]:
        """The k passages of the largest cosine with a vector (384,), as (id, cosine).  lecture: only in this one."""
        some = "" if lecture == "%" else "AND lecture = ?"
        found = self.db.execute(
            f"SELECT rowid, distance FROM vectors WHERE vector MATCH ? AND k = ? {some} ORDER BY distance",
            (vector.tobytes(), k, *([lecture] if some else [])),
        )
        return [(number, 1 - distance) for number, distance in found]


def rrf(rankings: list[list[int]], k: int = 60) -> list[int]:
    """Fuse rankings, the best first: each gives 1 / (k + rank).  Source: Cormack, Clarke and Büttcher (2009)."""
    total: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, 1):
            total[item] = total.get(item, 0.0) + 1 / (k + rank)
    return sorted(total, key=lambda item: -total[item])


def standard(scores: np.ndarray) -> np.ndarray:
    """Scores with mean 0 and standard deviation 1 over all passages."""
    return (scores - scores.mean()) / max(scores.std(), 1e-9)


def autocut(scores: list[float], least: int = 1) -> int:
    """How many of these scores, the highest first, stand before the largest drop; `least` at least.

    The drop after the last one counts for nothing, and equal drops are cut at the first.
    """
    drops = -np.diff(np.asarray(scores, dtype=float))
    return least + int(drops[least - 1 :].argmax()) if len(drops) >= least else len(scores)


NO_ANSWER = "no answer"  # stands in place of a section, see section 16


class Asked(Passage):
    """A question that a section answers. It is searched as it stands, without its address.

    Where the lecture is "", it belongs to no section, and its section says whether the course answers it.
    """

    @property
    def whole(self) -> str:
        return self.text


def prepared(asked: dict[str, list[str]], told: list[tuple[str, bool]]) -> list[Asked]:
    """The questions to search among, {section: its questions}, and those that only tell whether there is an answer."""
    of_sections = [Asked(*section.split(" § ", 1), question) for section, some in asked.items() for question in some]
    return of_sections + [Asked("", "an answer" if yes else NO_ANSWER, question) for question, yes in told]


def best_of(scores: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """The largest of the scores (N,) in each group (N,), as (groups,); -1 for a group without any."""
    largest = np.full(groups, -1.0)
    np.maximum.at(largest, group, scores)
    return largest


@functools.cache
def _onnx(name: str, longest: int) -> tuple[onnxruntime.InferenceSession, Tokenizer]:
    folder = data.fetch(name)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(longest)
    tokenizer.enable_padding()
    return onnxruntime.InferenceSession(str(folder / "model.onnx"), options), tokenizer


def _batches(name: str, texts: list, longest: int, batch: int = 16):
    """Run an ONNX encoder on texts or pairs of texts, batches of like length: yields (places, encodings, outputs)."""
    session, tokenizer = _onnx(name, longest)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i][1]) if isinstance(texts[i], tuple) else len(texts[i]))
    for at in range(0, len(order), batch):
        rows = order[at : at + batch]
        read = tokenizer.encode_batch([texts[i] for i in rows])
        fields = (("input_ids", "ids"), ("attention_mask", "attention_mask"), ("token_type_ids", "type_ids"))
        yield rows, read, session.run(None, {to: np.array([getattr(e, of) for e in read]) for to, of in fields})[0]


def rerank(question: str, texts: list[str]) -> np.ndarray:
    """A cross-encoder's score for each text, (N,): the larger, the better it answers.  Fetches 73 MB once."""
    scores = np.zeros(len(texts))
    for rows, _, out in _batches("reranker", [(question, text) for text in texts], 320):
        scores[rows] = out[:, 0]
    return scores


def token_vectors(texts: list[str]) -> list[np.ndarray]:
    """A vector for each token but [CLS] and [SEP], (T, 384) int8, of length 127 and rounded.  Fetches 73 MB once."""
    vectors: list[np.ndarray] = [np.empty(0)] * len(texts)
    for rows, read, out in _batches("colbert", texts, 256):
        for i, encoded, x in zip(rows, read, out, strict=True):
            x = x[np.array(encoded.special_tokens_mask) == 0]  # (T, 384)
            vectors[i] = (127 * x / np.linalg.norm(x, axis=1, keepdims=True)).round().astype(np.int8)
    return vectors


def late_interaction(question: np.ndarray, passage: np.ndarray) -> float:
    """Sum over the question's tokens of the largest cosine with a token of the passage: (Q, C), (T, C) int8."""
    return float((question.astype(np.float32) @ passage.T.astype(np.float32)).max(1).sum()) / 127**2


def sentences(passage: Passage) -> list[str]:
    """The sentences of 5 to 60 words of a passage of prose; none of code."""
    found = [] if passage.code else re.split(r"(?<=[.?!])\s+", passage.text.replace("\n", " "))
    return [s.strip() for s in found if 5 <= len(s.split()) <= 60]


@dataclass(frozen=True)
class Hit:
    """A section that was found for a question, by its best passage."""

    passage: Passage
    score: float  # of the whole search: comparable within one question
    fits: float  # the cross-encoder's score: it depends on this question and this passage only


class Retriever:
    """The search of lecture 26: words, meaning and questions find sections, a cross-encoder sorts the first ten.

    store: the passages.  asked: a store of `Asked`.  keep: says of a passage whether to search it.  Raises
    data.DataError where nothing is left.
    """

    PAIR = 0.05  # the weight of the cross-encoder's score, chosen on dev questions

    def __init__(self, store: Store, asked: Store, keep: Callable[[Passage], bool] = lambda passage: True):
        kept = {key: p for key, p in store.passages().items() if keep(p)}
        if not kept:
            raise data.DataError("The index of the course is empty: `course ask` (or lecture 26) fills it.")
        self.passages, vectors = list(kept.values()), store.vectors()
        self.vectors = np.stack([vectors[key] for key in kept])  # (N, 384)
        number = {source: i for i, source in enumerate(dict.fromkeys(p.source for p in self.passages))}
        self.group = np.array([number[p.source] for p in self.passages])  # (N,): the section of each passage
        texts = [[source] for source in number]
        for p in self.passages:
            texts[number[p.source]].append(p.text)
        every, vectors = asked.passages(), asked.vectors()
        questions = {key: p for key, p in every.items() if p.source in number}
        for p in questions.values():
            texts[number[p.source]].append(p.text)
        self.asked_group = np.array([number[p.source] for p in questions.values()], int)
        self.asked_vectors = np.array([vectors[key] for key in questions]).reshape(
            -1, self.vectors.shape[1]
        )  # (M, 384)
        told = [key for key, p in every.items() if p.source in number or not p.lecture]
        self.told, self.told_vectors = [every[key].text for key in told], np.array([vectors[key] for key in told])
        self.has_answer = np.array([every[key].section != NO_ANSWER for key in told])  # (T,)
        self.bm25 = BM25([words("\n".join(parts)) for parts in texts])  # one text a section, its questions included

    def scores(self, question: str) -> tuple[np.ndarray, np.ndarray]:
        """The fast search: a score for each section (S,), and the cosine of each passage (N,)."""
        vector, sections = asked_vector(question), self.bm25.count
        cosines = self.vectors @ vector
        meaning = best_of(cosines, self.group, sections)
        nearest = best_of(self.asked_vectors @ vector, self.asked_group, sections)
        nearest = np.where(nearest > -1, nearest, meaning)  # a new section may have no questions yet
        return sum(map(standard, (self.bm25.scores(words(question)), meaning, nearest))), cosines

    def search(self, question: str, k: int = 5, first: int = 10, each: int = 2) -> list[Hit]:
        """The k best sections, the best first.  The cross-encoder reads `each` passages of the `first` sections."""
        score, cosines = self.scores(question)
        pairs = []  # (section, passage)
        for section in np.argsort(-score, kind="stable")[: max(first, k)]:
            own = np.flatnonzero(self.group == section)
            pairs += [(section, i) for i in own[np.argsort(-cosines[own], kind="stable")[:each]]]
        fits = rerank(question, [self.passages[i].whole for _, i in pairs])
        hits: dict[int, Hit] = {}
        for n in np.argsort(-fits, kind="stable"):  # a section speaks by its best passage
            section, i = pairs[n]
            total = float(score[section] + self.PAIR * fits[n])
            hits.setdefault(section, Hit(self.passages[i], total, float(fits[n])))
        return sorted(hits.values(), key=lambda hit: -hit.score)[:k]

    def strange(self, question: str) -> float:
        """The share of a question's words that stand nowhere in the course."""
        asked = set(words(question))
        return sum(word not in self.bm25.where for word in asked) / max(len(asked), 1)

    def answered(self, question: str, without: str = "") -> float:
        """Of all questions told, the share that the course answers, weighed by a softmax of 20 times their cosines.

        without: a question to leave out.  Without any questions 0.5.
        """
        if not self.told:
            return 0.5
        weights = np.exp(20 * (self.told_vectors @ asked_vector(question))) * [text != without for text in self.told]
        return float(weights[self.has_answer].sum() / weights.sum())


def support(sentence: str, quotes: list[str]) -> float:
    """How well quotes support a sentence: its largest cosine with one of them; 0 for a number that they do not have."""
    figures = {word for quote in quotes for word in words(quote)}
    if not quotes or any(word[0].isdigit() and word not in figures for word in words(sentence)):
        return 0.0
    return float((embed([sentence]) @ embed(quotes).T).max())


ORDERS = re.compile(
    r"\b(ignore|disregard|forget|override|bypass)\b.*\b(instruction|rule|prompt|previous|above|everything|question)"
    r"|\b(you (must|should|are) now|from now on|new (task|instruction|rule)s?"
    r"|(reply|respond|answer|end|begin) (only )?with"
    r"|say (only|exactly|that)|tell the (user|student|reader)|repeat after|as the (tutor|assistant)"
    r"|system (prompt|message|note))\b"
    r"|^\W*(system|assistant|user|admin|note to)\b.*:",
    re.I,
)


SYSTEM = "You are the tutor of a course on neural networks. Answer the question in one sentence, using only the notes."


class Tutor:
    """Answers questions about the course from its passages, with quotes and addresses, or says that it cannot.

    writer: a Writer, or a function that makes one when it is first needed; None leaves the summary out.
    orders: sentences with such a pattern are never shown to the model, nor quoted.
    """

    FITS, ANSWERED, STRANGE, LEAST = 0.15, 9.39, -8.03, 5.08  # the weights and the border of section 16
    NOTHING = "I find no answer to this in the course."

    def __init__(
        self, retriever: Retriever, writer: Writer | Callable[[], Writer] | None = None, orders: re.Pattern = ORDERS
    ):
        self.retriever, self.writer, self.orders = retriever, writer, orders

    def sure(self, question: str, hits: list[Hit]) -> bool:
        """Whether the course seems to have an answer, judging by what was found."""
        fits = max(h.fits for h in hits)
        answered, strange = self.retriever.answered(question), self.retriever.strange(question)
        return self.FITS * fits + self.ANSWERED * answered + self.STRANGE * strange >= self.LEAST

    def evidence(self, question: str, hits: list[Hit], n: int = 4) -> list[tuple[str, Passage, float]]:
        """The n sentences of the hits that answer best, the best first, each with its passage and the cross-encoder's
        score. Sentences that give orders are left out.
        """
        rows = [(s, h.passage) for h in hits for s in sentences(h.passage) if not self.orders.search(s)]
        if not rows:
            return []
        scores = rerank(question, [s for s, _ in rows])
        return [(*rows[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")[:n]]

    def answer(self, question: str) -> Iterator[str]:
        """Yield the answer in pieces: quotes, where to read on, then what the model makes of them, if it holds."""
        hits = self.retriever.search(question)
        if not self.sure(question, hits):
            yield self.NOTHING + " The nearest sections:\n"
            yield from (f"  {h.passage.source}\n" for h in hits[:3])
            return
        found = self.evidence(question, hits[:3])
        for sentence, passage, _ in found[: min(2, autocut([score for *_, score in found]))]:
            yield f"“{sentence}”\n  — {passage.source}\n"
        yield "Read on: " + "; ".join(h.passage.source for h in hits[:3]) + "\n"
        if self.writer and found:
            try:
                kept = " ".join(self.checked(self.draft(question, found), found))
            except data.DataError as missing:  # SmolLM2 is not here and cannot be fetched: the quotes stand
                self.writer, kept = None, ""
                yield f"(No summary: {missing})\n"
            if kept:
                yield f"In short (SmolLM2, checked against the quotes): {kept}\n"

    def draft(self, question: str, found: list[tuple[str, Passage, float]]) -> list[str]:
        """The whole sentences that the model writes from this evidence."""
        if callable(self.writer):
            self.writer = self.writer()
        asks = f"Notes: {' '.join(s for s, *_ in found)}\n\nQuestion: {question}"
        asks = asks.replace("<|", "< |")  # nothing that looks like the end of a turn
        said = "".join(self.writer.write(SYSTEM, asks, longest=48))
        return [s.strip() for s in re.split(r"(?<=[.?!])\s+", said) if s.strip()[-1:] in tuple(".?!")]

    def checked(self, said: list[str], found: list[tuple[str, Passage, float]], least: float = 0.6) -> list[str]:
        """Those sentences that the evidence supports."""
        quotes = [s for s, *_ in found]
        return [s for s in said if support(s, quotes) >= least]
