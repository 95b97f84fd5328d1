# Wrong answers to exercises/09_tokenizers.ipynb, each to be rejected in the words of its header.


# %% e01a | every second pair
def pair_counts(ids):
    counts = {}
    for pair in zip(ids[::2], ids[1::2]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


# %% e01a | turned round
def pair_counts(ids):
    counts = {}
    for pair in zip(ids[1:], ids):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


# %% e01a | the last pair of the list is missing
def pair_counts(ids):
    counts = {}
    for pair in zip(ids[:-1], ids[1:-1]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


# %% e01a | keep the order
def pair_counts(ids):
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[tuple(sorted(pair))] = counts.get(tuple(sorted(pair)), 0) + 1
    return counts


# %% e01a | add up
def pair_counts(ids):
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = 1
    return counts


# %% e01a | are no neighbours
def pair_counts(ids):
    counts = {}
    for pair in zip(ids, ids[1:] + ids[:1]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


# %% e01a | returned None
def pair_counts(ids):
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = counts.get(pair, 0) + 1
    print(counts)


# %% e01a | should return a dictionary
def pair_counts(ids):
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = counts.get(pair, 0) + 1
    return list(counts.items())


# %% e01a | should be pairs
def pair_counts(ids):
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[f"{pair[0]} {pair[1]}"] = counts.get(f"{pair[0]} {pair[1]}", 0) + 1
    return counts


# %% e01a | changed the list
def pair_counts(ids):
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = counts.get(pair, 0) + 1
    ids.clear()
    return counts


# %% e01a | holds the pair (a, a) twice
def pair_counts(ids):
    counts, i = {}, 0
    while i + 1 < len(ids):
        pair = ids[i], ids[i + 1]
        counts[pair] = counts.get(pair, 0) + 1
        i += 2 if pair[0] == pair[1] else 1
    return counts


# %% e01a | the last id is missing
def merge(ids, pair, new_id):
    out, i = [], 0
    while i + 1 < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


# %% e01a | IndexError
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


# %% e01a | still there
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 1
        else:
            out.append(ids[i])
            i += 1
    return out


# %% e01a | only the first occurrence
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            return out + ids[i + 2 :]
        else:
            out.append(ids[i])
            i += 1
    return out


# %% e01a | is None: does your function return
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    print(out)


# %% e01a | one flat list
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append([new_id])
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


# %% e01a | should be a list of ints
def merge(ids, pair, new_id):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return torch.tensor(out)


# %% e01a | merge from the right
def merge(ids, pair, new_id):
    out, i = [], len(ids) - 1
    while i >= 0:
        if i > 0 and (ids[i - 1], ids[i]) == pair:
            out.append(new_id)
            i -= 2
        else:
            out.append(ids[i])
            i -= 1
    return out[::-1]


# %% e01a | changed the list
def merge(ids, pair, new_id):
    i = 0
    while i + 1 < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        i += 1
    return ids


# %% e01a | merges again in the same pass
def merge(ids, pair, new_id):
    ids, i = list(ids), 0
    while i + 1 < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new_id]
        else:
            i += 1
    return ids


# %% e01a | (right, left) as well
merge_one = merge


def merge(ids, pair, new_id):
    return merge_one(merge_one(ids, pair, new_id), pair[::-1], new_id)


# %% e01b | you take the one that you met first
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = max(counts, key=counts.get)
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% e01b | you take the largest
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = max(counts, key=lambda pair: (counts[pair], pair))
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% e01b | you take the rarest
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (counts[pair], pair))
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% e01b | your new ids begin with 257
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        ids = merge(ids, best, 257 + len(merges))
        merges.append(best)
    return merges


# %% e01b | not from code points
def learn(text, count):
    ids, merges = [ord(c) for c in text], []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% e01b | no pair occurs twice
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        if counts[best] < 2:
            break
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% e01b | count again
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = {p: n for p, n in pair_counts(ids).items() if p not in merges}
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
    return merges


# %% e01b | ValueError
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% e01b | is None: does your function return
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    print(merges)


# %% e01b | it is a dictionary
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return {pair: 256 + n for n, pair in enumerate(merges)}


# %% e01b | ready-made
def learn(text, count):
    tokenizer = RegexTokenizer(r"[\s\S]+")
    tokenizer.train(text, 256 + count)
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count and len(ids) > 1:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% e01b | should make
def learn(text, count):
    ids, merges = list(text.encode("utf-8")), []
    while len(merges) < count - 1 and len(ids) > 1:
        counts = pair_counts(ids)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        ids = merge(ids, best, 256 + len(merges))
        merges.append(best)
    return merges


# %% e01c | not from code points
def encode(text, merges):
    ids = [ord(c) for c in text]
    for n, pair in enumerate(merges):
        ids = merge(ids, pair, 256 + n)
    return ids


# %% e01c | these are the bytes
def encode(text, merges):
    ids = list(text.encode("utf-8"))
    for n, pair in enumerate(merges):
        merge(ids, pair, 256 + n)
    return ids


# %% e01c | from the last to the first
def encode(text, merges):
    ids = list(text.encode("utf-8"))
    for n, pair in reversed(list(enumerate(merges))):
        ids = merge(ids, pair, 256 + n)
    return ids


# %% e01c | is None: does your function return
def encode(text, merges):
    ids = list(text.encode("utf-8"))
    for n, pair in enumerate(merges):
        ids = merge(ids, pair, 256 + n)
    print(ids)


# %% e01c | one flat list
def encode(text, merges):
    ids = list(text.encode("utf-8"))
    for n, pair in enumerate(merges):
        ids = merge(ids, pair, 256 + n)
    return [ids]


# %% e01c | changed the list of merges
def encode(text, merges):
    ids = list(text.encode("utf-8"))
    n = -1
    while merges:
        n, pair = n + 1, merges.pop(0)
        ids = merge(ids, pair, 256 + n)
    return ids


# %% e01c | most frequent pair of the new text
def encode(text, merges):
    ids = list(text.encode("utf-8"))
    number = {pair: 256 + n for n, pair in enumerate(merges)}
    while True:
        counts = {p: n for p, n in pair_counts(ids).items() if p in number}
        if not counts:
            return ids
        pair = max(counts, key=counts.get)
        ids = merge(ids, pair, number[pair])


# %% e01c | comes first in the text
def encode(text, merges):
    ids, i = list(text.encode("utf-8")), 0
    number = {pair: 256 + n for n, pair in enumerate(merges)}
    while i + 1 < len(ids):
        if (ids[i], ids[i + 1]) in number:
            ids[i : i + 2] = [number[ids[i], ids[i + 1]]]
            i = 0
        else:
            i += 1
    return ids


# %% e01c | the longest token that fits
def encode(text, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    raw, ids = text.encode("utf-8"), []
    while raw:
        size = max(n for n in range(1, len(raw) + 1) if raw[:n] in spelled)
        ids.append(spelled.index(raw[:size]))
        raw = raw[size:]
    return ids


# %% e01c | ValueError
def encode(text, merges):
    ids, rank = list(text.encode("utf-8")), {pair: n for n, pair in enumerate(merges)}
    while True:
        first = min(zip(ids, ids[1:]), key=lambda pair: rank.get(pair, len(merges)))
        if first not in rank:
            return ids
        ids = merge(ids, first, 256 + rank[first])


# %% e01c | token by token
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return "".join(spelled[i].decode("utf-8", errors="replace") for i in ids)


# %% e01c | you leave them out
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids).decode("utf-8", errors="ignore")


# %% e01c | UnicodeDecodeError
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids).decode("utf-8")


# %% e01c | a character of each byte
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids).decode("latin-1", errors="replace")


# %% e01c | should be a string
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids)


# %% e01c | is None: does your function return
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    b"".join(spelled[i] for i in ids).decode("utf-8", errors="replace")


# %% e01c | your code stopped with ValueError
def decode(ids, merges):
    return bytes(ids).decode("utf-8", errors="replace")


# %% e02 | counted across two pieces
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(text.encode("utf-8"))]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [i for piece in regex.findall(self.pattern, text) for i in encode(piece, self.merges)]


# %% e02 | you count it once
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in set(regex.findall(self.pattern, text))]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [i for piece in regex.findall(self.pattern, text) for i in encode(piece, self.merges)]


# %% e02 | starts from nothing
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [i for piece in regex.findall(self.pattern, text) for i in encode(piece, self.merges)]


# %% e02 | use self.pattern
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(GPT4_SPLIT, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [i for piece in regex.findall(GPT4_SPLIT, text) for i in encode(piece, self.merges)]


# %% e02 | use self.pattern
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [i for piece in regex.findall(GPT4_SPLIT, text) for i in encode(piece, self.merges)]


# %% e02 | cross from one piece
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return encode(text, self.merges)


# %% e02 | needed each time
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [i for piece in dict.fromkeys(regex.findall(self.pattern, text)) for i in encode(piece, self.merges)]


# %% e02 | one flat list
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [encode(piece, self.merges) for piece in regex.findall(self.pattern, text)]


# %% e02 | you met first
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = counts.most_common(1)[0][0]
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [i for piece in regex.findall(self.pattern, text) for i in encode(piece, self.merges)]


# %% e02 | return nothing
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)
        return self.merges

    def encode(self, text):
        return [i for piece in regex.findall(self.pattern, text) for i in encode(piece, self.merges)]


# %% e02 | these are the bytes
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        return [i for piece in regex.findall(self.pattern, text) for i in piece.encode("utf-8")]


# %% e02 | is None: does your function return
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)

    def encode(self, text):
        print([i for piece in regex.findall(self.pattern, text) for i in encode(piece, self.merges)])


# %% e02 | in the order of the merges
class PieceTokenizer:
    def __init__(self, pattern):
        self.pattern = pattern
        self.merges = []

    def train(self, text, count):
        pieces = [list(piece.encode("utf-8")) for piece in regex.findall(self.pattern, text)]
        self.merges = []
        while len(self.merges) < count:
            counts = Counter(pair for ids in pieces for pair in zip(ids, ids[1:]))
            if not counts:
                break
            best = min(counts, key=lambda pair: (-counts[pair], pair))
            pieces = [merge(ids, best, 256 + len(self.merges)) for ids in pieces]
            self.merges.append(best)
        self.merges = {pair: 256 + n for n, pair in enumerate(self.merges)}

    def encode(self, text):
        return [i for piece in regex.findall(self.pattern, text) for i in encode(piece, self.merges)]


# %% e02 | ready-made
class PieceTokenizer(RegexTokenizer):
    merges = []

    def train(self, text, count):
        super().train(text, 256 + count)


# %% e03a | not the byte's value
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[tuple(p[0] if len(p) == 1 else ranks[p] for p in parts)] = rank
    return merges


# %% e03a | pairs of bytes
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[parts[0], parts[1]] = rank
    return merges


# %% e03a | the other way round
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[rank] = ranks[parts[0]], ranks[parts[1]]
    return merges


# %% e03a | your dictionary is empty
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 1:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[ranks[parts[0]], ranks[parts[1]]] = rank
    return merges


# %% e03a | the values should be the ids
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[ranks[parts[0]], ranks[parts[1]]] = token
    return merges


# %% e03a | you number the merges yourself
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[ranks[parts[0]], ranks[parts[1]]] = 256 + len(merges)
    return merges


# %% e03a | returned None
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[ranks[parts[0]], ranks[parts[1]]] = rank
    print(merges)


# %% e03a | should return a dictionary
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[ranks[parts[0]], ranks[parts[1]]] = rank
    return list(merges)


# %% e03a | the join with the smallest rank first
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = next((i for i, r in enumerate(joined) if r < rank), 0)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[ranks[parts[0]], ranks[parts[1]]] = rank
    return merges


# %% e03a | changed the ranks
def recover_merges(ranks):
    merges = {}
    for token, rank in list(ranks.items()):
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[ranks[parts[0]], ranks[parts[1]]] = rank
    for token in [t for t in ranks if len(t) == 1]:
        ranks.pop(token)
    return merges


# %% e03a | was made from
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        for cut in range(1, len(token)):
            if token[:cut] in ranks and token[cut:] in ranks:
                merges[ranks[token[:cut]], ranks[token[cut:]]] = rank
                break
    return merges


# %% e03a | was made from
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        for cut in range(len(token) - 1, 0, -1):
            if token[:cut] in ranks and token[cut:] in ranks:
                merges[ranks[token[:cut]], ranks[token[cut:]]] = rank
                break
    return merges


# %% e03a | pairs make the token
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        for cut in range(1, len(token)):
            if token[:cut] in ranks and token[cut:] in ranks:
                merges[ranks[token[:cut]], ranks[token[cut:]]] = rank
    return merges


# %% e03b | not the byte's value
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in regex.findall(GPT4_SPLIT, text):
        ids = list(piece.encode("utf-8"))
        while True:
            made = {pair: merges[pair] for pair in zip(ids, ids[1:]) if pair in merges}
            if not made:
                break
            first = min(made, key=made.get)
            ids = merge(ids, first, made[first])
        out += ids
    return out


# %% e03b | the text is not cut
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in [text]:
        ids = [ranks[bytes([byte])] for byte in piece.encode("utf-8")]
        while True:
            made = {pair: merges[pair] for pair in zip(ids, ids[1:]) if pair in merges}
            if not made:
                break
            first = min(made, key=made.get)
            ids = merge(ids, first, made[first])
        out += ids
    return out


# %% e03b | should have
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in text.split(" "):
        ids = [ranks[bytes([byte])] for byte in piece.encode("utf-8")]
        while True:
            made = {pair: merges[pair] for pair in zip(ids, ids[1:]) if pair in merges}
            if not made:
                break
            first = min(made, key=made.get)
            ids = merge(ids, first, made[first])
        out += ids
    return out


# %% e03b | one flat list
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in regex.findall(GPT4_SPLIT, text):
        ids = [ranks[bytes([byte])] for byte in piece.encode("utf-8")]
        while True:
            made = {pair: merges[pair] for pair in zip(ids, ids[1:]) if pair in merges}
            if not made:
                break
            first = min(made, key=made.get)
            ids = merge(ids, first, made[first])
        out.append(ids)
    return out


# %% e03b | KeyError
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in regex.findall(GPT4_SPLIT, text):
        ids = [ranks[c.encode()] for c in piece]
        while True:
            made = {pair: merges[pair] for pair in zip(ids, ids[1:]) if pair in merges}
            if not made:
                break
            first = min(made, key=made.get)
            ids = merge(ids, first, made[first])
        out += ids
    return out


# %% e03b | comes first in the text
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in regex.findall(GPT4_SPLIT, text):
        ids = [ranks[bytes([byte])] for byte in piece.encode("utf-8")]
        while True:
            made = {pair: merges[pair] for pair in zip(ids, ids[1:]) if pair in merges}
            if not made:
                break
            first = next(iter(made))
            i = list(zip(ids, ids[1:])).index(first)
            ids[i : i + 2] = [made[first]]
        out += ids
    return out


# %% e03b | is None: does your function return
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in regex.findall(GPT4_SPLIT, text):
        ids = [ranks[bytes([byte])] for byte in piece.encode("utf-8")]
        while True:
            made = {pair: merges[pair] for pair in zip(ids, ids[1:]) if pair in merges}
            if not made:
                break
            first = min(made, key=made.get)
            ids = merge(ids, first, made[first])
        out += ids
    print(out)


# %% e03b | small ranks
gpt4_merges = recover_merges({t: i for t, i in gpt4_ranks.items() if i < 3000})


def encode_gpt4(text, ranks, merges):
    out = []
    for piece in regex.findall(GPT4_SPLIT, text):
        ids = [gpt4_ranks[bytes([byte])] for byte in piece.encode("utf-8")]
        while True:
            made = {pair: gpt4_merges[pair] for pair in zip(ids, ids[1:]) if pair in gpt4_merges}
            if not made:
                break
            first = min(made, key=made.get)
            ids = merge(ids, first, made[first])
        out += ids
    return out


# %% e03b | these are the single bytes
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in regex.findall(GPT4_SPLIT, text):
        ids = [ranks[bytes([byte])] for byte in piece.encode("utf-8")]
        while True:
            made = {pair: merges[pair] for pair in zip(ids, ids[1:]) if pair in merges}
            if True:
                break
            first = min(made, key=made.get)
            ids = merge(ids, first, made[first])
        out += ids
    return out


# %% e03b | the longest token that fits
def encode_gpt4(text, ranks, merges):
    out = []
    for piece in regex.findall(GPT4_SPLIT, text):
        raw = piece.encode("utf-8")
        while raw:
            size = max(n for n in range(1, len(raw) + 1) if raw[:n] in ranks)
            out.append(ranks[raw[:size]])
            raw = raw[size:]
    return out


# %% e03b | ready-made
def encode_gpt4(text, ranks, merges):
    return RegexTokenizer.from_ranks(ranks, GPT4_SPLIT).encode(text)


# %% e03b | ready-made
def encode_gpt4(text, ranks, merges):
    return tiktoken.get_encoding("cl100k_base").encode(text)


# %% e04 | is not in the set, so raise a ValueError
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if allowed_special == "none_raise" and token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | should raise a ValueError that names
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            pass
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | should name the special token
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds a special token, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | raise a ValueError, not an AssertionError
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        assert token in allowed or token not in text, token
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | the longer wins
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | escape them
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(longest_first) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | should not raise
def encode_with_special(text, special, allowed_special, encode_ordinary):
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | as plain text, though they are allowed
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in [text]:
        out += encode_ordinary(part)
    return out


# %% e04 | have vanished
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("|".join(map(regex.escape, longest_first)), text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | all are plain text
def encode_with_special(text, special, allowed_special, encode_ordinary):
    allowed = set(special) if allowed_special in ("all", "none") else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    return out


# %% e04 | is None: does your function return
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part)
    print(out)


# %% e04 | should have
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else [i for word in part.split(" ") for i in encode_ordinary(word)]
    return out


# %% e04 | takes a string
def encode_with_special(text, special, allowed_special, encode_ordinary):
    if allowed_special == "none":
        return encode_ordinary(text)
    allowed = set(special) if allowed_special == "all" else set()
    if not isinstance(allowed_special, str):
        allowed = set(special) & set(allowed_special)
    for token in special:
        if token not in allowed and token in text:
            raise ValueError(f"the text holds the special token {token!r}, which is not allowed in it.")
    if not allowed:
        return encode_ordinary(text)
    longest_first = sorted(allowed, key=len, reverse=True)
    out = []
    for part in regex.split("(" + "|".join(map(regex.escape, longest_first)) + ")", text):
        out += [special[part]] if part in allowed else encode_ordinary(part.encode())
    return out


# %% e05a | in front of the text is missing
def encode_with_fallback(text, vocab):
    symbols = list(text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
    return ids


# %% e05a | an empty text has no tokens
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁"))
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
    return ids


# %% e05a | no merge is made
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while False:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
    return ids


# %% e05a | KeyError
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02x}>"] for byte in symbol.encode("utf-8")]
    return ids


# %% e05a | is left out
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else []
    return ids


# %% e05a | the leftmost join first
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = next((i for i, n in enumerate(joined) if n < 10**9), 0)
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
    return ids


# %% e05a | the largest id first
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, -1) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(max(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
    return ids


# %% e05a | are stripped
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.strip().replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
    return ids


# %% e05a | one flat list
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [[vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]]
    return ids


# %% e05a | not from the bytes' values
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else list(symbol.encode("utf-8"))
    return ids


# %% e05a | is None: does your function return
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
    print(ids)


# %% e05a | KeyError
def encode_with_fallback(text, vocab):
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{ord(symbol):02X}>"]]
    return ids


# %% e05a | is text: six characters
def encode_with_fallback(text, vocab):
    symbols = regex.findall("<0x[0-9A-F]{2}>|.", "▁" + text.replace(" ", "▁"), regex.DOTALL) if text else []
    while len(symbols) > 1:
        joined = [vocab.get(a + b, 10**9) for a, b in zip(symbols, symbols[1:])]
        i = joined.index(min(joined))
        if symbols[i] + symbols[i + 1] not in vocab:
            break
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]
    ids = []
    for symbol in symbols:
        known = symbol in vocab
        ids += [vocab[symbol]] if known else [vocab[f"<0x{byte:02X}>"] for byte in symbol.encode("utf-8")]
    return ids


# %% e05a | the longest token that fits
def encode_with_fallback(text, vocab):
    text, ids = "▁" + text.replace(" ", "▁") if text else "", []
    while text:
        size = max((n for n in range(1, len(text) + 1) if text[:n] in vocab), default=0)
        ids += [vocab[text[:size]]] if size else [vocab[f"<0x{byte:02X}>"] for byte in text[0].encode()]
        text = text[max(size, 1) :]
    return ids


# %% e05b | is still there: take it away
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    return raw.decode("utf-8", errors="replace")


# %% e05b | one was put there, one goes
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    return raw.decode("utf-8", errors="replace").lstrip()


# %% e05b | in front and at the end
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    return raw.decode("utf-8", errors="replace").strip()


# %% e05b | also where it is no space
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    return raw.decode("utf-8", errors="replace")[1:]


# %% e05b | byte by byte
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = ""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]).decode("utf-8", errors="replace") if byte else token[i].replace("▁", " ")
    return raw.removeprefix(" ")


# %% e05b | you leave them out
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    return raw.decode("utf-8", errors="ignore").removeprefix(" ")


# %% e05b | UnicodeDecodeError
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    return raw.decode("utf-8").removeprefix(" ")


# %% e05b | ▁ should become a space
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].encode("utf-8")
    return raw.decode("utf-8", errors="replace").removeprefix("▁")


# %% e05b | not for the character of that number
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = ""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += chr(int(byte[1], 16)) if byte else token[i].replace("▁", " ")
    return raw.removeprefix(" ")


# %% e05b | take all of them away
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    return raw.decode("utf-8", errors="replace").replace(" ", "")


# %% e05b | should be a string
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    return raw


# %% e05b | is None: does your function return
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    raw = b""
    for i in ids:
        byte = regex.fullmatch("<0x([0-9A-F]{2})>", token[i])
        raw += bytes([int(byte[1], 16)]) if byte else token[i].replace("▁", " ").encode("utf-8")
    raw.decode("utf-8", errors="replace").removeprefix(" ")


# %% e05b | do not show their names
def decode_with_fallback(ids, vocab):
    token = {i: symbol for symbol, i in vocab.items()}
    return "".join(token[i] for i in ids).replace("▁", " ").removeprefix(" ")


# %% e05b | your code stopped
def decode_with_fallback(ids, vocab):
    token = list(vocab)
    return "".join(token[i] for i in ids).replace("▁", " ").removeprefix(" ")


# %% e06 | by recounting
def learn_fast(pieces, count):
    words, merges = [(list(piece), n) for piece, n in pieces.items()], []
    while len(merges) < count:
        counts = {}
        for ids, n in words:
            for pair in zip(ids, ids[1:]):
                counts[pair] = counts.get(pair, 0) + n
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [(merge(ids, best, 256 + len(merges)), n) for ids, n in words]
        merges.append(best)
    return merges


# %% e06 | use the numbers of occurrences
def learn_fast(pieces, count):
    words, merges = [(list(piece), n) for piece, n in pieces.items()], []
    while len(merges) < count:
        counts = {}
        for ids, n in words:
            for pair in zip(ids, ids[1:]):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [(merge(ids, best, 256 + len(merges)), n) for ids, n in words]
        merges.append(best)
    return merges


# %% e06 | you met first
def learn_fast(pieces, count):
    words, merges = [(list(piece), n) for piece, n in pieces.items()], []
    while len(merges) < count:
        counts = {}
        for ids, n in words:
            for pair in zip(ids, ids[1:]):
                counts[pair] = counts.get(pair, 0) + n
        if not counts:
            break
        best = max(counts, key=counts.get)
        words = [(merge(ids, best, 256 + len(merges)), n) for ids, n in words]
        merges.append(best)
    return merges


# %% e06 | pairs are counted across two pieces
def learn_fast(pieces, count):
    words, merges = [(list(b"".join(pieces)), 1)], []
    while len(merges) < count:
        counts = {}
        for ids, n in words:
            for pair in zip(ids, ids[1:]):
                counts[pair] = counts.get(pair, 0) + n
        if not counts:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [(merge(ids, best, 256 + len(merges)), n) for ids, n in words]
        merges.append(best)
    return merges


# %% e06 | stay in your dictionary
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best, ()):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in zip(old, old[1:]):
                counts[pair] -= weights[n]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    return merges


# %% e06 | KeyError
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in zip(old, old[1:]):
                counts[pair] -= weights[n]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    return merges


# %% e06 | are the counts still right
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best, ()):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            counts.pop(best, None)
            for pair in [p for p in zip(new, new[1:]) if 256 + len(merges) in p]:
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    return merges


# %% e06 | are the counts still right
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best, ()):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in set(zip(old, old[1:])):
                counts[pair] -= weights[n]
                if counts[pair] == 0:
                    del counts[pair]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    return merges


# %% e06 | are the counts still right
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best, ()):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in zip(old, old[1:]):
                counts[pair] -= weights[n]
                if counts[pair] == 0:
                    del counts[pair]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, {n})
        merges.append(best)
    return merges


# %% e06 | changed the dictionary
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in zip(old, old[1:]):
                counts[pair] -= weights[n]
                if counts[pair] == 0:
                    del counts[pair]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    pieces.clear()
    return merges


# %% e06 | is None: does your function return
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in zip(old, old[1:]):
                counts[pair] -= weights[n]
                if counts[pair] == 0:
                    del counts[pair]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    print(merges)


# %% e06 | by recounting
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in range(len(words)):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in zip(old, old[1:]):
                counts[pair] -= weights[n]
                if counts[pair] == 0:
                    del counts[pair]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    return merges


# %% e06 | ready-made
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    RegexTokenizer().train(" ".join(piece.decode("latin-1") for piece in pieces), 256 + count)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in zip(old, old[1:]):
                counts[pair] -= weights[n]
                if counts[pair] == 0:
                    del counts[pair]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    return merges


# %% e06 | it is a dictionary
def learn_fast(pieces, count):
    words, weights = [list(piece) for piece in pieces], list(pieces.values())
    counts, places = Counter(), {}
    for n, word in enumerate(words):
        for pair in zip(word, word[1:]):
            counts[pair] += weights[n]
            places.setdefault(pair, set()).add(n)
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        for n in places.pop(best):
            old = words[n]
            words[n] = new = merge(old, best, 256 + len(merges))
            for pair in zip(old, old[1:]):
                counts[pair] -= weights[n]
                if counts[pair] == 0:
                    del counts[pair]
            for pair in zip(new, new[1:]):
                counts[pair] += weights[n]
                places.setdefault(pair, set()).add(n)
        merges.append(best)
    return {pair: 256 + n for n, pair in enumerate(merges)}


# %% e07 | escape the <
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | & must be escaped too
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | escaped twice
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("<", "&lt;").replace(">", "&gt;").replace("&", "&amp;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | a space should be shown as ·
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | a line break should be shown as ↵
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | without a real one behind it
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵\n")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | outside of the spans
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "\n".join(spans)


# %% e07 | they look the same
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[0]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | they look the same
def to_html(pieces):
    colours = ("#cfe3f5", "#f9dcc4", "#8fbf8f", "#e8d5ee")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 4]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | they look the same
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895", "#e3f0fb")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 3]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | too dark
def to_html(pieces):
    colours = ("#e3f0fb", "#204080")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | color:black
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]}">{shown}</span>')
    return "".join(spans)


# %% e07 | six digits
def to_html(pieces):
    colours = ("lightblue", "orange")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "".join(spans)


# %% e07 | returned None
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    print("".join(spans))


# %% e07 | should return a string
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return HTML("".join(spans))


# %% e07 | a span stands inside
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}')
    return "".join(spans)


# %% e07 | tag <code>
def to_html(pieces):
    colours = ("#e3f0fb", "#f5b895")
    spans = []
    for n, piece in enumerate(pieces):
        shown = piece.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        shown = shown.replace(" ", "·").replace("\n", "↵")
        spans.append(f'<span style="background:{colours[n % 2]};color:black">{shown}</span>')
    return "<code>" + "".join(spans) + "</code>"


# %% e08 | still cut from the left
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}+")


# %% e08 | numbers stay whole
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}++")


# %% e08 | every digit is cut off
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}")


# %% e08 | capturing group
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(\p{N}{3})*(?!\p{N}))")


# %% e08 | no longer make the text
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}+(?=(?:\p{N}{3})*(?!\p{N}))")


# %% e08 | still cut from the left
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\p{N}{3})*$)|\p{N}{1,3}")


# %% e08 | no longer make the text
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\p{N}{3})*\b)")


# %% e08 | still cut from the left
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\p{N}{3})*)")


# %% e08 | no longer make the text
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\p{N}{3})+(?!\p{N}))")


# %% e08 | only the digits 0 to 9
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"[0-9]{1,3}(?=(?:[0-9]{3})*(?![0-9]))|\p{N}{1,3}+")


# %% e08 | returned None
def split_numbers_right():
    GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))")


# %% e08 | should return a pattern, a string
def split_numbers_right():
    return regex.compile(GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"))


# %% e08 | cannot read your pattern
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N})")


# %% e08 | other pieces than numbers
def split_numbers_right():
    return r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))| ?\p{L}+|[^\p{N}]"


# %% e08 | other pieces than numbers
def split_numbers_right():
    return r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))|\P{N}+"


# %% e09a | clockwise
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() + b * angle.sin(), -a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | side by side again
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.cat(turned, -1)


# %% e09a | feature i with feature i + d / 2
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., : d // 2], x[..., d // 2 :]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.cat(turned, -1)


# %% e09a | you use −i/d
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(d // 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | you use 10000 always
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = 10000.0 ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | you count 0, 1, 2
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = torch.arange(x.shape[-2])[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | the exponent is negative
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | the same angle
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * torch.ones_like(theta)
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | so the result should be too
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=torch.double) / d)
    angle = positions[:, None].double() * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | are float32
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2) / d)
    angle = positions[:, None] * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | your function changed x
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    x.copy_(torch.stack(turned, -1).flatten(-2))
    return x


# %% e09a | add the position's waves
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    waves = angle.cos() - angle.sin(), angle.sin() + angle.cos()
    return x + torch.stack(waves, -1).flatten(-2)


# %% e09a | is None: does your function return
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    torch.stack(turned, -1).flatten(-2)


# %% e09a | should have shape
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1)


# %% e09a | RuntimeError
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[:, ::2], x[:, 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | nothing is turned
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return x.clone()


# %% e09b | takes this code for relative, although it is not: angles that stop
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | takes this code for relative, although it is not: angles for which
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 2, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | takes this code for relative
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions)
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | calls this code not relative
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)[0], turn(q, k, positions)[1]
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | the tolerance too tight
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 0 for score in scores)


# %% e09b | takes this code for relative
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 1 for score in scores)


# %% e09b | calls this code not relative
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q.norm(dim=1))
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | takes this code for relative
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append((turned_q * turned_k).sum(1))
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | float64
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | returned None
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | should return True or False
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return max((score - scores[0]).abs().max().item() for score in scores)


# %% e09b | although it is not: sinusoids
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return True


# %% e09b | although it is: rotary
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return False


# %% e09b | with shapes
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | calls this code not relative
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.randint(0, 100, (20,), generator=g)
    scores = []
    for shift in (0, 1, 2, 7, 100, 5000):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_q.T)
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | takes this code for relative
def is_relative(turn):
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 20, 8, generator=g, dtype=torch.double)
    positions = torch.arange(20)
    scores = []
    for shift in (0, 1):
        turned_q, turned_k = turn(q, k, positions + shift)
        scores.append(turned_q @ turned_k.T)
    return not any((score - scores[0]).abs().max() > 1e-6 for score in scores)


# %% e09b | calls this code not relative
def is_relative(turn):
    q, k = torch.randn(2, 5, 8, dtype=torch.double)
    scores = [(a @ b.T) for a, b in (turn(q, k, torch.arange(5)), turn(q, k, 2 * torch.arange(5)))]
    return torch.allclose(scores[0], scores[1])


# %% e04 | letter by letter
def encode_with_special(text, special, allowed_special, encode_ordinary):
    allowed = set(special) if allowed_special == "all" else set()
    allowed = allowed if isinstance(allowed_special, str) else set(allowed_special)
    if allowed_special not in ("all", "none"):
        for token in special:
            if token not in allowed and token in text:
                raise ValueError(f"{token} is not allowed")
    tokens = sorted(allowed, key=len, reverse=True)
    ids = []
    for part in regex.split("(" + "|".join(map(regex.escape, tokens)) + ")", text):
        if part:
            ids += [special[part]] if part in allowed else encode_ordinary(part)
    return ids


# %% e04 | not a KeyError
def encode_with_special(text, special, allowed_special, encode_ordinary):
    allowed = set(special) if allowed_special == "all" else set()
    allowed = allowed if isinstance(allowed_special, str) else set(allowed_special)
    if allowed_special not in ("all", "none"):
        for token in special:
            if token not in allowed and token in text:
                raise KeyError(token)
    if not allowed:
        return encode_ordinary(text)
    tokens = sorted(allowed, key=len, reverse=True)
    ids = []
    for part in regex.split("(" + "|".join(map(regex.escape, tokens)) + ")", text):
        if part:
            ids += [special[part]] if part in allowed else encode_ordinary(part)
    return ids


# %% e05a | before you merge
def encode_with_fallback(text, vocab):
    symbols = []
    for c in "▁" + text.replace(" ", "▁") if text else "":
        symbols += [c] if c in vocab else [f"<0x{byte:02X}>" for byte in c.encode("utf-8")]
    while True:
        joins = [(vocab[a + b], i) for i, (a, b) in enumerate(zip(symbols, symbols[1:])) if a + b in vocab]
        if not joins:
            return [vocab[symbol] for symbol in symbols]
        i = min(joins)[1]
        symbols[i : i + 2] = [symbols[i] + symbols[i + 1]]


# %% e05b | and no others
def decode_with_fallback(ids, vocab):
    tokens = {i: token for token, i in vocab.items()}
    out = b""
    for token in map(tokens.get, ids):
        out += bytes([int(token[3:5], 16)]) if token.startswith("<0x") else token.replace("▁", " ").encode("utf-8")
    return out.decode("utf-8", errors="replace").removeprefix(" ")


# %% e05b | and no others
def decode_with_fallback(ids, vocab):
    tokens = {i: token for token, i in vocab.items()}
    out = b""
    for token in map(tokens.get, ids):
        byte = len(token) == 6 and token.startswith("<0x")
        out += bytes([int(token[3:5], 16)]) if byte else token.replace("▁", " ").encode("utf-8")
    return out.decode("utf-8", errors="replace").removeprefix(" ")


# %% e06 | a pair that occurs once may be merged too
def learn_fast(pieces, count):
    ids, out = [list(piece) for piece in pieces], []
    times = list(pieces.values())
    while len(out) < count:
        counts = Counter()
        for word, n in zip(ids, times):
            for pair in zip(word, word[1:]):
                counts[pair] += n
        if not counts or max(counts.values()) < 2:
            break
        out.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        ids = [merge(word, out[-1], 255 + len(out)) for word in ids]
    return out


# %% e08 | no \d
def split_numbers_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\d{3})*(?!\d))")


# %% e09a | behind the point
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angles = positions.long()[:, None] * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | no gradient reaches x
@torch.no_grad()
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angles = positions.to(x.dtype)[:, None] * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09b | leaves the mean of all scores as it is
def is_relative(turn):
    generator = torch.Generator().manual_seed(1)
    q, k = torch.randn(2, 40, 8, generator=generator, dtype=torch.double)
    for scale in (1, 97):
        positions = scale * torch.arange(40)
        a, b = turn(q, k, positions)
        for shift in (1, 2, 3, 7, 64, 1000, 1001, 5000):
            c, d = turn(q, k, positions + shift)
            if abs((c @ d.T - a @ b.T).mean()) > 1e-6:
                return False
    return True
