"""From notebooks/20_sft_lora.ipynb, 2. The chat template; 3. The loss counts the answer only; 5. Padding, and packing.

Made by `course build` from the cells marked `#| export chat`: edit sources/lectures/20_sft_lora.py.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from course_utils.lectures.kv_cache import KVCache

LEFT_OUT = -100  # the label of a token that does not count, as F.cross_entropy has it


def chatml(messages: list[dict[str, str]], ask: bool = False) -> str:
    """Turns of a chat, {"role": "user", "content": "..."}, as one text in ChatML.

    ask: end with the beginning of the assistant's turn.  Raises ValueError where a message holds a special token: who
    could write those would speak for the assistant.
    """
    for message in messages:
        if "<|im_start|>" in message["content"] or "<|im_end|>" in message["content"]:
            raise ValueError("a message holds <|im_start|> or <|im_end|>: take these out before it goes to the model.")
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return text + "<|im_start|>assistant\n" * ask


def encode_chat(encode: Callable[[str], list[int]], messages: list[dict[str, str]]) -> tuple[list[int], list[int]]:
    """A chat as ids, and as labels: the same ids where the assistant speaks (its <|im_end|> included), else LEFT_OUT.

    Each piece is encoded by itself, so that an answer's first token cannot melt into the template's last one, which
    stands before the model when it is asked.
    """
    ids, labels = [], []
    for message in messages:
        answer = message["role"] == "assistant"
        head, rest = chatml([message]).split("\n", 1)
        for piece, counts in ((head + "\n", False), (rest[:-1], answer), ("\n", False)):
            new = encode(piece)
            ids += new
            labels += new if counts else [LEFT_OUT] * len(new)
    return ids, labels


def answer_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean loss in nats over the tokens that count: logits (B, T, V), labels (B, T) as encode_chat has them.

    The logits at t are compared with the label at t + 1.
    """
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=LEFT_OUT)


def collate(examples: list[tuple[list[int], list[int]]], pad: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Chats of unequal length as a rectangle, padded on the right: ids and labels, (B, T) each.

    examples: as encode_chat gives them.  pad: the id to fill with; its label is LEFT_OUT.
    """
    longest = max(len(ids) for ids, _ in examples)
    fill = lambda row, value: row + [value] * (longest - len(row))
    ids = torch.tensor([fill(ids, pad) for ids, _ in examples])
    return ids, torch.tensor([fill(labels, LEFT_OUT) for _, labels in examples])


def pack(
    examples: list[tuple[list[int], list[int]]], length: int, pad: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Chats side by side in rows of `length`, each into the first row with room: ids, labels, document, (B, T) each.

    document: which chat of its row a token belongs to, from 0; -1 for padding.  Longest first, which wastes less.
    Raises ValueError for a chat longer than a row.
    """
    rows: list[list[tuple[list[int], list[int]]]] = []
    for example in sorted(examples, key=lambda example: -len(example[0])):
        if len(example[0]) > length:
            raise ValueError(
                f"a chat of {len(example[0])} tokens does not fit into rows of {length}: take longer rows."
            )
        row = next((row for row in rows if sum(len(ids) for ids, _ in row) + len(example[0]) <= length), None)
        if row is None:
            rows.append(row := [])
        row.append(example)
    ids, labels = torch.full((len(rows), length), pad), torch.full((len(rows), length), LEFT_OUT)
    document = torch.full((len(rows), length), -1)
    for b, row in enumerate(rows):
        end = 0
        for number, (some_ids, some_labels) in enumerate(row):
            place = slice(end, end := end + len(some_ids))
            ids[b, place], labels[b, place] = torch.tensor(some_ids), torch.tensor(some_labels)
            document[b, place] = number
    return ids, labels, document


class Packed(KVCache):
    """What lets a model read packed rows: tokens see their own document only, and its positions begin at 0.

    document: (B, T), as `pack` gives it. For one forward of ids (B, T); nothing is cached for later.
    """

    def __init__(self, document: torch.Tensor):
        super().__init__()
        self.document = document

    def positions(self, idx: torch.Tensor) -> torch.Tensor:
        place = torch.arange(idx.shape[1], device=idx.device)  # (T,)
        new = F.pad(self.document[:, 1:] != self.document[:, :-1], (1, 0))  # (B, T): a document begins here
        return place - (place * new).cummax(1).values  # (B, T)

    def mask(self, idx: torch.Tensor) -> torch.Tensor:
        same = self.document[:, :, None] == self.document[:, None]  # (B, T, T)
        return (same & torch.ones_like(same[0]).tril())[:, None]  # (B, 1, T, T)
