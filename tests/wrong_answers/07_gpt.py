# Wrong answers to exercises/07_gpt.ipynb, each to be rejected in the words of its header.

# %% ex1 | cuts the time axis in pieces
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        hs = C // self.n_head
        q, k, v = (t.reshape(B, self.n_head, T, hs) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / hs**0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | merged wrongly
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        hs = C // self.n_head
        q, k, v = (t.view(B, T, self.n_head, hs).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / hs**0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.reshape(B, T, C))


# %% ex1 | cut them with (nh, hs)
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        hs = C // self.n_head
        q, k, v = (t.view(B, T, hs, self.n_head).permute(0, 3, 1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / hs**0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | one head after another
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        hs = C // self.n_head
        q, k, v = self.qkv(x).view(B, T, self.n_head, 3 * hs).transpose(1, 2).split(hs, -1)
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / hs**0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | divided by √C
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / C**0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | not scaled
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1)).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | over the queries
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-2) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | mask comes after the softmax
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
        y = weights.tril() @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | exp(0) is 1
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).tril().softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(B, T, C))


# %% ex1 | hear the future
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | hears itself too
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool))
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | `view` refused
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).view(B, T, C))


# %% ex1 | projection `proj` is missing
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return y.transpose(1, 2).reshape(B, T, C)


# %% ex1 | fused call does all
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | loop over the heads
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        hs, out = C // self.n_head, []
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        for q, k, v in zip(*(t.split(hs, -1) for t in self.qkv(x).split(C, -1))):
            out.append((q @ k.transpose(-2, -1) / hs**0.5).masked_fill(future, float("-inf")).softmax(-1) @ v)
        return self.proj(torch.cat(out, -1))


# %% ex1 | is None
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | leave the numbers' type
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C)).float()


# %% ex1 | is off by up to
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        return torch.zeros_like(x)


# %% ex1 | no gradient reaches qkv.weight
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).detach().split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 1)
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex2a | reverse it
def spell_sum(a, b, digits=3):
    return f"{a:0{digits}}+{b:0{digits}}=", f"{a + b:0{digits + 1}}"


# %% ex2a | before you reverse it
def spell_sum(a, b, digits=3):
    return f"{a:0{digits}}+{b:0{digits}}=", str(a + b)[::-1]


# %% ex2a | stand at the small end
def spell_sum(a, b, digits=3):
    return f"{a:0{digits}}+{b:0{digits}}=", str(a + b)[::-1].zfill(digits + 1)


# %% ex2a | one digit more
def spell_sum(a, b, digits=3):
    return f"{a:0{digits}}+{b:0{digits}}=", f"{a + b:0{digits}}"[::-1]


# %% ex2a | use the argument `digits`
def spell_sum(a, b, digits=3):
    return f"{a:03}+{b:03}=", f"{a + b:04}"[::-1]


# %% ex2a | fill up the numbers with zeros
def spell_sum(a, b, digits=3):
    return f"{a}+{b}=", f"{a + b:0{digits + 1}}"[::-1]


# %% ex2a | are not reversed
def spell_sum(a, b, digits=3):
    return f"{a:0{digits}}"[::-1] + "+" + f"{b:0{digits}}"[::-1] + "=", f"{a + b:0{digits + 1}}"[::-1]


# %% ex2a | should be two texts
def spell_sum(a, b, digits=3):
    return f"{a:0{digits}}+{b:0{digits}}=" + f"{a + b:0{digits + 1}}"[::-1]


# %% ex2a | carries are missing
def spell_sum(a, b, digits=3):
    A, B = f"{a:0{digits}}", f"{b:0{digits}}"
    return f"{A}+{B}=", "".join(str((int(p) + int(q)) % 10) for p, q in zip(A[::-1], B[::-1])) + "0"


# %% ex2b | y is not masked
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs)
    rows = torch.zeros(len(pairs), T, dtype=torch.int64)
    for n, (q, a) in enumerate(pairs):
        rows[n, : len(q + a)] = torch.tensor([chars.index(c) for c in q + a])
    x, y = rows[:, :-1], rows[:, 1:].clone()
    for n, (q, a) in enumerate(pairs):
        y[n, len(q + a) - 1 :] = -100
    return x, y


# %% ex2b | neither the question nor the filling
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs)
    rows = torch.zeros(len(pairs), T, dtype=torch.int64)
    for n, (q, a) in enumerate(pairs):
        rows[n, : len(q + a)] = torch.tensor([chars.index(c) for c in q + a])
    return rows[:, :-1], rows[:, 1:]


# %% ex2b | filling at the end of short lines is graded
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs)
    rows = torch.zeros(len(pairs), T, dtype=torch.int64)
    for n, (q, a) in enumerate(pairs):
        rows[n, : len(q + a)] = torch.tensor([chars.index(c) for c in q + a])
    y = rows[:, 1:].clone()
    for n, (q, a) in enumerate(pairs):
        y[n, : len(q) - 1] = -100
    return rows[:, :-1], y


# %% ex2b | it is guessed at the `=`
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs) - 1
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([chars.index(c) for c in q + a])
        x[n, : len(ids) - 1] = ids[:-1]
        y[n, len(q) : len(ids) - 1] = ids[len(q) + 1 :]
    return x, y


# %% ex2b | y is not shifted
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs)
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([chars.index(c) for c in q + a])
        x[n, : len(ids)] = ids
        y[n, len(q) : len(ids)] = ids[len(q) :]
    return x[:, :-1], y[:, :-1]


# %% ex2b | one column too wide
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs)
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([chars.index(c) for c in q + a])
        x[n, : len(ids)] = ids
        y[n, len(q) - 1 : len(ids) - 1] = ids[len(q) :]
    return x, y


# %% ex2b | each question has its own length
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs) - 1
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([chars.index(c) for c in q + a])
        x[n, : len(ids) - 1] = ids[:-1]
        y[n, : len(ids) - 1] = ids[1:]
    y[:, : len(pairs[0][0]) - 1] = -100
    return x, y


# %% ex2b | filled up on the left
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs) - 1
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([chars.index(c) for c in q + a])
        x[n, T - len(ids) + 1 :] = ids[:-1]
        y[n, len(q) - 1 : len(ids) - 1] = ids[len(q) :]
    return x, y


# %% ex2b | not 0
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs) - 1
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.zeros(len(pairs), T, dtype=torch.int64)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([chars.index(c) for c in q + a])
        x[n, : len(ids) - 1] = ids[:-1]
        y[n, len(q) - 1 : len(ids) - 1] = ids[len(q) :]
    return x, y


# %% ex2b | should be int64
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs) - 1
    x, y = torch.zeros(len(pairs), T), torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([chars.index(c) for c in q + a])
        x[n, : len(ids) - 1] = ids[:-1].float()
        y[n, len(q) - 1 : len(ids) - 1] = ids[len(q) :]
    return x, y


# %% ex2b | x holds
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs) - 1
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([chars.index(c) for c in q + a])
        x[n, : len(q)] = ids[: len(q)]
        y[n, len(q) - 1 : len(ids) - 1] = ids[len(q) :]
    return x, y


# %% ex2b | use the argument `chars`
def examples(pairs, chars):
    T = max(len(q + a) for q, a in pairs) - 1
    x, y = torch.zeros(len(pairs), T, dtype=torch.int64), torch.full((len(pairs), T), -100)
    for n, (q, a) in enumerate(pairs):
        ids = torch.tensor([CHARS.index(c) for c in q + a])
        x[n, : len(ids) - 1] = ids[:-1]
        y[n, len(q) - 1 : len(ids) - 1] = ids[len(q) :]
    return x, y


# %% ex2c | begin with the questions
def answers(model, questions, length, chars):
    out = []
    for q in questions:
        ids = model.generate(torch.tensor([[chars.index(c) for c in q]]), length, temperature=0)[0]
        out.append("".join(chars[i] for i in ids.tolist()))
    return out


# %% ex2c | likeliest character each time
def answers(model, questions, length, chars):
    out = []
    for q in questions:
        ids = model.generate(torch.tensor([[chars.index(c) for c in q]]), length)[0, len(q) :]
        out.append("".join(chars[i] for i in ids.tolist()))
    return out


# %% ex2c | not in the order of the questions
def answers(model, questions, length, chars):
    out = []
    for size in sorted({len(q) for q in questions}):
        idx = torch.tensor([[chars.index(c) for c in q] for q in questions if len(q) == size])
        ids = model.generate(idx, length, temperature=0)[:, size:]
        out += ["".join(chars[i] for i in row) for row in ids.tolist()]
    return out


# %% ex2c | begins with none of the questions
def answers(model, questions, length, chars):
    size = max(len(q) for q in questions)
    idx = torch.tensor([[chars.index(c) for c in q.rjust(size)] for q in questions])
    ids = model.generate(idx, length, temperature=0)[:, size:]
    return ["".join(chars[i] for i in row) for row in ids.tolist()]


# %% ex2c | questions of one length into one batch
def answers(model, questions, length, chars):
    out = []
    for q in questions:
        ids = model.generate(torch.tensor([[chars.index(c) for c in q]]), length, temperature=0)[0, len(q) :]
        out.append("".join(chars[i] for i in ids.tolist()))
    return out


# %% ex2c | share of right characters
def exact_accuracy(model, pairs, chars):
    hits = []
    for q, a in pairs:
        text = answers(model, [q], len(a), chars)[0]
        hits += [c == d for c, d in zip(text, a)]
    return sum(hits) / len(hits)


# %% ex2c | number of right problems
def exact_accuracy(model, pairs, chars):
    return float(sum(answers(model, [q], len(a), chars)[0] == a for q, a in pairs))


# %% ex2c | in per cent
def exact_accuracy(model, pairs, chars):
    return 100 * sum(answers(model, [q], len(a), chars)[0] == a for q, a in pairs) / len(pairs)


# %% ex2c | writes on behind the end
def exact_accuracy(model, pairs, chars):
    length = max(len(a) for _, a in pairs)
    texts = answers(model, [q for q, _ in pairs], length, chars)
    return sum(text == a for text, (_, a) in zip(texts, pairs)) / len(pairs)


# %% ex2c | last character only
def exact_accuracy(model, pairs, chars):
    return sum(answers(model, [q], len(a), chars)[0][-1] == a[-1] for q, a in pairs) / len(pairs)


# %% ex2c | returned None
def exact_accuracy(model, pairs, chars):
    print(sum(answers(model, [q], len(a), chars)[0] == a for q, a in pairs) / len(pairs))


# %% ex2d | should return the model
def train_adder(problems, steps):
    x, y = examples([spell_sum(a, b) for a, b in problems], CHARS)
    model = GPT(GPTConfig(len(CHARS), block_size=11, n_layer=1, n_head=2, n_embd=16))
    return fit(model, lambda: (x[:32], y[:32]), 3)


# %% ex2d | was it trained
def train_adder(problems, steps):
    torch.manual_seed(0)
    return GPT(GPTConfig(len(CHARS), block_size=11, n_layer=2, n_head=2, n_embd=32))


# %% ex2d | By place, units first
def train_adder(problems, steps):
    x, y = examples([spell_sum(a, b) for a, b in problems], CHARS)
    torch.manual_seed(0)
    model = GPT(GPTConfig(len(CHARS), block_size=11, n_layer=2, n_head=2, n_embd=32))
    g = torch.Generator().manual_seed(0)

    def next_batch():
        rows = torch.randint(len(x), (128,), generator=g)
        return x[rows], y[rows]

    fit(model, next_batch, 200)
    return model


# %% ex2d | highest digit first
def train_adder(problems, steps):
    x, y = examples([(q, a[::-1]) for q, a in (spell_sum(a, b) for a, b in problems)], CHARS)
    torch.manual_seed(0)
    model = GPT(GPTConfig(len(CHARS), block_size=11, n_layer=2, n_head=2, n_embd=32))
    g = torch.Generator().manual_seed(0)

    def next_batch():
        rows = torch.randint(len(x), (128,), generator=g)
        return x[rows], y[rows]

    fit(model, next_batch, 200)
    return model


# %% ex2d | repeats the character that it reads
def train_adder(problems, steps):
    x, _ = examples([spell_sum(a, b) for a, b in problems], CHARS)
    torch.manual_seed(0)
    model = GPT(GPTConfig(len(CHARS), block_size=11, n_layer=2, n_head=2, n_embd=32))
    g = torch.Generator().manual_seed(0)

    def next_batch():
        rows = torch.randint(len(x), (64,), generator=g)
        return x[rows], x[rows]

    fit(model, next_batch, 60)
    return model


# %% ex2d | block_size is 7
def train_adder(problems, steps):
    return GPT(GPTConfig(len(CHARS), block_size=7, n_layer=1, n_head=2, n_embd=16))


# %% ex2d | CHARS has 18
def train_adder(problems, steps):
    return GPT(GPTConfig(12, block_size=11, n_layer=1, n_head=2, n_embd=16))


# %% ex2e | reverse the digits
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op]
    return f"{a:02}{op}{b:02}=", ("-" if r < 0 else "+") + f"{abs(r):04}"


# %% ex2e | the sign stands first
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op]
    return f"{a:02}{op}{b:02}=", (("-" if r < 0 else "+") + f"{abs(r):04}")[::-1]


# %% ex2e | divides by zero
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[op]
    return f"{a:02}{op}{b:02}=", ("-" if r < 0 else "+") + f"{abs(r):04}"[::-1]


# %% ex2e | took one of the four places
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op]
    return f"{a:02}{op}{b:02}=", ("-" if r < 0 else "+") + f"{r:04}"[::-1]


# %% ex2e | the sign is missing
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op]
    return f"{a:02}{op}{b:02}=", f"{abs(r):04}"[::-1]


# %% ex2e | the difference is negative
def spell(a, op, b):
    r = {"+": a + b, "-": abs(a - b), "*": a * b, "/": a // max(b, 1)}[op]
    return f"{a:02}{op}{b:02}=", "+" + f"{r:04}"[::-1]


# %% ex2e | the quotient is rounded down
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": round(a / max(b, 1))}[op]
    return f"{a:02}{op}{b:02}=", ("-" if r < 0 else "+") + f"{abs(r):04}"[::-1]


# %% ex2e | that is the remainder
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": a % max(b, 1)}[op]
    return f"{a:02}{op}{b:02}=", ("-" if r < 0 else "+") + f"{abs(r):04}"[::-1]


# %% ex2e | zero has a `+`
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op]
    return f"{a:02}{op}{b:02}=", ("+" if r > 0 else "-") + f"{abs(r):04}"[::-1]


# %% ex2e | both operands have two digits
def spell(a, op, b):
    r = {"+": a + b, "-": a - b, "*": a * b, "/": a // max(b, 1)}[op]
    return f"{a}{op}{b}=", ("-" if r < 0 else "+") + f"{abs(r):04}"[::-1]


# %% ex2f | yours are not reversed
def spell_steps(a, op, b):
    return f"{a * (b % 10):03},{a * (b // 10):03};" if op == "*" else ""


# %% ex2f | not times ten
def spell_steps(a, op, b):
    if op == "*":
        return f"{a * (b % 10):03}"[::-1] + "," + f"{a * (b // 10) * 10 % 1000:03}"[::-1] + ";"
    return ""


# %% ex2f | two groups of three digits
def spell_steps(a, op, b):
    if op == "*":
        return f"{a * (b % 10):03}"[::-1] + "," + f"{a * (b - b % 10):03}"[::-1] + ";"
    return ""


# %% ex2f | units of b come first
def spell_steps(a, op, b):
    if op == "*":
        return f"{a * (b // 10):03}"[::-1] + "," + f"{a * (b % 10):03}"[::-1] + ";"
    return ""


# %% ex2f | the digits of *b*
def spell_steps(a, op, b):
    if op == "*":
        return f"{b * (a % 10):03}"[::-1] + "," + f"{b * (a // 10):03}"[::-1] + ";"
    return ""


# %% ex2f | two groups of three digits
def spell_steps(a, op, b):
    return f"{a * (b % 10):03}"[::-1] + "," + f"{a * (b // 10):03}"[::-1] if op == "*" else ""


# %% ex2f | bring the digit down
def spell_steps(a, op, b):
    if op == "*":
        return f"{a * (b % 10):03}"[::-1] + "," + f"{a * (b // 10):03}"[::-1] + ";"
    if op == "/":
        (p, r), (q, s) = divmod(a // 10, b), divmod(a % 10, b)
        return f"{p}{r:02},{q}{s:02};"
    return ""


# %% ex2f | groups of a division are not reversed
def spell_steps(a, op, b):
    if op == "*":
        return f"{a * (b % 10):03}"[::-1] + "," + f"{a * (b // 10):03}"[::-1] + ";"
    if op == "/":
        p, r = divmod(a // 10, b)
        q, s = divmod(10 * r + a % 10, b)
        return f"{p}{r:02}"[::-1] + "," + f"{q}{s:02}"[::-1] + ";"
    return ""


# %% ex2f | quotient's digit comes first
def spell_steps(a, op, b):
    if op == "*":
        return f"{a * (b % 10):03}"[::-1] + "," + f"{a * (b // 10):03}"[::-1] + ";"
    if op == "/":
        p, r = divmod(a // 10, b)
        q, s = divmod(10 * r + a % 10, b)
        return f"{r:02}{p},{s:02}{q};"
    return ""


# %% ex2f | is None
def spell_steps(a, op, b):
    if op == "*":
        return f"{a * (b % 10):03}"[::-1] + "," + f"{a * (b // 10):03}"[::-1] + ";"


# %% ex2f | sums and differences have no steps
def spell_steps(a, op, b):
    if op == "*":
        return f"{a * (b % 10):03}"[::-1] + "," + f"{a * (b // 10):03}"[::-1] + ";"
    p, r = divmod(a // 10, max(b, 1))
    q, s = divmod(10 * r + a % 10, max(b, 1))
    return f"{p}{r:02},{q}{s:02};"  # also where no division is asked for


# %% ex3a | lacks characters of the large text
def prepare(large, small):
    chars = "".join(sorted(set(small)))
    ids = [torch.tensor([chars.find(c) for c in t]) for t in (large, small)]
    cut = int(0.9 * len(small))
    return chars, ids[0], ids[1][:cut], ids[1][cut:]


# %% ex3a | occurs in the validation part only
def prepare(large, small):
    cut = int(0.9 * len(small))
    chars = "".join(sorted(set(large + small[:cut])))
    ids = [torch.tensor([chars.find(c) for c in t]) for t in (large, small)]
    return chars, ids[0], ids[1][:cut], ids[1][cut:]


# %% ex3a | not sorted
def prepare(large, small):
    chars = "".join(reversed(sorted(set(large + small))))
    ids = [torch.tensor([chars.index(c) for c in t]) for t in (large, small)]
    cut = int(0.9 * len(small))
    return chars, ids[0], ids[1][:cut], ids[1][cut:]


# %% ex3a | first tenth of the small text
def prepare(large, small):
    chars = "".join(sorted(set(large + small)))
    ids = [torch.tensor([chars.index(c) for c in t]) for t in (large, small)]
    cut = int(0.9 * len(small))
    return chars, ids[0], ids[1][:cut], ids[1][: len(small) - cut]


# %% ex3a | the validation part with it
def prepare(large, small):
    chars = "".join(sorted(set(large + small)))
    ids = [torch.tensor([chars.index(c) for c in t]) for t in (large, small)]
    cut = int(0.9 * len(small))
    return chars, ids[0], ids[1], ids[1][cut:]


# %% ex3a | read with the large text
def prepare(large, small):
    chars = "".join(sorted(set(large + small)))
    ids = [torch.tensor([chars.index(c) for c in t]) for t in (large + small, small)]
    cut = int(0.9 * len(small))
    return chars, ids[0], ids[1][:cut], ids[1][cut:]


# %% ex3a | nine tenths of the large text
def prepare(large, small):
    chars = "".join(sorted(set(large + small)))
    ids = [torch.tensor([chars.index(c) for c in t]) for t in (large, small)]
    cut = int(0.9 * len(small))
    return chars, ids[0][: int(0.9 * len(large))], ids[1][:cut], ids[1][cut:]


# %% ex3a | should be one text
def prepare(large, small):
    chars = sorted(set(large + small))
    ids = [torch.tensor([chars.index(c) for c in t]) for t in (large, small)]
    cut = int(0.9 * len(small))
    return chars, ids[0], ids[1][:cut], ids[1][cut:]


# %% ex3b | exactly `switch` calls
def two_phases(first, second, switch, batch_size, block_size, generator):
    calls = 0

    def next_batch():
        nonlocal calls
        ids = first if calls <= switch else second
        calls += 1
        return get_batch(ids, batch_size, block_size, generator)

    return next_batch


# %% ex3b | count one too early
def two_phases(first, second, switch, batch_size, block_size, generator):
    calls = 0

    def next_batch():
        nonlocal calls
        calls += 1
        return get_batch(first if calls < switch else second, batch_size, block_size, generator)

    return next_batch


# %% ex3b | the first `switch` calls get the first
def two_phases(first, second, switch, batch_size, block_size, generator):
    global calls
    calls = 0

    def next_batch():
        global calls
        ids = first if calls < switch else second
        calls += 1
        return get_batch(ids, batch_size, block_size, generator)

    return next_batch


# %% ex3b | without calling it
def two_phases(first, second, switch, batch_size, block_size, generator):
    return get_batch(first if switch else second, batch_size, block_size, generator)


# %% ex3b | not drawn by the `generator`
def two_phases(first, second, switch, batch_size, block_size, generator):
    calls = 0

    def next_batch():
        nonlocal calls
        calls += 1
        return get_batch(first if calls <= switch else second, batch_size, block_size)

    return next_batch


# %% ex3b | very first call
def two_phases(first, second, switch, batch_size, block_size, generator):
    calls = 0

    def next_batch():
        nonlocal calls
        calls += 1
        ids = first if calls <= max(switch, 1) else second
        return get_batch(ids, batch_size, block_size, generator)

    return next_batch


# %% ex3b | should have shape
def two_phases(first, second, switch, batch_size, block_size, generator):
    calls = 0

    def next_batch():
        nonlocal calls
        calls += 1
        return get_batch(first if calls <= switch else second, 16, 32, generator)

    return next_batch


# %% ex4a | that is LayerNorm
class RMSNorm(RMSNorm):
    def forward(self, x):
        return F.layer_norm(x, (x.shape[-1],), self.weight, None, self.eps)


# %% ex4a | divided by the standard deviation
class RMSNorm(RMSNorm):
    def forward(self, x):
        return x / (x.var(-1, keepdim=True, unbiased=False) + self.eps).sqrt() * self.weight


# %% ex4a | weight is missing
class RMSNorm(RMSNorm):
    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt()


# %% ex4a | outside of the root
class RMSNorm(RMSNorm):
    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True).sqrt() + self.eps) * self.weight


# %% ex4a | root *mean* square
class RMSNorm(RMSNorm):
    def forward(self, x):
        return x / (x.square().sum(-1, keepdim=True) + self.eps).sqrt() * self.weight


# %% ex4a | eps is missing
class RMSNorm(RMSNorm):
    def forward(self, x):
        return x / x.square().mean(-1, keepdim=True).sqrt() * self.weight


# %% ex4a | yours is fixed
class RMSNorm(RMSNorm):
    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * self.weight


# %% ex4a | normalised over all numbers
class RMSNorm(RMSNorm):
    def forward(self, x):
        return x / (x.square().mean() + self.eps).sqrt() * self.weight


# %% ex4a | over the first dimension
class RMSNorm(RMSNorm):
    def forward(self, x):
        return x / (x.square().mean(0, keepdim=True) + self.eps).sqrt() * self.weight


# %% ex4a | rms_norm
class RMSNorm(RMSNorm):
    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


# %% ex4a | changed its input
class RMSNorm(RMSNorm):
    def forward(self, x):
        x = x.detach()
        x *= (x.square().mean(-1, keepdim=True) + self.eps).rsqrt()
        return x * self.weight


# %% ex4b | rounded down
def swiglu_width(n_embd):
    return 8 * n_embd // 3 // 8 * 8


# %% ex4b | not a multiple of 8
def swiglu_width(n_embd):
    return 8 * n_embd // 3


# %% ex4b | then it stays
def swiglu_width(n_embd):
    return 8 * (n_embd // 3 + 1)


# %% ex4b | a width is an int
def swiglu_width(n_embd):
    return 8 / 3 * n_embd


# %% ex4b | wrong branch goes through silu
def swiglu(x, W1, W2, W3):
    return (x @ W1.T * F.silu(x @ W3.T)) @ W2.T


# %% ex4b | W2 and W3 are exchanged
def swiglu(x, W1, W2, W3):
    if W1.shape != W2.shape:
        return (F.silu(x @ W1.T) * (x @ W3.T)) @ W2.T
    return (F.silu(x @ W1.T) * (x @ W2.T)) @ W3.T


# %% ex4b | is a sigmoid
def swiglu(x, W1, W2, W3):
    return (torch.sigmoid(x @ W1.T) * (x @ W3.T)) @ W2.T


# %% ex4b | product of both branches
def swiglu(x, W1, W2, W3):
    return F.silu((x @ W1.T) * (x @ W3.T)) @ W2.T


# %% ex4b | branches are added
def swiglu(x, W1, W2, W3):
    return (F.silu(x @ W1.T) + x @ W3.T) @ W2.T


# %% ex4b | gate W3 is missing
def swiglu(x, W1, W2, W3):
    return F.silu(x @ W1.T) @ W2.T


# %% ex4b | W2 is missing
def swiglu(x, W1, W2, W3):
    return F.silu(x @ W1.T) * (x @ W3.T)


# %% ex4b | no gradient reaches W3
def swiglu(x, W1, W2, W3):
    return (F.silu(x @ W1.T) * (x @ W3.detach().T)) @ W2.T


# %% ex4c | paired feature i with feature i + hs/2
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = (start + torch.arange(T, dtype=x.dtype))[:, None] * theta
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


# %% ex4c | torn apart
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = (start + torch.arange(T, dtype=x.dtype))[:, None] * theta
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


# %% ex4c | turns backwards
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = (start + torch.arange(T, dtype=x.dtype))[:, None] * theta
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angle.cos() + b * angle.sin(), b * angle.cos() - a * angle.sin()], -1).flatten(-2)


# %% ex4c | a sign is wrong
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = (start + torch.arange(T, dtype=x.dtype))[:, None] * theta
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angle.cos() + b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


# %% ex4c | `start` is not used
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = torch.arange(T, dtype=x.dtype)[:, None] * theta
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


# %% ex4c | positions are one too high
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = torch.arange(start + 1, start + T + 1, dtype=x.dtype)[:, None] * theta
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


# %% ex4c | angles fall too slowly
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(hs // 2, dtype=x.dtype) / hs)
    angle = (start + torch.arange(T, dtype=x.dtype))[:, None] * theta
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


# %% ex4c | `base` is not used
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = 10_000.0 ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = (start + torch.arange(T, dtype=x.dtype))[:, None] * theta
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


# %% ex4c | changed its input in place
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = (start + torch.arange(T, dtype=x.dtype))[:, None] * theta
    a, b = x[..., 0::2].clone(), x[..., 1::2].clone()
    x[..., 0::2] = a * angle.cos() - b * angle.sin()
    x[..., 1::2] = a * angle.sin() + b * angle.cos()
    return x


# %% ex4c | nothing is rotated
def apply_rotary(x, start=0, base=10_000.0):
    return x.clone()


# %% ex1 | 300 positions stops
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(64, 64, dtype=torch.bool), 1)[:T, :T]
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | hears position t + 1 too
class MultiHeadAttention(MultiHeadAttention):
    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (t.view(B, T, self.n_head, -1).transpose(1, 2) for t in self.qkv(x).split(C, -1))
        future = torch.triu(torch.ones(T, T, dtype=torch.bool), 2)
        y = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, float("-inf")).softmax(-1) @ v
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


# %% ex1 | no gradient comes out
class MultiHeadAttention(MultiHeadAttention):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


# %% ex2c | as many characters as the first one has
def exact_accuracy(model, pairs, chars):
    length = len(pairs[0][1])
    texts = answers(model, [q for q, _ in pairs], length, chars)
    return sum(text[: len(a)] == a for text, (_, a) in zip(texts, pairs)) / len(pairs)


# %% ex2c | anywhere in the text
def exact_accuracy(model, pairs, chars):
    texts = answers(model, [q for q, _ in pairs], max(len(a) for _, a in pairs), chars)
    return sum(a in text for text, (_, a) in zip(texts, pairs)) / len(pairs)


# %% ex2c | comes twice counts twice
def exact_accuracy(model, pairs, chars):
    pairs = list(dict(pairs).items())
    texts = answers(model, [q for q, _ in pairs], max(len(a) for _, a in pairs), chars)
    return sum(text[: len(a)] == a for text, (_, a) in zip(texts, pairs)) / len(pairs)


# %% ex2c | mean of means
def exact_accuracy(model, pairs, chars):
    texts = answers(model, [q for q, _ in pairs], max(len(a) for _, a in pairs), chars)
    groups = {}
    for text, (q, a) in zip(texts, pairs):
        groups.setdefault(len(q), []).append(text[: len(a)] == a)
    return sum(sum(group) / len(group) for group in groups.values()) / len(groups)


# %% ex4a | no gradient comes out
class RMSNorm(RMSNorm):
    def forward(self, x):
        return super().forward(x).detach()


# %% ex4c | your angles are float32
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2) / hs)
    angle = torch.arange(start, start + T)[:, None] * theta
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


# %% ex4c | no gradient comes out
def apply_rotary(x, start=0, base=10_000.0):
    T, hs = x.shape[-2:]
    theta = base ** (-torch.arange(0, hs, 2, dtype=x.dtype) / hs)
    angle = (start + torch.arange(T, dtype=x.dtype))[:, None] * theta
    a, b = x[..., 0::2].detach(), x[..., 1::2].detach()
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)
