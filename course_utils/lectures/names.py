"""From notebooks/02_makemore_bigrams.ipynb, 1. The names; 3. Pairs of characters, in a tensor; 8. A data set of pairs.

Made by `course build` from the cells marked `#| export names`: edit sources/lectures/02_makemore_bigrams.py.
"""

import random
from collections.abc import Iterable
from pathlib import Path

import torch

from course_utils import data


def load_names(file: str | Path | None = None) -> list[str]:
    """32,257 given names in lower case, girls' by falling frequency, then boys'. They come with the course.

    file: a text file with one name a line, to use instead.  Raises `course_utils.data.DataError`.
    Source: US Social Security Administration, births of 2018.
    """
    return data.names(file)


class CharVocab:
    """Characters as numbers: `.` is 0 and marks both the start and the end of a word, the letters follow in order.

    words: whose characters to know.  chars: all of them, as one string.  len(vocab): how many there are (27 for the
    names).
    """

    def __init__(self, words: Iterable[str]):
        self.chars = "." + "".join(sorted(set("".join(words)) - {"."}))
        self.index = {char: i for i, char in enumerate(self.chars)}

    def __len__(self) -> int:
        return len(self.chars)

    def encode(self, text: str) -> list[int]:
        """The number of each character. Raises ValueError for a character that the vocabulary does not know."""
        try:
            return [self.index[char] for char in text]
        except KeyError as unknown:
            known = self.chars if len(self) < 100 else f"{self.chars[:97]}..."
            raise ValueError(f"{text!r:.60} holds {unknown}, but this vocabulary knows only {known}") from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text that these numbers stand for. Raises IndexError for a number that stands for nothing."""
        return "".join(self.chars[i] for i in ids)


LETTERS = CharVocab("abcdefghijklmnopqrstuvwxyz")


def build_dataset(words: list[str], block_size: int, vocab: CharVocab = LETTERS) -> tuple[torch.Tensor, torch.Tensor]:
    """Every character of every word (its end included), with the `block_size` characters before it.

    Returns X: (examples, block_size) and Y: (examples,), both int64; positions before a word's start hold 0, the dot.
    Raises ValueError for a character that the vocabulary does not know, for no words, or a block size below 1.
    """
    if block_size < 1:
        raise ValueError(f"a block size of {block_size} leaves nothing to predict from: choose 1 or more.")
    if not words:
        raise ValueError("there are no words to make examples of.")
    text = "".join("." * block_size + word + "." for word in words)
    ids = torch.tensor(vocab.encode(text))  # (characters,)
    windows = ids.unfold(0, block_size + 1, 1)  # (characters - block_size, block_size + 1): views, nothing is copied
    # A word of n characters takes n + 1 + block_size places; its first n + 1 windows are its examples.
    lengths = torch.tensor([len(word) + 1 for word in words])  # (words,)
    starts = torch.cumsum(lengths + block_size, 0) - lengths - block_size  # (words,)
    first_example = torch.cumsum(lengths, 0) - lengths  # (words,)
    shift = torch.repeat_interleave(starts - first_example, lengths)  # (examples,)
    examples = windows[torch.arange(len(shift)) + shift]  # (examples, block_size + 1)
    return examples[:, :-1].contiguous(), examples[:, -1].contiguous()


def split_words(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The words in three parts, 80 % to train on, 10 % to make choices on, 10 % to test on once.

    Shuffled by the recipe of the makemore lectures (Python's `random` with seed 42). The list itself stays as it is.
    """
    shuffled = list(words)
    random.Random(42).shuffle(shuffled)
    first, second = int(0.8 * len(words)), int(0.9 * len(words))
    return shuffled[:first], shuffled[first:second], shuffled[second:]
