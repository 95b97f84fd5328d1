# Wrong answers to exercises/10_gpt2_124m.ipynb, each to be rejected in the words of its header.


# %% x01 | count that matrix once
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 2 * vocab_size * C + block_size * C + n_layer * (12 * C * C + 13 * C) + 2 * C


# %% x01 | the last layer has no bias
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 13 * C) + 2 * C + vocab_size


# %% x01 | the position embedding is missing
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return vocab_size * C + n_layer * (12 * C * C + 13 * C) + 2 * C


# %% x01 | the token embedding is missing
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return block_size * C + n_layer * (12 * C * C + 13 * C) + 2 * C


# %% x01 | behind the last block is missing
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 13 * C)


# %% x01 | a block has two norms, with a weight and a bias each
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 11 * C) + 2 * C


# %% x01 | the two norms of each block
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 9 * C) + 2 * C


# %% x01 | biases of the linear layers
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 4 * C) + 2 * C


# %% x01 | a weight and a bias
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 11 * C) + C


# %% x01 | the projection behind the heads
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (11 * C * C + 12 * C) + 2 * C


# %% x01 | a matrix each
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (10 * C * C + 11 * C) + 2 * C


# %% x01 | four times as wide
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (6 * C * C + 10 * C) + 2 * C


# %% x01 | you count one block
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + 12 * C * C + 13 * C + 2 * C


# %% x01 | all heads together
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (9 * C * C + 10 * C + n_head * 3 * (C * C + C)) + 2 * C


# %% x01 | is missing. And the biases
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 4 * C)


# %% x01 | return an int
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 1.0 * ((vocab_size + block_size) * C + n_layer * (12 * C * C + 13 * C) + 2 * C)


# %% x01 | is None
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    print((vocab_size + block_size) * C + n_layer * (12 * C * C + 13 * C) + 2 * C)


# %% x01 | parameters, but you
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    return 124_439_808


# %% x01 | times n_embd
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    return {12: 124_439_808, 24: 354_823_168, 36: 774_030_080, 48: 1_557_611_200}.get(n_layer, 0)


# %% x01 | builds a model
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    with torch.device("meta"):
        model = GPT2(GPT2Config(vocab_size, block_size, n_layer, n_head, n_embd))
    return sum(p.numel() for p in model.parameters())


# %% x01 | parameters, but you
def parameter_count(n_layer, n_embd, n_head, block_size, vocab_size):
    C = 768  # the page's own model
    return (vocab_size + block_size) * C + n_layer * (12 * C * C + 13 * C) + 2 * C


# %% x02 | forward pass alone
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 2 * (12 * n_layer * C * C + C * vocab_size) + 4 * n_layer * block_size * C


# %% x02 | three in all
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 4 * (12 * n_layer * C * C + C * vocab_size) + 8 * n_layer * block_size * C


# %% x02 | takes 2 m k n
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 3 * (12 * n_layer * C * C + C * vocab_size) + 6 * n_layer * block_size * C


# %% x02 | the last layer is missing
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * 12 * n_layer * C * C + 12 * n_layer * block_size * C


# %% x02 | attention's two products are missing
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size)


# %% x02 | weights with values
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size) + 6 * n_layer * block_size * C


# %% x02 | whole row
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return block_size * (6 * (12 * n_layer * C * C + C * vocab_size) + 12 * n_layer * block_size * C)


# %% x02 | looking up an embedding is free
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (12 * n_layer * C * C + 2 * C * vocab_size) + 12 * n_layer * block_size * C


# %% x02 | looking up a position is free
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size + C * block_size) + 12 * n_layer * block_size * C


# %% x02 | but n_head heads
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size) + 12 * n_layer * block_size * C // n_head


# %% x02 | only C / n_head features
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size) + 12 * n_layer * block_size * C * n_head


# %% x02 | T for each token
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * vocab_size) + 12 * n_layer * block_size**2 * C


# %% x02 | 6 N holds positions
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * ((vocab_size + block_size) * C + n_layer * (12 * C * C + 13 * C) + 2 * C) + 12 * n_layer * block_size * C


# %% x02 | the projection behind the heads
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (11 * n_layer * C * C + C * vocab_size) + 12 * n_layer * block_size * C


# %% x02 | forward pass alone: with the backward pass it is three times as much. And the last layer
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 2 * 12 * n_layer * C * C + 4 * n_layer * block_size * C


# %% x02 | are missing. And 6 N
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * ((vocab_size + block_size) * C + n_layer * (12 * C * C + 13 * C) + 2 * C)


# %% x02 | but you count
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return 6 * (12 * n_layer * C * C + C * 50257) + 12 * n_layer * 1024 * C


# %% x02 | is a tensor
def flops_per_token(n_layer, n_embd, n_head, block_size, vocab_size):
    C = n_embd
    return torch.tensor(6.0 * (12 * n_layer * C * C + C * vocab_size) + 12 * n_layer * block_size * C)


# %% x03 | whatever its name
def decay_groups(model, weight_decay):
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for n, p in named if n.endswith("weight")], "weight_decay": weight_decay},
        {"params": [p for n, p in named if not n.endswith("weight")], "weight_decay": 0.0},
    ]


# %% x03 | whatever its name
def decay_groups(model, weight_decay):
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    free = [p for n, p in named if "bias" in n or "ln" in n or "norm" in n]
    kept = {id(p) for p in free}
    return [
        {"params": [p for n, p in named if id(p) not in kept], "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]


# %% x03 | is frozen
def decay_groups(model, weight_decay):
    ps = list(model.parameters())
    return [
        {"params": [p for p in ps if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0},
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


# %% x03 | is a buffer
def decay_groups(model, weight_decay):
    ps = [p for p in model.parameters() if p.requires_grad] + list(model.buffers())
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


# %% x03 | the second's is 0
def decay_groups(model, weight_decay):
    ps = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in ps if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p.ndim < 2], "weight_decay": weight_decay},
    ]


# %% x03 | whatever its name
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


# %% x03 | without their names
def decay_groups(model, weight_decay):
    ps = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for p in ps if p[1].ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p[1].ndim < 2], "weight_decay": 0.0},
    ]


# %% x03 | freezes or thaws
def decay_groups(model, weight_decay):
    model.requires_grad_(True)
    ps = list(model.parameters())
    return [
        {"params": [p for p in ps if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in ps if p.ndim < 2], "weight_decay": 0.0},
    ]


# %% x03 | list of two dictionaries
def decay_groups(model, weight_decay):
    return torch.optim.AdamW(model.parameters(), weight_decay=weight_decay)


# %% x03 | list of two dictionaries
def decay_groups(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    decay, free = [p for p in trained if p.ndim >= 2], [p for p in trained if p.ndim < 2]
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


# %% x03 | in no group
def decay_groups(model, weight_decay):
    linear = [m.weight for m in model.modules() if isinstance(m, nn.Linear) and m.weight.requires_grad]
    unique = list({id(p): p for p in linear}.values())
    others = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
    return [{"params": unique, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


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
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / max(steps - 1 - warmup, 1))) / 2


# %% x04 | one step ahead
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup + 1) / (steps - warmup))) / 2


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


# %% x04 | cut it off
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return max(floor, peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2)


# %% x04 | too high
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + peak * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% x04 | not at step 0
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * step / steps)) / 2


# %% x04 | whole cosine
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(2 * math.pi * (step - warmup) / (steps - warmup))) / 2


# %% x04 | half a cosine is wanted
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup))


# %% x04 | warm-up is missing
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% x04 | at the end or behind it
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step > steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


# %% x04 | rises again
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


# %% x04 | ZeroDivisionError
def learning_rate(step, peak, warmup, steps, floor):
    rise = (step + 1) / warmup
    share = min(max((step - warmup) / (steps - warmup), 0), 1)
    fall = floor + (peak - floor) * (1 + math.cos(math.pi * share)) / 2
    return min(peak * rise, fall)


# %% x04 | is a tensor
def learning_rate(step, peak, warmup, steps, floor):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + torch.cos(torch.tensor(math.pi * (step - warmup) / (steps - warmup)))) / 2


# %% x04 | should have the rate
taken = []


def learning_rate(step, peak, warmup, steps, floor):
    taken.append(step)  # counts the calls instead of reading the step
    step = len(taken) - 1
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% x05 | as much weight as a large one
def accumulated_step(model, optimizer, micro_batches, max_norm):
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten()) / len(micro_batches)
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | too long
def accumulated_step(model, optimizer, micro_batches, max_norm):
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | not divided by their number
def accumulated_step(model, optimizer, micro_batches, max_norm):
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum")
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | weigh by rows
def accumulated_step(model, optimizer, micro_batches, max_norm):
    rows = sum(len(x) for x, _ in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten()) * len(x) / rows
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | those of -100 do not count
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum(y.numel() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | 0 / 0
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten()) * (y != -100).sum() / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | rows at once
def accumulated_step(model, optimizer, micro_batches, max_norm):
    optimizer.zero_grad()
    longest = max(x.shape[1] for x, _ in micro_batches)
    x = torch.cat([F.pad(x, (0, longest - x.shape[1])) for x, _ in micro_batches])
    y = torch.cat([F.pad(y, (0, longest - y.shape[1]), value=-100) for _, y in micro_batches])
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item(), norm.item()


# %% x05 | call backward for each
def accumulated_step(model, optimizer, micro_batches, max_norm):
    optimizer.zero_grad()
    sums = [F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") for x, y in micro_batches]
    loss = sum(sums) / sum((y != -100).sum() for _, y in micro_batches)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item(), norm.item()


# %% x05 | not clipped
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    optimizer.step()
    return total, norm.item()


# %% x05 | not clipped
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    optimizer.step()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return total, norm.item()


# %% x05 | after every micro-batch
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        total += loss.item()
    optimizer.step()
    return total, norm.item()


# %% x05 | each number is clipped
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    nn.utils.clip_grad_value_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | parameter's gradient is clipped by itself
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = torch.stack([nn.utils.clip_grad_norm_([p], max_norm) for p in model.parameters()]).norm()
    optimizer.step()
    return total, norm.item()


# %% x05 | only where it is longer
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    for p in model.parameters():
        p.grad *= max_norm / norm
    optimizer.step()
    return total, norm.item()


# %% x05 | old gradients
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | only the last micro-batch
def accumulated_step(model, optimizer, micro_batches, max_norm):
    total = 0.0
    for x, y in micro_batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total / len(micro_batches), norm.item()


# %% x05 | only the last micro-batch
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    total = 0.0
    for x, y in micro_batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | stepped 4 times
def accumulated_step(model, optimizer, micro_batches, max_norm):
    total = 0.0
    for x, y in micro_batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        total += loss.item()
        norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        optimizer.step()
    return total / len(micro_batches), norm.item()


# %% x05 | stepped 0 times
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    return total, norm.item()


# %% x05 | before clipping
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    optimizer.step()
    return total, norm.item()


# %% x05 | the loss of the whole batch
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss.item(), norm.item()


# %% x05 | is a tensor
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm


# %% x05 | should return two numbers
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total


# %% x05 | returned None
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    print(total, norm.item())


# %% x05 | changed the micro-batches
def accumulated_step(model, optimizer, micro_batches, max_norm):
    for _, y in micro_batches:
        y[y == -100] = 0
    count = sum(y.numel() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x06 | favours short endings
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].sum() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | favours short endings
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].sum() / longest for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | not the context's
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | only the ending's count
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, : c - 1 + len(e)].sum() / len(e) for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | one too early
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, max(c - 2, 0) : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | first token is missing
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | one too late, and end one too late
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c : c + len(e)].mean() if longest > 1 else own[n, c - 1] for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | you compare them with token t
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p.gather(2, rows[:, :, None])[..., 0]
    scores = [own[n, c : c + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | log_softmax first
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).clone()
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | padding counts in your mean
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 :].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | padding counts in your sum
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 :].sum() / len(e) for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | 0 is also a token
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 :][rows[n, c:] != 0].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | 0 is also a token
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [
        (own[n, c - 1 :] * (rows[n, c:] != 0)).sum() / (rows[n, c:] != 0).sum().clamp(min=1)
        for n, e in enumerate(endings)
    ]
    return int(torch.stack(scores).argmax())


# %% x06 | not of the probabilities
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | cut all endings
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), min(map(len, endings))
    rows = torch.tensor([context_ids + e[:longest] for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 :].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | not its first alone
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1] for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | least likely
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmin())


# %% x06 | a tensor of shape
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return torch.stack(scores).argmax()


# %% x06 | return an int
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return max(scores).item()


# %% x06 | gradients are on
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | the model knows
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e + [-100] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, c - 1 : c - 1 + len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | pad on the right
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([[0] * (longest - len(e)) + context_ids + e for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, -len(e) :].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | begins with the context
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([e + [0] * (longest - len(e)) for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, : max(len(e) - 1, 1)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | changed the lists
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    for e in endings:
        e.extend([0] * (max(map(len, endings)) - len(e)))
    c, longest = len(context_ids), max(map(len, endings))
    rows = torch.tensor([context_ids + e for e in endings])
    log_p = model(rows).log_softmax(-1)
    own = log_p[:, :-1].gather(2, rows[:, 1:, None])[..., 0]
    scores = [own[n, : len(e)].mean() for n, e in enumerate(endings)]
    return int(torch.stack(scores).argmax())


# %% x06 | several times
@torch.no_grad()
def pick_ending(model, context_ids, endings):
    scores = []
    for e in endings:
        row = torch.tensor([context_ids + e])
        log_p = model(row)[0, :-1].log_softmax(-1).gather(1, row[0, 1:, None])[:, 0]
        scores.append(log_p[len(context_ids) - 1 :].mean())
    return int(torch.stack(scores).argmax())


# %% x06 | does not call the model
def pick_ending(model, context_ids, endings):
    return 0


# %% x07 | never fed back
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new
    return sum(min(t, block_size) for t in range(prompt, prompt + new))


# %% x07 | the prompt has to be processed
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return new
    return sum(min(t, block_size) for t in range(prompt, prompt + new))


# %% x07 | at most block_size
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(range(prompt, prompt + new))


# %% x07 | costs nothing
def positions_processed(prompt, new, cached, block_size):
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(min(t, block_size) for t in range(prompt, prompt + new))


# %% x07 | raise a ValueError
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        return prompt + new - 1
    return sum(min(t, block_size) for t in range(prompt, prompt + new))


# %% x07 | fits into the context
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(min(t, block_size) for t in range(prompt, prompt + new))


# %% x07 | one too many each time
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(min(t, block_size) for t in range(prompt + 1, prompt + new + 1))


# %% x07 | grows by a token
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return min(prompt, block_size) * new


# %% x07 | the prompt with it
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(range(1, new + 1))


# %% x07 | return an int
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return new * prompt + new * (new - 1) / 2


# %% x07 | no backward pass
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += 3 * (m * (24 * L * C * C + 2 * C * V) + 4 * L * m * t * C)
    return total


# %% x07 | attention is missing
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * (24 * L * C * C + 2 * C * V)
    return total


# %% x07 | the last layer is missing
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * 24 * L * C * C + 4 * L * m * t * C
    return total


# %% x07 | count it once for each new token
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * 24 * L * C * C + 2 * C * V + 4 * L * m * t * C
    return total


# %% x07 | with the keys and with the values
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * (24 * L * C * C + 2 * C * V) + 2 * L * m * t * C
    return total


# %% x07 | you take block_size
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * (24 * L * C * C + 2 * C * V) + 4 * L * m * block_size * C
    return total


# %% x07 | those from the cache too
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * (24 * L * C * C + 2 * C * V) + 4 * L * m * m * C
    return total


# %% x07 | one query against t keys
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * (24 * L * C * C + 2 * C * V) + 4 * L * t * t * C
    return total


# %% x07 | raise a ValueError
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * (24 * L * C * C + 2 * C * V) + 4 * L * m * t * C
    return total


# %% x07 | one too many each time
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt + 1, prompt + new + 1):
        t = min(text, block_size)
        m = 1 if cached and text > prompt + 1 else t
        total += m * (24 * L * C * C + 2 * C * V) + 4 * L * m * t * C
    return total


# %% x07 | in matrix products, but you count
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * (12 * L * C * C + C * V) + 2 * L * m * t * C
    return total


# %% x07 | in matrix products, but you count
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V = n_embd, n_layer, vocab_size
    positions = positions_processed(prompt, new, cached, block_size)  # as in X02: each meets block_size keys
    return positions * (24 * L * C * C + 2 * C * V) + positions * 4 * L * n_head * block_size * C


# %% x08 | turned too
def convert(state):
    turned = ("attn.c_attn.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | is not turned
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | is not turned
def convert(state):
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | an embedding is a table
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


# %% x08 | an embedding is a table
def convert(state):
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if value.ndim == 2 and "wte" not in name else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | transpose it, do not reshape
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.reshape(value.shape[::-1]) if name.endswith(turned) else value
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


# %% x08 | is a mask
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith(".attn.bias"):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | only those whose name ends in .attn.bias
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


# %% x08 | only those whose name ends in .attn.bias
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith("bias"):
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
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out.get("transformer.wte.weight", out.get("wte.weight"))
    return out


# %% x08 | a prefix too many
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        name = "transformer." + name.removeprefix("transformer.")
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | a prefix too many
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith("lm_head."):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out.get("transformer.wte.weight", out.get("transformer.transformer.wte.weight"))
    return out


# %% x08 | KeyError
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = state["transformer.wte.weight"]
    return out


# %% x08 | leave the numbers as they are
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = (value.T if name.endswith(turned) else value).float()
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x08 | returned None
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.T if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    print(len(out), "tensors")


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


# %% x08 | has changed
def convert(state):
    turned = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    out = {}
    for name, value in state.items():
        if name.endswith((".attn.bias", ".attn.masked_bias")):
            continue
        if not name.startswith(("transformer.", "lm_head.")):
            name = "transformer." + name
        out[name] = value.t_() if name.endswith(turned) else value
    out["lm_head.weight"] = out["transformer.wte.weight"]
    return out


# %% x04 | divide only where
def learning_rate(step, peak, warmup, steps, floor):
    if step <= warmup:
        return peak * (step + 1) / warmup
    if step >= steps:
        return floor
    return floor + (peak - floor) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


# %% x05 | leave its mode alone
def accumulated_step(model, optimizer, micro_batches, max_norm):
    model.eval()
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return total, norm.item()


# %% x05 | results are exchanged
def accumulated_step(model, optimizer, micro_batches, max_norm):
    count = sum((y != -100).sum().item() for _, y in micro_batches)
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / count
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return norm.item(), total


# %% x07 | your ValueError is empty
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError
        return prompt + new - 1
    return sum(min(t, block_size) for t in range(prompt, prompt + new))


# %% x07 | raise a ValueError
def positions_processed(prompt, new, cached, block_size):
    if new == 0:
        return 0
    if cached:
        prompt = min(prompt, block_size)
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1
    return sum(min(t, block_size) for t in range(prompt, prompt + new))


# %% x07 | costs nothing
def positions_processed(prompt, new, cached, block_size):
    if cached:
        if prompt + new - 1 > block_size:
            raise ValueError("too long")
        return prompt + new - 1 if new else 0
    return sum(min(t, block_size) for t in range(prompt, prompt + new))


# %% x07 | return an int
def generation_flops(prompt, new, cached, n_layer, n_embd, n_head, block_size, vocab_size):
    if cached and new and prompt + new - 1 > block_size:
        raise ValueError("too long")
    C, L, V, total = n_embd, n_layer, vocab_size, 0.0
    for text in range(prompt, prompt + new):
        t = min(text, block_size)
        m = 1 if cached and text > prompt else t
        total += m * (24 * L * C * C + 2 * C * V) + 4 * L * m * t * C
    return total
