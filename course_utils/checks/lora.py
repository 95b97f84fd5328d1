"""The checks of exercises/20_sft_lora.ipynb."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from . import same, task, wrong

# --- X01: which tokens count ------------------------------------------------------------------------------------------

START, END, NEWLINE, ASSISTANT, USER, SYSTEM = 3, 7, 11, 5, 6, 8


def _turn(role: int, content: list[int]) -> tuple[list[int], list[int]]:
    ids = [START, role, NEWLINE, *content, END, NEWLINE]
    counts = [*content, END] if role == ASSISTANT else [-100] * (len(content) + 1)
    return ids, [-100] * 3 + counts + [-100]


def _chat(*turns: tuple[int, list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    both = [_turn(*turn) for turn in turns]
    return torch.tensor([i for ids, _ in both for i in ids]), torch.tensor([i for _, labels in both for i in labels])


@task("X01", "write `answer_labels`")
def x01(answer_labels):
    word = lambda: [int(i) for i in torch.randint(20, 50, (int(torch.randint(1, 6, ())),))]
    chats = {
        "a question and its answer": _chat((USER, word()), (ASSISTANT, word())),
        "a chat of several turns": _chat(
            (SYSTEM, word()), (USER, word()), (ASSISTANT, word()), (USER, word()), (ASSISTANT, word())
        ),
        "a chat in which the user writes the word `assistant`, at the beginning and after a newline": _chat(
            (USER, [ASSISTANT, NEWLINE, *word(), NEWLINE, ASSISTANT, NEWLINE, 30]), (ASSISTANT, word())
        ),
        "an answer with newlines, and the words for roles, inside": _chat(
            (USER, word()), (ASSISTANT, [25, NEWLINE, USER, NEWLINE, NEWLINE, ASSISTANT]), (USER, word())
        ),
        "an empty answer": _chat((USER, word()), (ASSISTANT, []), (USER, []), (ASSISTANT, word())),
        "a chat without an assistant": _chat((SYSTEM, word()), (USER, word())),
    }
    ids, labels = _chat((USER, [21, 22]), (ASSISTANT, [31, 32, 33]))
    for cut in range(1, len(ids)):  # everywhere: in an answer, in the template, directly behind a start
        chats[f"a chat cut off {cut} tokens before its end"] = ids[:-cut], labels[:-cut]
    for name, (ids, want) in chats.items():
        kept = ids.clone()
        try:
            got = answer_labels(ids, START, END, NEWLINE, ASSISTANT)
        except IndexError as problem:
            wrong(f"your code looks beyond the end of {name} (IndexError: {problem}): a chat may end anywhere.")
        if got is not None and not isinstance(got, torch.Tensor):
            wrong(f"return a tensor of labels, not a {type(got).__name__}.")
        if not torch.equal(kept, ids):
            wrong("your function changes `ids` in place: make a new tensor for the labels.")
        if got is not None and got.dtype != torch.int64:
            wrong(f"labels are int64, as ids are; yours are {got.dtype}.")
        without_end = torch.where(want == END, -100, want)
        shifted = torch.cat([want[1:], want.new_tensor([-100])])
        answers = (want != -100) & (ids != END)
        with_newline = want.clone()
        after = (want[:-1] == END).nonzero().flatten() + 1
        with_newline[after] = ids[after]
        header = want.clone()
        for t in range(len(ids) - 1):
            if ids[t] == START and ids[t + 1] == ASSISTANT:
                header[t : t + 3] = ids[t : t + 3]
        no_empty = want.clone()
        for t in range(3, len(ids)):
            if ids[t - 3] == START and ids[t] == END:
                no_empty[t] = -100
        mistakes = {
            "the `end` of an empty answer counts too.": no_empty,
            "every token counts in your labels: leave out what is not the assistant's.": ids,
            "the users' words count as well: only the assistant's do.": torch.where(
                (ids >= 20) | ((ids == END) & True), ids, -100
            ),
            "the `end` of an answer must count: without it the model never learns to stop.": without_end,
            "the labels are shifted by one: they stand where the ids stand, and the loss does the shift.": shifted,
            "the newline after `end` is the template's: it does not count.": with_newline,
            "the head of the assistant's turn (start, role, newline) is the template's: it does not count.": header,
            "what counts is marked by 1: put the id itself there.": torch.where(want != -100, 1, -100),
            "only the last answer counts in your labels: all turns of the assistant do.": _last_only(want),
            "what does not count is -100, not 0.": torch.where(want == -100, 0, want),
            "you swapped the two: the answers are left out and the rest counts.": torch.where(answers, -100, ids),
        }
        same(f"the labels of {name}", got, want, mistakes)
    ids, _ = _chat((USER, [40, 41]), (ASSISTANT, [42]))
    other = {START: 60, END: 61, NEWLINE: 62, ASSISTANT: 63}
    moved = torch.tensor([other.get(int(i), int(i)) for i in ids])
    want = torch.full_like(moved, -100)
    want[-3:-1] = moved[-3:-1]
    same("the labels with other ids for the four tokens", answer_labels(moved, 60, 61, 62, 63), want)
    return "every answer counts with its end, and nothing else"


def _last_only(want: torch.Tensor) -> torch.Tensor:
    ends = (want == END).nonzero().flatten().tolist()
    if len(ends) < 2:
        return want
    out = want.clone()
    out[: ends[-2] + 1] = -100
    return out


# --- X02: a LoRA layer ------------------------------------------------------------------------------------------------


@task("X02", "write `LowRank`")
def x02(LowRank):
    for shape, out, r, alpha, bias in (
        ((5, 12), 7, 3, 6.0, True),
        ((2, 3, 8), 8, 4, 1.0, False),
        ((16,), 20, 1, 5.0, True),
    ):
        linear = nn.Linear(shape[-1], out, bias=bias)
        plain = copy.deepcopy(linear)
        layer = LowRank(linear, r, alpha)
        named = dict(layer.named_parameters())
        for name, size in (("A", (r, shape[-1])), ("B", (out, r))):
            p = named.get(name)
            if p is None:
                wrong(f"there is no parameter called {name}: `self.{name} = nn.Parameter(...)`.")
            if tuple(p.shape) != size:
                wrong(f"{name} should have shape {size}, but it has {tuple(p.shape)}.")
            if not p.requires_grad:
                wrong(f"{name} is frozen: it is what we train.")
        if layer.B.abs().max() > 0:
            wrong("B must begin at zero: adding the adapter must not change the model.")
        if layer.A.abs().max() == 0:
            wrong("A is zero as well as B: then neither ever gets a gradient. A begins random.")
        if layer.A.unique().numel() == 1 and layer.A.numel() > 1:
            wrong("A has the same number everywhere: then all its rows learn the same. Draw it at random.")
        trained = [n for n, p in named.items() if p.requires_grad]
        if sorted(trained) != ["A", "B"]:
            wrong(f"only A and B are to be trained, but these have gradients too: {sorted(set(trained) - {'A', 'B'})}.")
        frozen = sum(p.numel() for p in layer.parameters() if not p.requires_grad)
        if frozen != sum(p.numel() for p in plain.parameters()):
            wrong("keep the linear layer as a part of yours (an attribute), so that it moves and saves with it.")
        x = torch.randn(shape)
        same("the output before training", layer(x), plain(x), rtol=1e-5, atol=1e-6)
        with torch.no_grad():
            layer.A.copy_(torch.randn(r, shape[-1]))
            layer.B.copy_(torch.randn(out, r))
        A, B, W = layer.A.detach().clone(), layer.B.detach().clone(), plain.weight.detach()
        kept, x = x.clone(), x.clone().requires_grad_()
        y = layer(x)
        if not torch.equal(kept, x.detach()):
            wrong("your layer changes its input in place.")
        change = kept @ (B @ A).T
        with torch.no_grad():
            base, scale = plain(kept), alpha / r
        mistakes = {
            "the change is missing: add (alpha / r) B A x.": base,
            "the factor is missing: the change is multiplied by alpha / r.": base + change,
            "the factor is alpha / r, not alpha.": base + alpha * change,
            "the factor is alpha / r, not r / alpha.": base + r / alpha * change,
            "the factor is alpha / r, not 1 / r.": base + change / r,
            "the frozen layer's output is missing: add the change to it.": scale * change,
            "the bias is lost: call the layer itself.": kept @ W.T + scale * change,
            "the factor multiplies the layer's output too: only the change gets it.": scale * (base + change),
        }
        same("the output", y, base + scale * change, mistakes, rtol=1e-4, atol=1e-5)
        g = torch.randn_like(base)
        (y * g).sum().backward()
        flat_x, flat_g = kept.reshape(-1, shape[-1]), g.reshape(-1, out)
        for name, got, want in (
            ("A", layer.A.grad, scale * B.T @ flat_g.T @ flat_x),
            ("B", layer.B.grad, scale * flat_g.T @ flat_x @ A.T),
        ):
            if got is None:
                wrong(f"{name} gets no gradient: is it used without `.data`, `.detach()` or `torch.no_grad()`?")
            same(f"the gradient of {name}", got, want, rtol=1e-4, atol=1e-4)
        if x.grad is None:
            wrong("the input gets no gradient: layers below could not be trained.")
        same("the gradient of x", x.grad.reshape(-1, shape[-1]), flat_g @ (W + scale * B @ A), rtol=1e-4, atol=1e-4)
    rows = [LowRank(nn.Linear(64, 8), 4, 8).A.detach() for _ in range(2)]
    if torch.equal(*rows):
        wrong("two layers begin with the same A: draw it anew for each, without a seed of its own.")
    return "output and gradients as they should be, and nothing else is trained"


# --- X03: merging -----------------------------------------------------------------------------------------------------


@task("X03", "write `merged`")
def x03(merged):
    for out, inside, r, alpha, dtype, bias in (
        (6, 9, 2, 8.0, torch.float32, True),
        (16, 16, 4, 2.0, torch.float32, False),
        (40, 32, 4, 16.0, torch.bfloat16, True),
        (64, 64, 8, 4.0, torch.bfloat16, False),
    ):
        linear = nn.Linear(inside, out, bias=bias).to(dtype)
        A, B = torch.randn(r, inside) * 0.05, torch.randn(out, r) * 0.05
        A.requires_grad_(), B.requires_grad_()
        kept = copy.deepcopy(linear), A.detach().clone(), B.detach().clone()
        new = merged(linear, A, B, alpha)
        if not torch.equal(kept[0].weight, linear.weight):
            wrong("the old layer's weight has changed: work on a copy.")
        if not (torch.equal(kept[1], A) and torch.equal(kept[2], B)):
            wrong("your function changes A or B in place.")
        if not isinstance(new, nn.Linear):
            wrong(f"return an nn.Linear, not {'None' if new is None else 'a ' + type(new).__name__}.")
        if tuple(new.weight.shape) != (out, inside) or (new.in_features, new.out_features) != (inside, out):
            wrong(f"the new layer should map {inside} features to {out}.")
        if new.weight.dtype != dtype:
            wrong(f"the new weight is {new.weight.dtype}; it should have the old one's dtype, {dtype}.")
        if new.weight.grad_fn is not None or not isinstance(new.weight, nn.Parameter):
            wrong("the new weight hangs on a graph: make it under torch.no_grad(), as a parameter.")
        if (new.bias is None) != (not bias):
            wrong("the bias is lost." if bias else "the old layer has no bias: the new one should have none.")
        if bias and not torch.equal(new.bias, linear.bias):
            wrong("the bias is another one: take it over as it is.")
        if new.weight.data_ptr() == linear.weight.data_ptr() or (
            bias and new.bias.data_ptr() == linear.bias.data_ptr()
        ):
            wrong("the new layer shares memory with the old one: copy it.")
        W, delta = kept[0].weight.detach(), (kept[2] @ kept[1])
        want = (W.float() + alpha / r * delta).to(dtype)
        half = (W + (alpha / r * delta).to(dtype)) if dtype != torch.float32 else None
        halves = (
            (W + (kept[2].to(dtype) @ kept[1].to(dtype)) * (alpha / r)).to(dtype) if dtype != torch.float32 else None
        )
        mistakes = {
            "that is the old weight: the change is missing.": W.float(),
            "the factor is missing: the change is multiplied by alpha / r.": (W.float() + delta).to(dtype).float(),
            "the factor is alpha / r, not alpha.": (W.float() + alpha * delta).to(dtype).float(),
            "the change is subtracted: add it.": (W.float() - alpha / r * delta).to(dtype).float(),
        }
        if out == inside:
            mistakes["the change is transposed: B A has the shape (out, in), as the weight has."] = (
                (W.float() + alpha / r * delta.T).to(dtype).float()
            )
        for rounded in (half, halves):
            if rounded is not None and not torch.equal(rounded, want):
                sentence = "the change is rounded to 16 bits before it is added: add in float32 and round once."
                if torch.equal(new.weight.detach(), rounded):
                    wrong(sentence)
        if dtype == torch.float32:
            same("the weight", new.weight.float(), want.float(), mistakes, rtol=1e-5, atol=1e-6)
        else:
            for sentence, value in mistakes.items():
                if torch.equal(new.weight.detach().float(), value):
                    wrong(sentence)
            off = (new.weight.detach().float() - want.float()).abs()
            step = want.float().abs() * 2**-7  # one step of bfloat16
            if (off > step + 1e-6).any():
                same("the weight", new.weight.float(), want.float(), rtol=2**-7, atol=1e-6)
            if (off > 0).float().mean() > 0.01:  # other orders of the float32 sum move a number here and there
                wrong("the weight is rounded more than once: add in float32, and round once at the end.")
    return "one plain layer, rounded once"


# --- X04: what seven billion take -------------------------------------------------------------------------------------


@task("X04", "write the three functions")
def x04(llama_parameters, lora_parameters, training_bytes):
    for L, C, I, V, r in ((32, 4096, 11008, 32000, 16), (2, 8, 24, 50, 3), (5, 64, 160, 1000, 1)):
        attention, inner = 4 * C * C, 3 * C * I
        want = L * (attention + inner + 2 * C) + 2 * V * C + C
        mistakes = {
            "the norms are missing: two of C in a block, and a last one.": L * (attention + inner) + 2 * V * C,
            "the last norm is missing.": want - C,
            "the table and the output layer are two: they are not tied here.": want - V * C,
            "the table and the output layer are missing.": want - 2 * V * C,
            "the feed-forward network has three matrices.": want - L * C * I,
            "a block has two norms.": want - L * C,
            "the blocks are missing their number: multiply by L.": (want - 2 * V * C - C) // L + 2 * V * C + C,
        }
        _whole("the parameters", llama_parameters(L, C, I, V), want, mistakes)
        lora = L * r * (4 * 2 * C + 3 * (C + I))
        mistakes = {
            "every matrix gets two factors: r x in and out x r.": L * r * (4 * C + 3 * C),
            "a square matrix gets two factors as well: r x C and C x r.": L * r * (4 * C + 3 * (C + I)),
            "the rank is missing.": lora // r,
            "that is for attention alone: LoRA is on all seven matrices.": L * r * 8 * C,
            "that is for the feed-forward network alone: LoRA is on all seven matrices.": L * r * 3 * (C + I),
            "the number of blocks is missing.": lora // L,
            "a factor has r rows or columns, not r times r.": L * r * r * 7,
            "A and B are two matrices, not their product.": L * (attention + inner),
        }
        _whole("the parameters of LoRA", lora_parameters(L, C, I, r), lora, mistakes)
        matrices = L * (attention + inner)
        bytes_ = {
            "full": 16 * want,
            "LoRA": 2 * want + 16 * lora,
            "QLoRA": 2 * (want - matrices) + matrices * 4.5 / 8 + 16 * lora,
        }
        wrongs = {
            "full": {
                "12 bytes a parameter are 4 too few: is the master copy missing, or one of AdamW's two means?": 12
                * want,
                "those are the weights alone.": 2 * want,
                "the adapter does not exist in full fine-tuning.": 16 * (want + lora),
            },
            "LoRA": {
                "a frozen parameter has no gradient: 2 bytes each.": 4 * want + 16 * lora,
                "the model itself is still there, in 2 bytes a parameter.": 16 * lora,
                "the adapter's gradients, means and master copy are missing.": 2 * (want + lora),
                "a parameter of the adapter takes 16 bytes, weight and all.": 2 * want + 14 * lora,
                "a parameter of the adapter takes 16 bytes, its weight included.": 2 * want + 18 * lora,
            },
            "QLoRA": {
                "4.5 bits are 4.5 / 8 bytes.": 2 * (want - matrices) + matrices * 4.5 + 16 * lora,
                "only the matrices of the blocks are in 4.5 bits: the rest keeps 2 bytes.": want * 4.5 / 8 + 16 * lora,
                "4.5 bits, not 4: the scales count.": 2 * (want - matrices) + matrices * 4 / 8 + 16 * lora,
                "the table, the output layer and the norms are missing.": matrices * 4.5 / 8 + 16 * lora,
                "the norms are no matrices: they keep their 2 bytes.": 2 * (want - matrices - 2 * C * L)
                + (matrices + 2 * C * L) * 4.5 / 8
                + 16 * lora,
            },
        }
        for method, value in bytes_.items():
            got = training_bytes(method, L, C, I, V, r)
            same(f"the bytes of {method}", got, float(value), wrongs[method], rtol=1e-9, atol=0)
    return "Llama-2-7B: 108 GB, 14 GB and 5 GB, before activations"


def _whole(what: str, got, want: int, mistakes: dict[str, int]) -> None:
    if got is None:
        wrong(f"{what} are None: does your function return its result?")
    if isinstance(got, float) and got != int(got):
        wrong(f"{what} must be a whole number.")
    for sentence, value in mistakes.items():
        if got == value != want:
            wrong(sentence)
    if got != want:
        wrong(f"{what} should be {want:,}, but you have {got:,}.")


# --- X05: how much rank -----------------------------------------------------------------------------------------------


@task("X05", "write `rank_sweep`")
def x05(rank_sweep):
    linear = nn.Linear(20, 16)
    u, v = torch.linalg.qr(torch.randn(16, 16))[0], torch.linalg.qr(torch.randn(20, 20))[0]
    sizes = torch.tensor([2.0, 1.6, 1.2, 0.8])
    change = (u[:, :4] * sizes) @ v[:4]  # of rank 4
    q = torch.linalg.qr(torch.randn(128, 21) - 0.5)[0]
    x = q[:, :20] * 128**0.5  # columns at right angles, of mean square 1: then Eckart and Young tell the best loss
    with torch.no_grad():
        y = linear(x) + x @ change.T
    kept = copy.deepcopy(linear), x.clone(), y.clone()
    ranks = [6, 1, 3, 2, 4]
    got = rank_sweep(linear, x, y, ranks, steps=500, rate=2e-2)
    if not torch.equal(kept[0].weight, linear.weight) or not torch.equal(kept[0].bias, linear.bias):
        wrong("`linear` has changed: adapt a copy, `copy.deepcopy(linear)`.")
    if not (linear.weight.requires_grad and linear.bias.requires_grad):
        wrong("`linear` is frozen now, for LoRALinear freezes the layer that it gets: give it a copy.")
    if not (torch.equal(kept[1], x) and torch.equal(kept[2], y)):
        wrong("your function changes x or y in place.")
    if not isinstance(got, dict) or list(sorted(got)) != sorted(ranks):
        wrong(f"return a dict with a loss for each of the ranks {ranks}.")
    for r in ranks:
        if isinstance(got[r], torch.Tensor):
            wrong("the losses are tensors: take `.item()`, so that they are numbers.")
    start = F.mse_loss(linear(x), y).item()
    for r in sorted(ranks):
        best = (sizes[r:] ** 2).sum().item() / 16
        if abs(got[r] - 16 * best) < 0.02 * best:
            wrong("that is the sum over the outputs: take the mean over all numbers of y.")
        if abs(got[r] - start) < 0.02 * start:
            wrong(
                f"rank {r} ends where it began, at a loss of {start:.3f}: are the factors given to the "
                "optimiser, and zero_grad, backward and step called?"
            )
        if got[r] < best * 0.98 - 1e-5:
            wrong(
                f"a loss of {got[r]:.4f} for rank {r} is less than is possible ({best:.4f}): does each "
                "rank begin with a fresh "
                "copy of `linear`, with the base frozen, and is it the mean squared error?"
            )
        if got[r] > best * 1.03 + 2e-3:
            wrong(
                f"rank {r} should come down to a loss of {best:.4f} in these steps, but ends at "
                f"{got[r]:.4f}: are rank, scale "
                "(alpha = 2 r), rate and steps as asked, and the loss taken after the last step?"
            )
    try:
        short = rank_sweep(linear, x, y, [2], steps=0)
    except UnboundLocalError as problem:
        wrong(f"with steps=0 your code stops ({problem}): compute the loss once more, after the loop.")
    if not isinstance(short, dict) or abs(short.get(2, -1.0) - start) > 1e-4 * start:
        wrong("with steps=0 nothing is trained, and the loss is the layer's own: use the argument `steps`.")
    slow = rank_sweep(linear, x, y, [4], steps=20, rate=1e-5)
    if abs(slow[4] - start) > 0.02 * start:
        wrong("with a tiny rate the loss hardly moves: use the argument `rate`.")
    many, rate = 32, 1e-3  # with a large rank the first step is nearly the same for every draw of A
    fall = start - sum(_first_losses(linear, x, y, many, 1, rate)) / 8
    ratio = (start - rank_sweep(linear, x, y, [many], steps=1, rate=rate)[many]) / fall
    if abs(ratio) < 1e-4:
        wrong("with steps=1 the loss is the one before the step: compute it once more, after the last step.")
    if not 0.7 < ratio < 1.4:
        wrong(
            f"in one step rank {many} comes down by {ratio:.2f} times what it should: "
            "Adam, and a scale of 2 (alpha = 2 r)?"
        )
    torch.manual_seed(5)
    first = rank_sweep(linear, x, y, [1, 2], steps=12, rate=1e-2)
    few = _first_losses(linear, x, y, 2, 12, 1e-2)
    low, high = min(few), max(few)
    if not low - 0.25 * (high - low) - 0.02 * start < first[2] < high + 0.25 * (high - low) + 0.02 * start:
        wrong(
            f"after 12 steps rank 2 should be at a loss of about {sum(few) / len(few):.2f}, but it "
            f"is at {first[2]:.2f}: Adam, "
            "alpha = 2 r, all of x in each step, and each rank with factors and an optimiser of its own?"
        )
    return "rank 4 is enough for a change of rank 4"


def _first_losses(linear, x, y, r: int, steps: int, rate: float) -> list[float]:
    """The loss after a few steps, for 8 draws of A."""
    found = []
    for _ in range(8):
        A = nn.Parameter(torch.randn(r, x.shape[1]) / x.shape[1] ** 0.5)
        B = nn.Parameter(torch.zeros(y.shape[1], r))
        optimizer = torch.optim.Adam([A, B], rate)
        for step in range(steps + 1):
            loss = F.mse_loss(linear(x).detach() + 2 * x @ A.T @ B.T, y)
            if step < steps:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        found.append(loss.item())
    return found


# --- X06: the mask of a packed row ------------------------------------------------------------------------------------


@task("X06", "write `packed_mask`")
def x06(packed_mask):
    for lengths, T in (([3, 2], 5), ([4, 1, 3], 11), ([6], 6), ([1, 1, 1], 4), ([], 3), ([7, 5, 2, 9], 30)):
        given = list(lengths)
        try:
            got = packed_mask(given, T)
        except ValueError as problem:
            wrong(f"{sum(lengths)} tokens fit into a row of {T}, but your function raises a ValueError: {problem}")
        if given != list(lengths):
            wrong("your function changes the list of lengths.")
        if not isinstance(got, tuple | list) or len(got) != 2:
            wrong("return two things, the mask and the positions.")
        mask, positions = got
        document = torch.full((T,), -1)
        want_positions, start = torch.zeros(T, dtype=torch.int64), 0
        for d, n in enumerate(lengths):
            document[start : start + n] = d
            want_positions[start : start + n] = torch.arange(n)
            start += n
        own = document[:, None] == document[None]
        causal = torch.ones(T, T, dtype=torch.bool).tril()
        real = (document >= 0)[:, None] & (document >= 0)[None]
        eye = torch.eye(T, dtype=torch.bool)
        want = own & causal & real | eye
        for name, tensor, dtype in (("the mask", mask, torch.bool), ("the positions", positions, torch.int64)):
            if isinstance(tensor, torch.Tensor) and tensor.dtype != dtype:
                wrong(f"{name} should be {dtype}, but yours is {tensor.dtype}.")
        mistakes = {
            "tokens see the documents before theirs: that is the plain causal mask.": causal,
            "tokens see what comes after them: within a document the mask is a triangle.": own & real | eye,
            "the mask is turned round: True is where a token may look.": ~want,
            "the mask is transposed: rows look, columns are seen.": want.T,
            "tokens do not see themselves.": want & ~eye,
            "padding sees nothing, and a softmax over nothing is not a number: let it see itself.": own & causal & real,
            "padding sees other padding: it sees itself alone.": own & causal,
        }
        if lengths:
            same(f"the mask of {lengths} in a row of {T}", mask, want, mistakes, rtol=0, atol=0)
        else:
            same(
                "the mask of a row of padding",
                mask,
                want,
                {list(mistakes)[5]: own & causal & real, list(mistakes)[6]: own & causal},
                rtol=0,
                atol=0,
            )
        same(
            f"the positions of {lengths} in a row of {T}",
            positions,
            want_positions,
            {
                "the positions run on: they begin at 0 in each document.": torch.arange(T),
                "the positions run on over the documents: they begin at 0 in each.": torch.where(
                    document >= 0, torch.arange(T), 0
                ),
                "the positions begin at 1: they begin at 0.": torch.where(document >= 0, want_positions + 1, 0),
                "the padding's positions run on: they are 0.": _run_on(document, want_positions),
            },
            rtol=0,
            atol=0,
        )
    try:
        packed_mask([3, 4], 6)
    except ValueError:
        return "documents keep to themselves"
    except Exception as other:
        wrong(f"seven tokens in a row of six should raise a ValueError, but raise {type(other).__name__}.")
    wrong("seven tokens do not fit into a row of six: raise a ValueError.")


def _run_on(document: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    out, padding = positions.clone(), document < 0
    out[padding] = torch.arange(int(padding.sum()))
    return out
