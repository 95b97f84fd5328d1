# Wrong answers to exercises/18_kv_cache.ipynb, each to be rejected in the words of its header.


# %% x01 | keys and values are two
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, (memory - parameters * bytes_a_number) // bytes_a_text)


# %% x01 | not bytes
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, (memory - parameters * bytes_a_number) // bytes_a_text)


# %% x01 | the layers are missing
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, (memory - parameters * bytes_a_number) // bytes_a_text)


# %% x01 | the number of texts is missing
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, (memory - parameters * bytes_a_number) // bytes_a_text)


# %% x01 | return an int
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2.0 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, (memory - parameters * bytes_a_number) // bytes_a_text)


# %% x01 | the weights do not fit
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return (memory - parameters * bytes_a_number) // bytes_a_text


# %% x01 | the weights take memory too
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, memory // bytes_a_text)


# %% x01 | so many bytes a parameter
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, (memory - parameters) // bytes_a_text)


# %% x01 | return an int
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, (memory - parameters * bytes_a_number) / bytes_a_text)


# %% x01 | only whole texts count
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, -(-(memory - parameters * bytes_a_number) // bytes_a_text))


# %% x01 | None
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    print(2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number)


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    print(max(0, (memory - parameters * bytes_a_number) // bytes_a_text))


# %% x02 | put a mask over the scores
def cached_attention(q, k, v, k_old, v_old):
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v, k, v


# %% x02 | the mask forgets the cached tokens
def cached_attention(q, k, v, k_old, v_old):
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v, k, v


# %% x02 | the mask forgets the cached tokens
def cached_attention(q, k, v, k_old, v_old):
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True), k, v


# %% x02 | a token sees itself too
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(S - 1)
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v, k, v


# %% x02 | not divided by
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1)
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(S)
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v, k, v


# %% x02 | not by its root
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / q.shape[-1]
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(S)
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v, k, v


# %% x02 | the root of the number of tokens
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / k.shape[2] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(S)
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v, k, v


# %% x02 | after the softmax
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
    return (weights * torch.ones(weights.shape[-2:]).tril(S)) @ v, k, v


# %% x02 | over the queries
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(S)
    return scores.masked_fill(~mask, float("-inf")).softmax(-2) @ v, k, v


# %% x02 | stand before the old ones
def cached_attention(q, k, v, k_old, v_old):
    k, v = torch.cat([k, k_old], 2), torch.cat([v, v_old], 2)
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v, k, v


# %% x02 | should have shape
def cached_attention(q, k, v, k_old, v_old):
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return y, k, v


# %% x02 | the old tokens are left out
def cached_attention(q, k, v, k_old, v_old):
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return y, torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)


# %% x02 | return 3 things
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(S)
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v


# %% x02 | in place
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    q /= q.shape[-1] ** 0.5
    mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool).tril(S)
    return (q @ k.transpose(-2, -1)).masked_fill(~mask, float("-inf")).softmax(-1) @ v, k, v


# %% x02 | the keys twice
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(S)
    return scores.masked_fill(~mask, float("-inf")).softmax(-1) @ v, k, k


# %% x03 | tiled
def grouped_attention(q, k, v):
    nh, nkv = q.shape[1], k.shape[1]
    if nh % nkv:
        raise ValueError(f"{nkv} and {nh}")
    k, v = (t.repeat(1, nh // nkv, 1, 1) for t in (k, v))
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


# %% x03 | different orders
def grouped_attention(q, k, v):
    nh, nkv = q.shape[1], k.shape[1]
    k, v = k.repeat_interleave(nh // nkv, 1), v.repeat(1, nh // nkv, 1, 1)
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


# %% x03 | use key head 0
def grouped_attention(q, k, v):
    k, v = k[:, :1], v[:, :1]
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


# %% x03 | averaged into one
def grouped_attention(q, k, v):
    k, v = k.mean(1, keepdim=True), v.mean(1, keepdim=True)
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


# %% x03 | not divided
def grouped_attention(q, k, v):
    n = q.shape[1] // k.shape[1]
    k, v = (t.repeat_interleave(n, 1) for t in (k, v))
    return (q @ k.transpose(-2, -1)).softmax(-1) @ v


# %% x03 | your function goes on
def grouped_attention(q, k, v):
    index = torch.arange(q.shape[1]) * k.shape[1] // q.shape[1]
    k, v = k[:, index], v[:, index]
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


# %% x03 | raise a ValueError, not a RuntimeError
def grouped_attention(q, k, v):
    n = q.shape[1] // k.shape[1]
    k, v = (t.repeat_interleave(n, 1) for t in (k, v))
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


# %% x03 | does not name both
def grouped_attention(q, k, v):
    n, rest = divmod(q.shape[1], k.shape[1])
    if rest:
        raise ValueError("these heads do not fit")
    k, v = (t.repeat_interleave(n, 1) for t in (k, v))
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v


# %% x03 | should have shape
def grouped_attention(q, k, v):
    B, nh, T, hs = q.shape
    nkv = k.shape[1]
    q = q.reshape(B, nkv, nh // nkv * T, hs)
    return (q @ k.transpose(-2, -1) / hs**0.5).softmax(-1) @ v


# %% x03 | None
def grouped_attention(q, k, v):
    n = q.shape[1] // k.shape[1]
    k, v = (t.repeat_interleave(n, 1) for t in (k, v))
    print((q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v)


# %% x04 | another tensor
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        self.rows = torch.cat([self.rows, x])[-self.window :]
        self.count += len(x)

    def slots(self):
        return torch.arange(self.count - self.window, self.count).clamp(min=-1)

    def last(self):
        return self.rows


# %% x04 | should hold slot
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        n = min(len(x), self.window)
        for row in x[:n]:  # the first rows, not the last
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        held = torch.full((self.window,), -1)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held

    def last(self):
        slots = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[slots % self.window]


# %% x04 | should hold slot
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        for row in x:
            self.count += 1
            self.rows[self.count % self.window] = row  # one place too far

    def slots(self):
        held = torch.full((self.window,), -1)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held

    def last(self):
        slots = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[slots % self.window]


# %% x04 | count every row
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        slots = torch.arange(self.count, self.count + len(x))[-self.window :]
        self.rows[slots % self.window] = x[-self.window :]
        self.count = min(self.window, self.count + len(x))

    def slots(self):
        held = torch.full((self.window,), -1)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held

    def last(self):
        slots = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[slots % self.window]


# %% x04 | the slot -1, not 0
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        held = torch.zeros(self.window, dtype=torch.long)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held

    def last(self):
        slots = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[slots % self.window]


# %% x04 | list them by place
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        slots = torch.arange(max(0, self.count - self.window), self.count)
        return torch.cat([slots, torch.full((self.window - len(slots),), -1)])

    def last(self):
        slots = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[slots % self.window]


# %% x04 | the rows by place
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        held = torch.full((self.window,), -1)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held

    def last(self):
        return self.rows[: min(self.window, self.count)].clone()


# %% x04 | return a copy
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        held = torch.full((self.window,), -1)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held

    def last(self):
        if self.count <= self.window:
            return self.rows[: self.count]
        cut = self.count % self.window
        return self.rows if cut == 0 else torch.cat([self.rows[cut:], self.rows[:cut]])


# %% x04 | leave out the places that were never written
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        held = torch.full((self.window,), -1)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held

    def last(self):
        return self.rows.roll(-(self.count % self.window), 0)


# %% x04 | the newest first
class Ring:
    def __init__(self, window, size):
        self.window, self.rows, self.count = window, torch.zeros(window, size), 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        held = torch.full((self.window,), -1)
        slots = torch.arange(max(0, self.count - self.window), self.count)
        held[slots % self.window] = slots
        return held

    def last(self):
        slots = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[slots % self.window].flip(0)


# %% x05 | pad on the left
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (0, T - len(p))) for p in prompts])
    start = torch.zeros(len(prompts), dtype=torch.long)
    mask = torch.ones(T, T, dtype=torch.bool).tril().expand(len(prompts), T, T)
    return batch, start, torch.arange(T).expand_as(batch), mask


# %% x05 | start holds the lengths
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([len(p) for p in prompts])
    positions = (torch.arange(T) - (T - start[:, None])).clamp(min=0)
    mask = torch.ones(T, T, dtype=torch.bool).tril().expand(len(prompts), T, T)
    return batch, start, positions, mask


# %% x05 | count the padding
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots <= slots[:, None]) & (slots >= start[:, None, None]) | torch.eye(T, dtype=torch.bool)
    return batch, start, slots.expand_as(batch), mask


# %% x05 | negative positions
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots <= slots[:, None]) & (slots >= start[:, None, None]) | torch.eye(T, dtype=torch.bool)
    return batch, start, slots - start[:, None], mask


# %% x05 | begin at 1
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots <= slots[:, None]) & (slots >= start[:, None, None]) | torch.eye(T, dtype=torch.bool)
    return batch, start, (batch != 0).cumsum(1), mask


# %% x05 | the wrong way round
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots <= slots[:, None]) & (slots >= start[:, None, None]) | torch.eye(T, dtype=torch.bool)
    return batch, start, (slots - start[:, None]).clamp(min=0), ~mask


# %% x05 | look at padding
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots <= slots[:, None]).expand(len(prompts), T, T)
    return batch, start, (slots - start[:, None]).clamp(min=0), mask


# %% x05 | look at later ones
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots >= start[:, None, None]).expand(-1, T, -1) | torch.eye(T, dtype=torch.bool)
    return batch, start, (slots - start[:, None]).clamp(min=0), mask


# %% x05 | every slot sees itself
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots <= slots[:, None]) & (slots >= start[:, None, None])
    return batch, start, (slots - start[:, None]).clamp(min=0), mask


# %% x05 | has to see itself too
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots < slots[:, None]) & (slots >= start[:, None, None])
    return batch, start, (slots - start[:, None]).clamp(min=0), mask


# %% x05 | rows and columns of the mask are exchanged
def left_pad(prompts):
    T = max(map(len, prompts))
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    mask = (slots <= slots[:, None]) & (slots >= start[:, None, None]) | torch.eye(T, dtype=torch.bool)
    return batch, start, (slots - start[:, None]).clamp(min=0), mask.transpose(1, 2)


# %% x05 | return 4 things
def left_pad(prompts):
    T = max(map(len, prompts))
    return torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])


# %% x06 | is still to do
class MendedCache(BrokenCache):
    pass


# %% x06 | do not get their positions
class MendedCache(BrokenCache):
    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %% x06 | should have four rows each
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = self.slots(idx)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)


# %% x06 | the first piece of a text is read wrong now
class MendedCache(BrokenCache):
    def positions(self, idx):
        return torch.arange(self.length, self.length + idx.shape[1])

    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %% x06 | do not get their positions
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = torch.arange(idx.shape[1]) + max(0, self.length - 1)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %% x06 | go on with what belongs to others
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = self.slots(idx)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def select(self, rows):
        self.layers = {layer: (k[rows], v[: len(rows)][[0, 1, 2, 2]]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %% x06 | go on with what belongs to others
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = self.slots(idx)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[[0, 1, 2, 0]]


# %% x01 | but you count
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return int(torch.tensor([2.0, n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number]).prod())


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, int((torch.tensor(float(memory)) - parameters * bytes_a_number) // bytes_a_text))


# %% x01 | hold
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, int((torch.tensor(float(memory)) - parameters * bytes_a_number) // bytes_a_text))


# %% x02 | large scores
def cached_attention(q, k, v, k_old, v_old):
    T, S, hs = q.shape[2], k_old.shape[2], q.shape[3]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    e = (q @ k.transpose(-2, -1) / hs**0.5).exp() * torch.ones(T, S + T).tril(S)
    return e / e.sum(-1, keepdim=True) @ v, k, v


# %% x02 | a later call changes
room = {}


def cached_attention(q, k, v, k_old, v_old):
    B, nh, T, hs = q.shape
    S = k_old.shape[2]
    both = room.setdefault((B, nh, hs), torch.zeros(2, B, nh, 96, hs, dtype=q.dtype))[:, :, :, : S + T]
    both[0, :, :, :S], both[0, :, :, S:], both[1, :, :, :S], both[1, :, :, S:] = k_old, k, v_old, v
    y = F.scaled_dot_product_attention(q, both[0], both[1], attn_mask=torch.ones(T, S + T, dtype=torch.bool).tril(S))
    return y, both[0], both[1]


# %% x02 | leaks in
def cached_attention(q, k, v, k_old, v_old):
    T, S = q.shape[2], k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    later = ~torch.ones(T, S + T, dtype=torch.bool).tril(S)
    return scores.masked_fill(later, -100.0).softmax(-1) @ v, k, v.clone()


# %% x02 | the tensor of outputs
def cached_attention(q, k, v, k_old, v_old):
    T, S = q.shape[2], k_old.shape[2]
    if S == 0 and T == 1:
        return v * 0, k, v
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    later = ~torch.ones(T, S + T, dtype=torch.bool).tril(S)
    return scores.masked_fill(later, float("-inf")).softmax(-1) @ v, k, v


# %% x03 | does not name both
def grouped_attention(q, k, v):
    nh, nkv = q.shape[1], k.shape[1]
    if nh % nkv:
        raise ValueError(f"{nh}{nkv}")
    k, v = k.repeat_interleave(nh // nkv, 1), v.repeat_interleave(nh // nkv, 1)
    return F.scaled_dot_product_attention(q, k, v)


# %% x03 | large scores
def grouped_attention(q, k, v):
    nh, nkv = q.shape[1], k.shape[1]
    if nh % nkv:
        raise ValueError(f"{nh} query heads cannot share {nkv} key heads")
    e = (q @ k.repeat_interleave(nh // nkv, 1).transpose(-2, -1) / q.shape[3] ** 0.5).exp()
    return e / e.sum(-1, keepdim=True) @ v.repeat_interleave(nh // nkv, 1)


# %% x04 | two rows of x into one place
class Ring:
    def __init__(self, window, size):
        self.window = window
        self.rows = torch.zeros(window, size)
        self.count = 0

    def write(self, x):
        s = torch.arange(self.count, self.count + len(x))
        self.rows[s % self.window] = x
        self.count += len(x)

    def slots(self):
        p = torch.arange(self.window)
        return (self.count - 1 - (self.count - 1 - p) % self.window).clamp(min=-1)

    def last(self):
        s = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[s % self.window]


# %% x04 | the ring grows
class Ring:
    def __init__(self, window, size):
        self.window = window
        self.rows = torch.zeros(window, size)
        self.count = 0
        self.all = torch.zeros(0, size)

    def write(self, x):
        self.all = torch.cat([self.all, x])
        self.count += len(x)
        s = torch.arange(max(0, self.count - self.window), self.count)
        self.rows[s % self.window] = self.all[s]

    def slots(self):
        p = torch.arange(self.window)
        return (self.count - 1 - (self.count - 1 - p) % self.window).clamp(min=-1)

    def last(self):
        return self.all[max(0, self.count - self.window) :].clone()


# %% x04 | A row of zeros is a row
class Ring:
    def __init__(self, window, size):
        self.window = window
        self.rows = torch.zeros(window, size)
        self.count = 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        p = torch.arange(self.window)
        s = self.count - 1 - (self.count - 1 - p) % self.window
        return torch.where((self.rows == 0).all(1), -1, s)

    def last(self):
        y = self.rows.roll(-(self.count % self.window), 0)
        return y[(y != 0).any(1)]


# %% x04 | before anything is written
class Ring:
    def __init__(self, window, size):
        self.window = window
        self.rows = torch.zeros(window, size)
        self.count = 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        p = torch.arange(self.window)
        return (self.count - 1 - (self.count - 1 - p) % self.window).clamp(min=-1)

    def last(self):
        c = self.count % self.window
        if self.count < self.window and c:
            return self.rows[:c].clone()
        return torch.cat([self.rows[c:], self.rows[:c]])


# %% x04 | when last() is called again
class Ring:
    def __init__(self, window, size):
        self.window = window
        self.rows = torch.zeros(window, size)
        self.count = 0
        self.out = torch.zeros(window, size)

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.count += 1

    def slots(self):
        p = torch.arange(self.window)
        return (self.count - 1 - (self.count - 1 - p) % self.window).clamp(min=-1)

    def last(self):
        s = torch.arange(max(0, self.count - self.window), self.count)
        self.out[: len(s)] = self.rows[s % self.window]
        return self.out[: len(s)]


# %% x04 | slots() should be
class Ring:
    held = {}

    def __init__(self, window, size):
        self.window = window
        self.rows = torch.zeros(window, size)
        self.count = 0

    def write(self, x):
        for row in x:
            self.rows[self.count % self.window] = row
            self.held[self.count % self.window] = self.count
            self.count += 1

    def slots(self):
        return torch.tensor([self.held.get(p, -1) if self.count else -1 for p in range(self.window)])

    def last(self):
        s = torch.arange(max(0, self.count - self.window), self.count)
        return self.rows[s % self.window]


# %% x05 | a prompt may hold token 0 too
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    real = batch != 0
    start = (~real).sum(1)
    positions = (real.cumsum(1) - 1).clamp(min=0)
    a = torch.arange(T)
    mask = (a <= a[:, None]) & real[:, None] | torch.eye(T, dtype=torch.bool)
    return batch, start, positions, mask


# %% x05 | table of positions
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    a = torch.arange(T)
    positions = (a - start[:, None]).clamp(0, 15)
    mask = (a <= a[:, None]) & (a >= start[:, None, None]) | torch.eye(T, dtype=torch.bool)
    return batch, start, positions, mask


# %% x06 | should be those rows
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = self.slots(idx)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def select(self, rows):
        kept = {layer: (k[rows], v if len(rows) == len(v) else v[rows]) for layer, (k, v) in self.layers.items()}
        self.layers = kept
        self.start = None if self.start is None else self.start[rows]


# %% x06 | however often one asks
class MendedCache(BrokenCache):
    seen = 0

    def positions(self, idx):
        slots = torch.arange(self.seen, self.seen + idx.shape[1])
        self.seen += idx.shape[1]
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    select = KVCache.select


# %% x06 | changes the tensors that it was given
class MendedCache(BrokenCache):
    positions = KVCache.positions

    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        if self.start is not None:
            if len(rows) == len(self.start):
                self.start.copy_(self.start[rows])
            else:
                self.start = self.start[rows]


# %% x01 | whatever is given
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * 2


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, memory - parameters * 2) // bytes_a_text


# %% x01 | only whole texts count
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return round(max(0, memory - parameters * bytes_a_number) / bytes_a_text)


# %% x01 | are bytes already
def cache_bytes(n_layer, n_kv_head, head_size, tokens, texts, bytes_a_number):
    return 2 * n_layer * n_kv_head * head_size * tokens * texts * bytes_a_number


def texts_that_fit(memory, parameters, bytes_a_text, bytes_a_number):
    return max(0, memory - parameters * bytes_a_number) // (bytes_a_text * bytes_a_number)


# %% x02 | sees the one after it
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    T, K = q.shape[2], k.shape[2]
    w = (
        (q @ k.mT / q.shape[-1] ** 0.5)
        .masked_fill(~torch.ones(T, K, dtype=torch.bool).tril(S + 1), -torch.inf)
        .softmax(-1)
    )
    return w @ v, k, v


# %% x02 | put -inf there
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([v_old, v], 2)
    T, K = q.shape[2], k.shape[2]
    w = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~torch.ones(T, K, dtype=torch.bool).tril(S), 0).softmax(-1)
    return w @ v, k, v


# %% x02 | behind the old values
def cached_attention(q, k, v, k_old, v_old):
    S = k_old.shape[2]
    k, v = torch.cat([k_old, k], 2), torch.cat([k_old, v], 2)
    T, K = q.shape[2], k.shape[2]
    w = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~torch.ones(T, K, dtype=torch.bool).tril(S), -torch.inf).softmax(-1)
    return w @ v, k, v


# %% x03 | no mask here
def grouped_attention(q, k, v):
    nh, nkv = q.shape[1], k.shape[1]
    if nh % nkv:
        raise ValueError(f"{nkv} key heads do not divide {nh} query heads")
    n = nh // nkv
    return F.scaled_dot_product_attention(q, k.repeat_interleave(n, 1), v.repeat_interleave(n, 1), is_causal=True)


# %% x03 | 6 query heads can share 2 key heads
def grouped_attention(q, k, v):
    nh, nkv = q.shape[1], k.shape[1]
    if nkv % nh:
        raise ValueError(f"{nkv} key heads do not divide {nh} query heads")
    n = nh // nkv
    return F.scaled_dot_product_attention(q, k.repeat_interleave(n, 1), v.repeat_interleave(n, 1))


# %% x03 | not an AssertionError
def grouped_attention(q, k, v):
    nh, nkv = q.shape[1], k.shape[1]
    assert nh % nkv == 0, f"{nkv} key heads do not divide {nh} query heads"
    n = nh // nkv
    return F.scaled_dot_product_attention(q, k.repeat_interleave(n, 1), v.repeat_interleave(n, 1))


# %% x04 | self.count is gone
class Ring:
    def __init__(self, window, size):
        self.window = window
        self.rows = torch.zeros(window, size)
        self.held = torch.full((window,), -1)
        self.n = 0

    def write(self, x):
        for i in range(x.shape[0]):
            p = self.n % self.window
            self.rows[p] = x[i]
            self.held[p] = self.n
            self.n += 1

    def slots(self):
        return self.held

    def last(self):
        order = self.held.argsort()
        return self.rows[order[self.held[order] >= 0]]


# %% x05 | known by the lengths
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = (batch != 0).int().argmax(1)
    slots = torch.arange(T)
    positions = (slots - start[:, None]).clamp(min=0)
    mask = (slots[None, :] <= slots[:, None]) & (slots >= start[:, None, None])
    mask = mask | (slots[None, :] == slots[:, None])
    return batch, start, positions, mask


# %% x05 | count every token from start on
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    positions = ((batch != 0).cumsum(1) - 1).clamp(min=0)
    mask = (slots[None, :] <= slots[:, None]) & (slots >= start[:, None, None])
    mask = mask | (slots[None, :] == slots[:, None])
    return batch, start, positions, mask


# %% x05 | in the mask, too
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    positions = (slots - start[:, None]).clamp(min=0)
    mask = (slots[None, :] <= slots[:, None]) & (batch != 0)[:, None, :]
    mask = mask | (slots[None, :] == slots[:, None])
    return batch, start, positions, mask


# %% x05 | upside down
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    positions = (slots - start[:, None]).clamp(min=0)
    mask = (slots[None, :] >= slots[:, None]) & (slots >= start[:, None, None])
    mask = mask | (slots[None, :] == slots[:, None])
    return batch, start, positions, mask


# %% x05 | rule out rows of padding
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    positions = (slots - start[:, None]).clamp(min=0)
    mask = (slots[None, :] <= slots[:, None]) & (slots[:, None] >= start[:, None, None])
    mask = mask | (slots[None, :] == slots[:, None])
    return batch, start, positions, mask


# %% x05 | first real token is hidden
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    positions = (slots - start[:, None]).clamp(min=0)
    mask = (slots[None, :] <= slots[:, None]) & (slots > start[:, None, None])
    mask = mask | (slots[None, :] == slots[:, None])
    return batch, start, positions, mask


# %% x05 | looks at other padding
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    positions = (slots - start[:, None]).clamp(min=0)
    mask = (slots[None, :] <= slots[:, None]) & (slots >= start[:, None, None])
    mask = mask | (slots[None, :] <= slots[:, None]) & (slots[:, None] < start[:, None, None])
    return batch, start, positions, mask


# %% x05 | looks at other slots
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    slots = torch.arange(T)
    positions = (slots - start[:, None]).clamp(min=0)
    mask = (slots[None, :] <= slots[:, None]) & (slots >= start[:, None, None])
    mask = mask | (slots[:, None] < start[:, None, None])
    return batch, start, positions, mask


# %% x06 | padding has negative positions
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = torch.arange(self.length, self.length + idx.shape[1], device=idx.device)
        return slots if self.start is None else (slots - self.start[:, None])

    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %% x06 | start should have four entries
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = torch.arange(self.length, self.length + idx.shape[1], device=idx.device)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        pass


# %% x06 | update changes self.length
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = torch.arange(self.length, self.length + idx.shape[1], device=idx.device)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def update(self, layer, k, v):
        out = super().update(layer, k, v)
        self.length += k.shape[2]
        return out

    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %% x06 | select changes self.length
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = torch.arange(self.length, self.length + idx.shape[1], device=idx.device)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def select(self, rows):
        self.length = len(rows)
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %% x06 | the new ones behind them
class MendedCache(BrokenCache):
    def positions(self, idx):
        slots = torch.arange(self.length, self.length + idx.shape[1], device=idx.device)
        return slots if self.start is None else (slots - self.start[:, None]).clamp(min=0)

    def update(self, layer, k, v):
        if layer in self.layers:
            k_old, v_old = self.layers[layer]
            k, v = torch.cat([k, k_old], 2), torch.cat([v, v_old], 2)
        self.layers[layer] = k, v
        return k, v

    def select(self, rows):
        self.layers = {layer: (k[rows], v[rows]) for layer, (k, v) in self.layers.items()}
        self.start = None if self.start is None else self.start[rows]


# %% x06 | still to do: write the three methods
class MendedCache(BrokenCache):
    positions, select = KVCache.positions, KVCache.select

    def update(self, layer, k, v):
        raise NotImplementedError("X06: write your answer here, run this cell, then the check below it")


# %% x05 | compares positions
def left_pad(prompts):
    T = max(len(p) for p in prompts)
    batch = torch.stack([F.pad(p, (T - len(p), 0)) for p in prompts])
    start = torch.tensor([T - len(p) for p in prompts])
    pos = (torch.arange(T) - start[:, None]).clamp(min=0)
    return batch, start, pos, (pos[:, None, :] <= pos[:, :, None]) | torch.eye(T, dtype=torch.bool)
