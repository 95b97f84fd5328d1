# Wrong answers to exercises/10_gpt2_124m.ipynb, each to be rejected in the words of its header.

# %% x01 | count it once
def parameter_count(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return 2 * vocab_size * C + block_size * C + n_layer * (12 * C * C + 13 * C) + 2 * C


# %% x01 | the position embedding is missing
def parameter_count(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return vocab_size * C + n_layer * (12 * C * C + 13 * C) + 2 * C


# %% x01 | behind the last block
def parameter_count(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 13 * C)


# %% x01 | biases of the linear layers
def parameter_count(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 4 * C) + 2 * C


# %% x01 | a weight and a bias
def parameter_count(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 11 * C) + C


# %% x01 | the projection behind the heads
def parameter_count(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (11 * C * C + 12 * C) + 2 * C


# %% x01 | you count one block
def parameter_count(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return (vocab_size + block_size) * C + 12 * C * C + 13 * C + 2 * C


# %% x01 | parameters, but you
def parameter_count(vocab_size, block_size, n_layer, n_embd):
    return 124_439_808


# %% x02 | forward pass alone
def flops_per_token(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return 2 * (12 * n_layer * C * C + C * vocab_size) + 4 * n_layer * block_size * C


# %% x02 | the last layer is missing
def flops_per_token(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return 6 * 12 * n_layer * C * C + 12 * n_layer * block_size * C


# %% x02 | scores and means are missing
def flops_per_token(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size)


# %% x02 | with the keys, and with the values
def flops_per_token(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size) + 6 * n_layer * block_size * C


# %% x02 | two operations
def flops_per_token(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return 3 * (12 * n_layer * C * C + C * vocab_size) + 6 * n_layer * block_size * C


# %% x02 | whole row
def flops_per_token(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return block_size * (6 * (12 * n_layer * C * C + C * vocab_size) + 12 * n_layer * block_size * C)


# %% x02 | three times in all
def flops_per_token(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return 4 * (12 * n_layer * C * C + C * vocab_size) + 8 * n_layer * block_size * C


# %% x02 | free
def flops_per_token(vocab_size, block_size, n_layer, n_embd):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size + C * block_size) + 12 * n_layer * block_size * C


# %% x03 | whatever its name is
def decay_groups(model, weight_decay):
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for n, p in named if n.endswith("weight")], "weight_decay": weight_decay},
        {"params": [p for n, p in named if not n.endswith("weight")], "weight_decay": 0.0},
    ]


# %% x03 | is frozen
def decay_groups(model, weight_decay):
    return [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]


# %% x03 | a tied matrix has two names
def decay_groups(model, weight_decay):
    ps = [p for _, p in model.named_parameters(remove_duplicate=False) if p.requires_grad]
    return [
        {"params": [p for p in ps if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0},
    ]


# %% x03 | no parameters of the model
def decay_groups(model, weight_decay):
    ps = list(model.state_dict().values())
    return [
        {"params": [p for p in ps if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0},
    ]


# %% x03 | exchanged
def decay_groups(model, weight_decay):
    ps = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in ps if p.ndim < 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p.ndim >= 2], "weight_decay": 0.0},
    ]


# %% x03 | the first group's is
def decay_groups(model, weight_decay):
    ps = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in ps if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0},
    ]


# %% x03 | whatever its name is
def decay_groups(model, weight_decay):
    ps = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in ps if p.ndim == 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p.ndim != 2], "weight_decay": 0.0},
    ]


# %% x03 | is in no group
def decay_groups(model, weight_decay):
    ps = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in ps if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p.ndim == 1], "weight_decay": 0.0},
    ]


# %% x04 | peak / warmup
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * step / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% x04 | one step later than yours
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (steps - 1 - warmup))) / 2


# %% x04 | straight line down
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return peak - (peak - floor) * (step - warmup) / (steps - warmup)


# %% x04 | falls to 0
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% x04 | not at step 0
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * step / steps)) / 2


# %% x04 | behind the end
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% x04 | ZeroDivisionError
def learning_rate(step, peak, warmup, steps, floor):
    rise = (step + 1) / warmup
    share = min(max((step - warmup) / (steps - warmup), 0), 1)
    fall = floor + (peak - floor) * (1 + math.cos(math.pi * share)) / 2
    return min(peak * rise, fall)


# %% x05 | as much weight as a large one
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    total = 0.0
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten()) / len(parts)
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | too long
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    total = 0.0
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | rows at once
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    x, y = torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item(), norm.item()


# %% x05 | weigh by rows
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    total, rows = 0.0, sum(len(x) for x, _ in parts)
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten()) * len(x) / rows
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | those of -100 do not count
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    total, count = 0.0, sum(y.numel() for _, y in parts)
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | not clipped
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    total, count = 0.0, sum((y != -100).sum().item() for _, y in parts)
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    optimizer.step()
    return total, norm.item()


# %% x05 | clip the joint gradient once
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    total, count = 0.0, sum((y != -100).sum().item() for _, y in parts)
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | old gradients
def accumulated_step(model, optimizer, parts, max_norm):
    total, count = 0.0, sum((y != -100).sum().item() for _, y in parts)
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | only the last part's gradient
def accumulated_step(model, optimizer, parts, max_norm):
    total = 0.0
    for x, y in parts:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        total += loss.item() / len(parts)
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | stepped
def accumulated_step(model, optimizer, parts, max_norm):
    total = 0.0
    for x, y in parts:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
        total += loss.item() / len(parts)
    return total, norm.item()


# %% x05 | before clipping
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    total, count = 0.0, sum((y != -100).sum().item() for _, y in parts)
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    optimizer.step()
    return total, norm.item()


# %% x05 | the loss of the whole batch
def accumulated_step(model, optimizer, parts, max_norm):
    optimizer.zero_grad()
    count = sum((y != -100).sum().item() for _, y in parts)
    for x, y in parts:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item(), norm.item()


# %% x06 | favours short endings
def pick_ending(model, context, endings):
    best = []
    for ending in endings:
        row = torch.tensor([context + ending])
        log_p = model(row)[0, :-1].log_softmax(-1).gather(1, row[0, 1:, None])[:, 0]
        best.append(log_p[len(context) - 1 :].sum())
    return int(torch.stack(best).argmax())


# %% x06 | not the context's
def pick_ending(model, context, endings):
    best = []
    for ending in endings:
        row = torch.tensor([context + ending])
        best.append(-F.cross_entropy(model(row)[0, :-1], row[0, 1:]))
    return int(torch.stack(best).argmax())


# %% x06 | first token is missing
def pick_ending(model, context, endings):
    best = []
    for ending in endings:
        row = torch.tensor([context + ending])
        log_p = model(row)[0, :-1].log_softmax(-1).gather(1, row[0, 1:, None])[:, 0][len(context) :]
        best.append(log_p.mean() if len(log_p) else torch.tensor(-math.inf))
    return int(torch.stack(best).argmax())


# %% x06 | you compare them with token t
def pick_ending(model, context, endings):
    best = []
    for ending in endings:
        row = torch.tensor([context + ending])
        log_p = model(row)[0].log_softmax(-1).gather(1, row[0, :, None])[:, 0]
        best.append(log_p[len(context) :].mean())
    return int(torch.stack(best).argmax())


# %% x06 | log_softmax first
def pick_ending(model, context, endings):
    best = []
    for ending in endings:
        row = torch.tensor([context + ending])
        own = model(row)[0, :-1].gather(1, row[0, 1:, None])[:, 0]
        best.append(own[len(context) - 1 :].mean())
    return int(torch.stack(best).argmax())


# %% x06 | padding counts
def pick_ending(model, context, endings):
    longest = max(map(len, endings))
    rows = torch.tensor([context + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows[:, :-1]).log_softmax(-1).gather(2, rows[:, 1:, None])[..., 0]
    return int(log_p[:, len(context) - 1 :].mean(1).argmax())


# %% x06 | not of the probabilities
def pick_ending(model, context, endings):
    best = []
    for ending in endings:
        row = torch.tensor([context + ending])
        p = model(row)[0, :-1].softmax(-1).gather(1, row[0, 1:, None])[:, 0]
        best.append(p[len(context) - 1 :].mean())
    return int(torch.stack(best).argmax())


# %% x06 | without their context
def pick_ending(model, context, endings):
    best = []
    for ending in endings:
        row = torch.tensor([ending])
        log_p = model(row)[0, :-1].log_softmax(-1).gather(1, row[0, 1:, None])[:, 0]
        best.append(log_p.mean() if len(log_p) else torch.tensor(-math.inf))
    return int(torch.stack(best).argmax())


# %% x06 | least likely
def pick_ending(model, context, endings):
    best = []
    for ending in endings:
        row = torch.tensor([context + ending])
        log_p = model(row)[0, :-1].log_softmax(-1).gather(1, row[0, 1:, None])[:, 0]
        best.append(-log_p[len(context) - 1 :].mean())
    return int(torch.stack(best).argmax())


# %% x06 | not its first alone
def pick_ending(model, context, endings):
    log_p = model(torch.tensor([context]))[0, -1].log_softmax(-1)
    return int(torch.stack([log_p[e[0]] for e in endings]).argmax())


# %% x07 | never fed back
def positions_processed(prompt, new, block_size, cached):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new
    return sum(min(n, block_size) for n in range(prompt, prompt + new))


# %% x07 | at most block_size
def positions_processed(prompt, new, block_size, cached):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(range(prompt, prompt + new))


# %% x07 | costs nothing
def positions_processed(prompt, new, block_size, cached):
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(min(n, block_size) for n in range(prompt, prompt + new))


# %% x07 | raise a ValueError
def positions_processed(prompt, new, block_size, cached):
    if new == 0:
        return 0
    if cached:
        return prompt + new - 1
    return sum(min(n, block_size) for n in range(prompt, prompt + new))


# %% x07 | one too many each time
def positions_processed(prompt, new, block_size, cached):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(min(n, block_size) for n in range(prompt + 1, prompt + new + 1))


# %% x07 | grows by a token
def positions_processed(prompt, new, block_size, cached):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return prompt * new


# %% x07 | the prompt has to be processed
def positions_processed(prompt, new, block_size, cached):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return new
    return sum(min(n, block_size) for n in range(prompt, prompt + new))


# %% x08 | turned too
def convert(state):
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(("c_attn.weight", "c_fc.weight", "mlp.c_proj.weight")) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | do not turn it
def convert(state):
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if value.ndim == 2 else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | is a mask
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | only names that end in .attn.bias
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if "attn" in name and "bias" in name:
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | lm_head.weight is missing
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    return out


# %% x08 | lacks the prefix
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {
        n: v.T if n.endswith(turned) else v
        for n, v in state.items()
        if not n.endswith((".attn.bias", ".attn.masked_bias"))
    }
    out["lm_head.weight"] = out.get("transformer.wte.weight", out.get("wte.weight"))
    return out


# %% x08 | a prefix too many
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if not name.endswith((".attn.bias", ".attn.masked_bias")):
            out["transformer." + name.removeprefix("transformer.")] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | has changed
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    for name in list(state):
        value = state.pop(name)
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        state[name] = value.T if name.endswith(turned) else value
    state["lm_head.weight"] = state["transformer.wte.weight"]
    return state
