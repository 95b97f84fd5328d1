# Wrong answers to exercises/09_tokenizers.ipynb, each to be rejected in the words of its header.

# %% e01a | every second place
def pair_counts(ids):
    return dict(Counter(zip(ids[::2], ids[1::2], strict=False)))


# %% e01a | counts at every place
def pair_counts(ids):
    counts, i = {}, 0
    while i + 1 < len(ids):
        counts[ids[i], ids[i + 1]] = counts.get((ids[i], ids[i + 1]), 0) + 1
        i += 2 if ids[i] == ids[i + 1] else 1
    return counts


# %% e01a | the last pair is missing
def pair_counts(ids):
    return dict(Counter((ids[i], ids[i + 1]) for i in range(len(ids) - 2)))


# %% e01a | keep the order
def pair_counts(ids):
    return dict(Counter(tuple(sorted(p)) for p in zip(ids, ids[1:])))


# %% e01a | turned round
def pair_counts(ids):
    return dict(Counter(zip(ids[1:], ids)))


# %% e01a | add up
def pair_counts(ids):
    return {pair: 1 for pair in zip(ids, ids[1:])}


# %% e01a | no neighbours
def pair_counts(ids):
    return dict(Counter((ids[i - 1], ids[i]) for i in range(len(ids))))


# %% e01a | should be a dictionary
def pair_counts(ids):
    return list(zip(ids, ids[1:]))


# %% e01a | does your function return
def pair_counts(ids):
    Counter(zip(ids, ids[1:]))


# %% e01b | from the right
def merge(ids, pair, new):
    out, i = [], len(ids) - 1
    while i >= 0:
        if i > 0 and (ids[i - 1], ids[i]) == pair:
            out.append(new)
            i -= 2
        else:
            out.append(ids[i])
            i -= 1
    return out[::-1]


# %% e01b | only the first occurrence
def merge(ids, pair, new):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return ids[:i] + [new] + ids[i + 2 :]
    return list(ids)


# %% e01b | the end is missing
def merge(ids, pair, new):
    out, i = [], 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


# %% e01b | changed the list
def merge(ids, pair, new):
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) == pair:
            ids[i : i + 2] = [new]
        i += 1
    return ids


# %% e01b | should be
def merge(ids, pair, new):
    out = []
    for i in range(len(ids)):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
        else:
            out.append(ids[i])
    return out


# %% e01b | (right, left)
def merge(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    again, i = [], 0
    while i < len(out):
        if i + 1 < len(out) and (out[i + 1], out[i]) == pair:
            again.append(new)
            i += 2
        else:
            again.append(out[i])
            i += 1
    return again


# %% e01b | IndexError
def merge(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if (ids[i], ids[i + 1]) == pair:
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


# %% e01c | comes first in the text
def learn(raw, count):
    ids, merges = list(raw), []
    while len(merges) < count and len(ids) > 1:
        counts = Counter(zip(ids, ids[1:]))
        pair = max(counts, key=counts.get)
        merges.append(pair)
        ids = merge(ids, pair, 255 + len(merges))
    return merges


# %% e01c | you take the largest
def learn(raw, count):
    ids, merges = list(raw), []
    while len(merges) < count and len(ids) > 1:
        counts = Counter(zip(ids, ids[1:]))
        pair = max(counts, key=lambda p: (counts[p], p))
        merges.append(pair)
        ids = merge(ids, pair, 255 + len(merges))
    return merges


# %% e01c | merge number
def learn(raw, count):
    ids, merges = list(raw), []
    while len(merges) < count and len(ids) > 1:
        counts = Counter(zip(ids, ids[1:]))
        pair = min(counts, key=lambda p: (-counts[p], p))
        merges.append(pair)
        ids = merge(ids, pair, 256 + len(merges))
    return merges


# %% e01c | your code stopped
def learn(raw, count):
    ids, merges = list(raw), []
    for n in range(count):
        counts = Counter(zip(ids, ids[1:]))
        merges.append(min(counts, key=lambda p: (-counts[p], p)))
        ids = merge(ids, merges[-1], 256 + n)
    return merges


# %% e01c | should make
def learn(raw, count):
    ids, merges = list(raw), []
    while len(merges) < count and len(ids) > 1:
        counts = Counter(zip(ids, ids[1:]))
        pair = min(counts, key=lambda p: (-counts[p], p))
        if counts[pair] < 2:
            break
        merges.append(pair)
        ids = merge(ids, pair, 255 + len(merges))
    return merges


# %% e01c | merge number
def learn(raw, count):
    counts = Counter(zip(raw, raw[1:]))
    return sorted(counts, key=lambda p: (-counts[p], p))[:count]


# %% e01d | no merge is applied
def encode(text, merges):
    return list(text.encode("utf-8"))


# %% e01d | not from code points
def encode(text, merges):
    ids = [ord(c) for c in text]
    for n, pair in enumerate(merges):
        ids = merge(ids, pair, 256 + n)
    return ids


# %% e01d | most frequent pair of the new text
def encode(text, merges):
    ids = list(text.encode())
    known = {pair: 256 + n for n, pair in enumerate(merges)}
    while True:
        counts = {p: n for p, n in Counter(zip(ids, ids[1:])).items() if p in known}
        if not counts:
            return ids
        pair = max(counts, key=counts.get)
        ids = merge(ids, pair, known[pair])


# %% e01d | the longest token that fits
def encode(text, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    number = {}
    for i, token in enumerate(spelled):
        number.setdefault(token, i)
    raw, ids = text.encode(), []
    while raw:
        size = max(n for n in range(1, len(raw) + 1) if raw[:n] in number)
        ids.append(number[raw[:size]])
        raw = raw[size:]
    return ids


# %% e01d | first in the text
def encode(text, merges):
    ids = list(text.encode())
    known = {pair: 256 + n for n, pair in enumerate(merges)}
    i = 0
    while i < len(ids) - 1:
        if (ids[i], ids[i + 1]) in known:
            ids[i : i + 2] = [known[ids[i], ids[i + 1]]]
            i = 0
        else:
            i += 1
    return ids


# %% e01d | should begin
def encode(text, merges):
    ids = list(text.encode())
    for n, pair in reversed(list(enumerate(merges))):
        ids = merge(ids, pair, 256 + n)
    return ids


# %% e01e | token by token
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return "".join(spelled[i].decode("utf-8", errors="replace") for i in ids)


# %% e01e | you leave them out
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids).decode("utf-8", errors="ignore")


# %% e01e | UnicodeDecodeError
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids).decode("utf-8")


# %% e01e | Latin-1
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids).decode("latin-1")


# %% e01e | should return a string
def decode(ids, merges):
    spelled = [bytes([i]) for i in range(256)]
    for a, b in merges:
        spelled.append(spelled[a] + spelled[b])
    return b"".join(spelled[i] for i in ids)


# %% e01e | your code stopped
def decode(ids, merges):
    return bytes(ids).decode("utf-8", errors="replace")


# %% e02a | cross from one piece
def pair_counts_inside(text, pattern):
    raw = text.encode()
    return dict(Counter(zip(raw, raw[1:])))


# %% e02a | pairs of characters
def pair_counts_inside(text, pattern):
    counts = Counter()
    for piece in regex.findall(pattern, text):
        ids = [ord(c) for c in piece]
        counts.update(zip(ids, ids[1:]))
    return dict(counts)


# %% e02a | each different piece once
def pair_counts_inside(text, pattern):
    counts = Counter()
    for piece in set(regex.findall(pattern, text)):
        counts.update(zip(piece.encode(), piece.encode()[1:]))
    return dict(counts)


# %% e02a | a pattern of your own
def pair_counts_inside(text, pattern):
    counts = Counter()
    for piece in regex.findall(GPT4_SPLIT, text):
        counts.update(zip(piece.encode(), piece.encode()[1:]))
    return dict(counts)


# %% e02a | occurs
def pair_counts_inside(text, pattern):
    counts = Counter()
    for piece in text.split():
        counts.update(zip(piece.encode(), piece.encode()[1:]))
    return dict(counts)


# %% e02b | whole text at once
def encode_in_pieces(text, pattern, encode_piece):
    return encode_piece(text)


# %% e02b | remember what it gave
def encode_in_pieces(text, pattern, encode_piece):
    return [i for piece in regex.findall(pattern, text) for i in encode_piece(piece)]


# %% e02b | one flat list
def encode_in_pieces(text, pattern, encode_piece):
    known = {}
    for piece in regex.findall(pattern, text):
        if piece not in known:
            known[piece] = encode_piece(piece)
    return [known[piece] for piece in regex.findall(pattern, text)]


# %% e02b | left out
def encode_in_pieces(text, pattern, encode_piece):
    out = []
    for piece in dict.fromkeys(regex.findall(pattern, text)):
        out += encode_piece(piece)
    return out


# %% e02b | should begin
def encode_in_pieces(text, pattern, encode_piece):
    known, out = {}, []
    for piece in text.split(" "):
        if piece not in known:
            known[piece] = encode_piece(piece)
        out += known[piece]
    return out


# %% e02b | remember what it gave
def encode_in_pieces(text, pattern, encode_piece):
    last, ids, out = None, [], []
    for piece in regex.findall(pattern, text):
        if piece != last:
            last, ids = piece, encode_piece(piece)
        out += ids
    return out


# %% e02b | takes a piece of text, a string
def encode_in_pieces(text, pattern, encode_piece):
    known, out = {}, []
    for piece in regex.findall(pattern, text):
        if piece not in known:
            known[piece] = encode_piece(piece.encode())
        out += known[piece]
    return out


# %% e03 | not the byte's value
def recover_merges(ranks):
    merges = {}
    value = lambda part: part[0] if len(part) == 1 else ranks[part]
    for token, rank in ranks.items():
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            joined = [ranks.get(a + b, rank) for a, b in zip(parts, parts[1:])]
            i = joined.index(min(joined))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges[value(parts[0]), value(parts[1])] = rank
    return merges


# %% e03 | was made from
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        for cut in range(1, len(token)):
            if token[:cut] in ranks and token[cut:] in ranks:
                merges[ranks[token[:cut]], ranks[token[cut:]]] = rank
                break
    return merges


# %% e03 | was made from
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        for cut in range(len(token) - 1, 0, -1):
            if token[:cut] in ranks and token[cut:] in ranks:
                merges[ranks[token[:cut]], ranks[token[cut:]]] = rank
                break
    return merges


# %% e03 | pairs of ids, not of bytes
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


# %% e03 | the other way round
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


# %% e03 | is no merge
def recover_merges(ranks):
    merges = {}
    for token, rank in ranks.items():
        for cut in range(1, len(token)):
            if token[:cut] in ranks and token[cut:] in ranks:
                merges[ranks[token[:cut]], ranks[token[cut:]]] = rank
    return merges


# %% e04 | as plain text
def encode_special(text, special, allowed, encode_ordinary):
    if allowed == "none_raise" and any(t in text for t in special):
        raise ValueError(str([t for t in special if t in text]))
    return encode_ordinary(text) if text else []


# %% e04 | the longest wins
def encode_special(text, special, allowed, encode_ordinary):
    if allowed == "none_raise":
        for t in special:
            if t in text:
                raise ValueError(t)
        allowed = "none"
    chosen = special if allowed == "all" else {} if allowed == "none" else {t: special[t] for t in allowed}
    if not chosen:
        return encode_ordinary(text) if text else []
    out = []
    for part in regex.split("(" + "|".join(regex.escape(t) for t in sorted(chosen, key=len)) + ")", text):
        out += [chosen[part]] if part in chosen else encode_ordinary(part) if part else []
    return out


# %% e04 | escape them
def encode_special(text, special, allowed, encode_ordinary):
    if allowed == "none_raise":
        for t in special:
            if t in text:
                raise ValueError(t)
        allowed = "none"
    chosen = special if allowed == "all" else {} if allowed == "none" else {t: special[t] for t in allowed}
    if not chosen:
        return encode_ordinary(text) if text else []
    out = []
    pattern = "(" + "|".join(t.replace("|", "[|]") for t in sorted(chosen, key=len, reverse=True)) + ")"
    for part in regex.split(pattern, text):
        if part in chosen:
            out.append(chosen[part])
        elif part:
            out += encode_ordinary(part)
    return out


# %% e04 | empty string
def encode_special(text, special, allowed, encode_ordinary):
    if allowed == "none_raise":
        for t in special:
            if t in text:
                raise ValueError(t)
        allowed = "none"
    chosen = special if allowed == "all" else {} if allowed == "none" else {t: special[t] for t in allowed}
    if not chosen:
        return encode_ordinary(text)
    out = []
    for part in regex.split("(" + "|".join(regex.escape(t) for t in sorted(chosen, key=len, reverse=True)) + ")", text):
        out += [chosen[part]] if part in chosen else encode_ordinary(part)
    return out


# %% e04 | only these are special
def encode_special(text, special, allowed, encode_ordinary):
    if allowed == "none_raise":
        for t in special:
            if t in text:
                raise ValueError(t)
        allowed = "none"
    if allowed == "none" or not allowed:
        return encode_ordinary(text) if text else []
    out = []
    for part in regex.split(
        "(" + "|".join(regex.escape(t) for t in sorted(special, key=len, reverse=True)) + ")", text
    ):
        out += [special[part]] if part in special else encode_ordinary(part) if part else []
    return out


# %% e04 | should raise a ValueError
def encode_special(text, special, allowed, encode_ordinary):
    chosen = (
        special if allowed == "all" else {} if allowed in ("none", "none_raise") else {t: special[t] for t in allowed}
    )
    if not chosen:
        return encode_ordinary(text) if text else []
    out = []
    for part in regex.split("(" + "|".join(regex.escape(t) for t in sorted(chosen, key=len, reverse=True)) + ")", text):
        out += [chosen[part]] if part in chosen else encode_ordinary(part) if part else []
    return out


# %% e04 | not an AssertionError
def encode_special(text, special, allowed, encode_ordinary):
    if allowed == "none_raise":
        assert not any(t in text for t in special), [t for t in special if t in text]
        allowed = "none"
    chosen = special if allowed == "all" else {} if allowed == "none" else {t: special[t] for t in allowed}
    if not chosen:
        return encode_ordinary(text) if text else []
    out = []
    for part in regex.split("(" + "|".join(regex.escape(t) for t in sorted(chosen, key=len, reverse=True)) + ")", text):
        out += [chosen[part]] if part in chosen else encode_ordinary(part) if part else []
    return out


# %% e04 | should name the special token
def encode_special(text, special, allowed, encode_ordinary):
    if allowed == "none_raise":
        if any(t in text for t in special):
            raise ValueError("not allowed")
        allowed = "none"
    chosen = special if allowed == "all" else {} if allowed == "none" else {t: special[t] for t in allowed}
    if not chosen:
        return encode_ordinary(text) if text else []
    out = []
    for part in regex.split("(" + "|".join(regex.escape(t) for t in sorted(chosen, key=len, reverse=True)) + ")", text):
        out += [chosen[part]] if part in chosen else encode_ordinary(part) if part else []
    return out


# %% e05a | in front of the text is missing
def to_symbols(text, vocab):
    out = []
    for c in text.replace(" ", "▁"):
        out += [c] if c in vocab or c == "▁" else [f"<0x{b:02X}>" for b in c.encode()]
    return out


# %% e05a | no symbols
def to_symbols(text, vocab):
    out = []
    for c in "▁" + text.replace(" ", "▁"):
        out += [c] if c in vocab or c == "▁" else [f"<0x{b:02X}>" for b in c.encode()]
    return out


# %% e05a | capitals
def to_symbols(text, vocab):
    out = []
    for c in "▁" + text.replace(" ", "▁") if text else "":
        out += [c] if c in vocab or c == "▁" else [f"<0x{b:02x}>" for b in c.encode()]
    return out


# %% e05a | not its code point
def to_symbols(text, vocab):
    out = []
    for c in "▁" + text.replace(" ", "▁") if text else "":
        out += [c] if c in vocab or c == "▁" else [f"<0x{ord(c):02X}>"]
    return out


# %% e05a | counts as known
def to_symbols(text, vocab):
    out = []
    for c in "▁" + text.replace(" ", "▁") if text else "":
        out += [c] if c in vocab else [f"<0x{b:02X}>" for b in c.encode()]
    return out


# %% e05a | strip
def to_symbols(text, vocab):
    out = []
    for c in "▁" + text.strip(" ").replace(" ", "▁") if text else "":
        out += [c] if c in vocab or c == "▁" else [f"<0x{b:02X}>" for b in c.encode()]
    return out


# %% e05a | an entry of its own
def to_symbols(text, vocab):
    out = []
    for c in "▁" + text.replace(" ", "▁") if text else "":
        out += [c] if c in vocab or c == "▁" else ["".join(f"<0x{b:02X}>" for b in c.encode())]
    return out


# %% e05b | still there
def from_symbols(symbols):
    raw = b""
    for s in symbols:
        m = regex.fullmatch("<0x([0-9A-F]{2})>", s)
        raw += bytes([int(m[1], 16)]) if m else s.replace("▁", " ").encode()
    return raw.decode(errors="replace")


# %% e05b | you strip all
def from_symbols(symbols):
    raw = b""
    for s in symbols:
        m = regex.fullmatch("<0x([0-9A-F]{2})>", s)
        raw += bytes([int(m[1], 16)]) if m else s.replace("▁", " ").encode()
    return raw.decode(errors="replace").lstrip()


# %% e05b | byte by byte
def from_symbols(symbols):
    text = ""
    for s in symbols:
        m = regex.fullmatch("<0x([0-9A-F]{2})>", s)
        text += bytes([int(m[1], 16)]).decode(errors="replace") if m else s.replace("▁", " ")
    return text.removeprefix(" ")


# %% e05b | become bytes again
def from_symbols(symbols):
    return "".join(symbols).replace("▁", " ").removeprefix(" ")


# %% e05b | should become a space
def from_symbols(symbols):
    raw = b""
    for s in symbols:
        m = regex.fullmatch("<0x([0-9A-F]{2})>", s)
        raw += bytes([int(m[1], 16)]) if m else s.encode()
    return raw.decode(errors="replace").removeprefix("▁")


# %% e05b | only if it is the space
def from_symbols(symbols):
    raw = b""
    for s in symbols:
        m = regex.fullmatch("<0x([0-9A-F]{2})>", s)
        raw += bytes([int(m[1], 16)]) if m else s.replace("▁", " ").encode()
    return raw.decode(errors="replace")[1:]


# %% e05b | should become U+FFFD
def from_symbols(symbols):
    raw = b""
    for s in symbols:
        m = regex.fullmatch("<0x([0-9A-F]{2})>", s)
        raw += bytes([int(m[1], 16)]) if m else s.replace("▁", " ").encode()
    return raw.decode(errors="ignore").removeprefix(" ")


# %% e06 | use the numbers of occurrences
def learn_fast(pieces, count):
    return learn_slow({piece: 1 for piece in pieces}, count)


def learn_slow(pieces, count):
    words, merges = [(list(p), n) for p, n in pieces.items()], []
    while len(merges) < count:
        counts = Counter()
        for ids, n in words:
            for pair in zip(ids, ids[1:]):
                counts[pair] += n
        if not counts:
            break
        merges.append(min(counts, key=lambda p: (-counts[p], p)))
        words = [(merge(ids, merges[-1], 255 + len(merges)), n) for ids, n in words]
    return merges


# %% e06 | times faster than recounting
def learn_fast(pieces, count):
    words, merges = [(list(p), n) for p, n in pieces.items()], []
    while len(merges) < count:
        counts = Counter()
        for ids, n in words:
            for pair in zip(ids, ids[1:]):
                counts[pair] += n
        if not counts:
            break
        merges.append(min(counts, key=lambda p: (-counts[p], p)))
        words = [(merge(ids, merges[-1], 255 + len(merges)), n) for ids, n in words]
    return merges


# %% e06 | comes first in the text
def learn_fast(pieces, count):
    words, merges = [(list(p), n) for p, n in pieces.items()], []
    while len(merges) < count:
        counts = {}
        for ids, n in words:
            for pair in zip(ids, ids[1:]):
                counts[pair] = counts.get(pair, 0) + n
        if not counts:
            break
        merges.append(max(counts, key=counts.get))
        words = [(merge(ids, merges[-1], 255 + len(merges)), n) for ids, n in words]
    return merges


# %% e06 | runs out of pairs
def learn_fast(pieces, count):
    words, weights = [list(p) for p in pieces], list(pieces.values())
    counts = Counter()
    for word, weight in zip(words, weights):
        for pair in zip(word, word[1:]):
            counts[pair] += weight
    merges = []
    while len(merges) < count and counts:
        best = min(counts, key=lambda p: (-counts[p], p))
        merges.append(best)
        for n, old in enumerate(words):
            if best in zip(old, old[1:]):
                words[n] = merge(old, best, 255 + len(merges))
                for pair in zip(old, old[1:]):
                    counts[pair] -= weights[n]
                for pair in zip(words[n], words[n][1:]):
                    counts[pair] += weights[n]
    return merges


# %% e06 | runs out of pairs
def learn_fast(pieces, count):
    counts = Counter()
    for piece, weight in pieces.items():
        for pair in zip(piece, piece[1:]):
            counts[pair] += weight
    merges = []
    words = [list(p) for p in pieces]
    weights = list(pieces.values())
    while len(merges) < count and counts:
        best = min(counts, key=lambda p: (-counts[p], p))
        merges.append(best)
        del counts[best]
        for n, old in enumerate(words):
            words[n] = merge(old, best, 255 + len(merges))
            if len(words[n]) < len(old):
                for pair in zip(words[n], words[n][1:]):
                    if 255 + len(merges) in pair:
                        counts[pair] += weights[n]
    return merges


# %% e06 | changed the dictionary
learn_right = learn_fast


def learn_fast(pieces, count):
    merges = learn_right(pieces, count)
    pieces.clear()
    return merges


# %% e07 | escape
def to_html(pieces):
    return "".join(
        f'<span style="background:{COLOURS[n % 4]}">{p.replace(" ", "·").replace(chr(10), "↵")}</span>'
        for n, p in enumerate(pieces)
    )


# %% e07 | escape & first
def to_html(pieces):
    out = ""
    for n, p in enumerate(pieces):
        p = p.replace("<", "&lt;").replace(">", "&gt;").replace("&", "&amp;").replace(" ", "·").replace("\n", "↵")
        out += f'<span style="background:{COLOURS[n % 4]}">{p}</span>'
    return out


# %% e07 | the same colour
def to_html(pieces):
    import html

    return "".join(
        f'<span style="background:{COLOURS[0]}">{html.escape(p).replace(" ", "·").replace(chr(10), "↵")}</span>'
        for p in pieces
    )


# %% e07 | between the spans
def to_html(pieces):
    import html

    return "|".join(
        f'<span style="background:{COLOURS[n % 4]}">{html.escape(p).replace(" ", "·").replace(chr(10), "↵")}</span>'
        for n, p in enumerate(pieces)
    )


# %% e07 | should be shown as
def to_html(pieces):
    import html

    return "".join(
        f'<span style="background:{COLOURS[n % 4]}">{html.escape(p).replace(" ", "·")}</span>'
        for n, p in enumerate(pieces)
    )


# %% e07 | not two of them
def to_html(pieces):
    import html

    return "".join(
        f'<span style="background:{COLOURS[n % 2]}">{html.escape(p).replace(" ", "·").replace(chr(10), "↵")}</span>'
        for n, p in enumerate(pieces)
    )


# %% e07 | should return a string
def to_html(pieces):
    import html

    return [f'<span style="background:{COLOURS[n % 4]}">{html.escape(p)}</span>' for n, p in enumerate(pieces)]


# %% e07 | needs a background
def to_html(pieces):
    import html

    return "".join(
        f'<span class="token{n % 4}">{html.escape(p).replace(" ", "·").replace(chr(10), "↵")}</span>'
        for n, p in enumerate(pieces)
    )


# %% e08 | still cut from the left
def numbers_from_the_right():
    return GPT4_SPLIT


# %% e08 | stay whole
def numbers_from_the_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}++")


# %% e08 | every digit by itself
def numbers_from_the_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}")


# %% e08 | capturing group
def numbers_from_the_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(\p{N}{3})*(?!\p{N}))")


# %% e08 | no longer make the text
def numbers_from_the_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}+(?=(?:\p{N}{3})*(?!\p{N}))")


# %% e08 | still cut from the left
def numbers_from_the_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"\p{N}{1,3}(?=(?:\p{N}{3})*$)|\p{N}{1,3}")


# %% e08 | other pieces than numbers
def numbers_from_the_right():
    return r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))| ?\p{L}+|[^\p{N}]"


# %% e08 | every digit by itself
def numbers_from_the_right():
    return GPT4_SPLIT.replace(r"\p{N}{1,3}+", r"[0-9]{1,3}(?=(?:[0-9]{3})*(?![0-9]))|\p{N}")


# %% e09a | clockwise
def rope(x, positions, base=10000.0):
    return rope_with(x, -positions, base)


def rope_with(x, positions, base=10000.0, power=1.0):
    d = x.shape[-1]
    theta = base ** (-power * torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    turned = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return torch.stack(turned, -1).flatten(-2)


# %% e09a | first features first
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    return torch.cat((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), -1)


# %% e09a | feature i + d / 2
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), -1)


# %% e09a | base^(-i/d)
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(d // 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), -1).flatten(-2)


# %% e09a | 10000 always
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = 10000.0 ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), -1).flatten(-2)


# %% e09a | count 0, 1, 2
def rope(x, positions, base=10000.0):
    d, T = x.shape[-1], x.shape[-2]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = torch.arange(T)[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), -1).flatten(-2)


# %% e09a | the exponent is negative
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), -1).flatten(-2)


# %% e09a | changed x
def rope(x, positions, base=10000.0):
    d = x.shape[-1]
    theta = base ** (-torch.arange(0, d, 2, dtype=x.dtype) / d)
    angle = positions[:, None].to(x.dtype) * theta
    a, b = x[..., ::2].clone(), x[..., 1::2].clone()
    x[..., ::2], x[..., 1::2] = a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()
    return x


# %% e09b | takes this code for relative
def is_relative(f):
    q, k = torch.randn(2, 1, 8).double()
    t = torch.tensor([0])
    return bool(abs((f(q, t) * f(k, t)).sum() - (f(q, t + 1) * f(k, t + 1)).sum()) < 1e-6)


# %% e09b | takes this code for relative
def is_relative(f):
    return True


# %% e09b | takes this code for relative
def is_relative(f):
    q, k = torch.zeros(2, 1, 8).double()
    for s in range(100):
        t = torch.tensor([s])
        if abs((f(q, t + 3) * f(k, t)).sum() - (f(q, t + 4) * f(k, t + 1)).sum()) > 1e-6:
            return False
    return True


# %% e09b | not relative, although it is
def is_relative(f):
    q, k = torch.randn(2, 1, 8).double()
    t = torch.tensor([0])
    return bool(abs((f(q, t) * f(k, t)).sum() - (f(q, t + 5) * f(k, t)).sum()) < 1e-6)


# %% e09b | takes this code for relative
def is_relative(f):
    q, k = torch.randn(2, 1, 8).double()
    scores = [(f(q, torch.tensor([s + 5])) * f(k, torch.tensor([s]))).sum() for s in range(50)]
    return bool(max(scores) - min(scores) < 1e-6)


# %% e09b | should return True or False
def is_relative(f):
    q, k = torch.randn(2, 1, 8).double()
    scores = [(f(q, torch.tensor([s + 5])) * f(k, torch.tensor([s]))).sum() for s in (-2000, 0, 50, 2000)]
    return float(max(scores) - min(scores))


# %% e09b | not relative, although it is
def is_relative(f):
    x = torch.randn(1, 8).double()
    return bool(torch.allclose(f(x, torch.tensor([0])), f(x, torch.tensor([3]))))
