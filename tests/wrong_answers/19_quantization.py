# Wrong answers to exercises/19_quantization.ipynb, each to be rejected in the words of its header.


# %% x01 | product in floating point
def int8_linear(x, w):
    return x @ w.T


# %% x01 | only the weights are rounded
def int8_linear(x, w):
    scale = w.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
    return x @ ((w / scale).round() * scale).T


# %% x01 | only the inputs are rounded
def int8_linear(x, w):
    scale = x.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
    return ((x / scale).round() * scale) @ w.T


# %% x01 | wraps around
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(1) / 127
    a, b = (x / s).round().to(torch.int8), (w / t[:, None]).round().to(torch.int8)
    return (a @ b.T) * s * t


# %% x01 | the scales are missing at the end
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(1) / 127
    return (x / s).round() @ (w / t[:, None]).round().T


# %% x01 | the scales of the rows are missing
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(1) / 127
    return (x / s).round() @ (w / t[:, None]).round().T * s


# %% x01 | the scales of the tokens are missing
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(1) / 127
    return (x / s).round() @ (w / t[:, None]).round().T * t


# %% x01 | all rows of w share one scale
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax() / 127
    return (x / s).round() @ (w / t).round().T * s * t


# %% x01 | all tokens share one scale
def int8_linear(x, w):
    s, t = x.abs().amax() / 127, w.abs().amax(1) / 127
    return (x / s).round() @ (w / t[:, None]).round().T * s * t


# %% x01 | one scale for all of x
def int8_linear(x, w):
    s, t = x.abs().amax() / 127, w.abs().amax() / 127
    return (x / s).round() @ (w / t).round().T * s * t


# %% x01 | divided by 128
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 128, w.abs().amax(1) / 128
    return (x / s).round() @ (w / t[:, None]).round().T * s * t


# %% x01 | divided by 255
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 255, w.abs().amax(1) / 255
    return (x / s).round() @ (w / t[:, None]).round().T * s * t


# %% x01 | cut off, not rounded
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(1) / 127
    return (x / s).to(torch.int8).float() @ (w / t[:, None]).to(torch.int8).float().T * s * t


# %% x01 | rounded down
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(1) / 127
    return (x / s).floor() @ (w / t[:, None]).floor().T * s * t


# %% x01 | belong to its columns
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(0) / 127
    return ((x / s).round() * s) @ ((w / t).round() * t).T


# %% x01 | zeros gives nan
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(1) / 127
    return (x / s).round() @ (w / t[:, None]).round().T * s * t


# %% x01 | in place
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127, w.abs().amax(1).clamp(min=1e-12) / 127
    x.div_(s).round_()
    return x @ (w / t[:, None]).round().T * s * t


# %% x01 | should have shape
def int8_linear(x, w):
    x = x.flatten(0, -2)
    s, t = x.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127, w.abs().amax(1).clamp(min=1e-12) / 127
    return (x / s).round() @ (w / t[:, None]).round().T * s * t


# %% x01 | very small inputs
def int8_linear(x, w):
    s, t = x.abs().amax(-1, keepdim=True).clamp(min=1e-5) / 127, w.abs().amax(1).clamp(min=1e-5) / 127
    return (x / s).round() @ (w / t[:, None]).round().T * s * t


# %% x01 | None
def int8_linear(x, w):
    print(x @ w.T)


# %% x01 | torch.float32, but it is torch.float64
def int8_linear(x, w):
    x, w = x.double(), w.double()
    s, t = x.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127, w.abs().amax(1).clamp(min=1e-12) / 127
    return (x / s).round() @ (w / t[:, None]).round().T * s * t


# %% x02 | first of each pair sits in the high bits
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] << 4 | q[:, 1::2], scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed >> 4, packed & 15], 2).flatten(1).float()
    return ((q.unflatten(1, (scale.shape[1], -1)) - zero[..., None].float()) * scale[..., None]).flatten(1)


# %% x02 | left half with one of the right half
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    half = q.shape[1] // 2
    return q[:, :half] | q[:, half:] << 4, scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.cat([packed & 15, packed >> 4], 1).float()
    return ((q.unflatten(1, (scale.shape[1], -1)) - zero[..., None].float()) * scale[..., None]).flatten(1)


# %% x02 | zero has to lie in it
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2), x.amax(2)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round().clamp(0, 15)
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


# %% x02 | divided by 16
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 16).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


# %% x02 | group of zeros has the scale 1
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = (high - low) / 15
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


# %% x02 | symmetric scale
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    scale = x.abs().amax(2) / 7
    scale = scale.masked_fill(scale == 0, 1)
    zero = torch.full_like(scale, 8)
    q = ((x / scale[..., None]).round() + 8).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


# %% x02 | zero point is not added
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = (x / scale[..., None]).round().clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


# %% x02 | without a shift
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] + q[:, 1::2], scale, zero.to(torch.uint8)


# %% x02 | the bytes should have shape
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q, scale, zero.to(torch.uint8)


# %% x02 | the zero points should be torch.uint8
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero


# %% x02 | the scales should have shape
def pack_int4(w, group):
    low, high = w.min().clamp(max=0), w.max().clamp(min=0)
    scale = (high - low) / 15
    zero = (-low / scale).round()
    q = ((w / scale).round() + zero).clamp(0, 15).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


# %% x02 | return 3 things
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    q = ((x - x.amin(2, keepdim=True)) * 15 / (x.amax(2, keepdim=True) - x.amin(2, keepdim=True))).round()
    return q.flatten(1).to(torch.uint8)


# %% x02 | wraps around in uint8
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], 2).flatten(1)
    return ((q.unflatten(1, (scale.shape[1], -1)) - zero[..., None]) * scale[..., None]).flatten(1)


# %% x02 | come back in the wrong order
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed >> 4, packed & 15], 2).flatten(1).float()
    return ((q.unflatten(1, (scale.shape[1], -1)) - zero[..., None].float()) * scale[..., None]).flatten(1)


# %% x02 | all low halves stand before
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.cat([packed & 15, packed >> 4], 1).float()
    return ((q.unflatten(1, (scale.shape[1], -1)) - zero[..., None].float()) * scale[..., None]).flatten(1)


# %% x02 | the zero point is not subtracted
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], 2).flatten(1).float()
    return (q.unflatten(1, (scale.shape[1], -1)) * scale[..., None]).flatten(1)


# %% x02 | what unpack_int4 returns
kept = {}


def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = ((high - low) / 15).masked_fill(high == low, 1)
    zero = (-low / scale).round()
    q = ((x / scale[..., None]).round() + zero[..., None]).clamp(0, 15)
    kept["back"] = ((q - zero[..., None]) * scale[..., None]).flatten(1)
    q = q.flatten(1).to(torch.uint8)
    return q[:, ::2] | q[:, 1::2] << 4, scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    return kept["back"]


# %% x03 | rounding to nearest
def gptq_row(w, H, step):
    return (w / step).round() * step


# %% x03 | inverse of the part
def gptq_row(w, H, step):
    w, done, inverse = w.clone(), torch.empty_like(w), torch.linalg.inv(H)
    for j in range(len(w)):
        done[j] = (w[j] / step).round() * step
        w[j + 1 :] -= (w[j] - done[j]) / inverse[j, j] * inverse[j, j + 1 :]
    return done


# %% x03 | where its inverse belongs
def gptq_row(w, H, step):
    w, done = w.clone(), torch.empty_like(w)
    for j in range(len(w)):
        done[j] = (w[j] / step).round() * step
        w[j + 1 :] -= (w[j] - done[j]) / H[j, j] * H[j, j + 1 :]
    return done


# %% x03 | wrong direction
def gptq_row(w, H, step):
    w, done = w.clone(), torch.empty_like(w)
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        done[j] = (w[j] / step).round() * step
        w[j + 1 :] += (w[j] - done[j]) / inverse[0, 0] * inverse[0, 1:]
    return done


# %% x03 | not divided by the inverse's diagonal
def gptq_row(w, H, step):
    w, done = w.clone(), torch.empty_like(w)
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        done[j] = (w[j] / step).round() * step
        w[j + 1 :] -= (w[j] - done[j]) * inverse[0, 1:]
    return done


# %% x03 | in place
def gptq_row(w, H, step):
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        rounded = (w[j] / step).round() * step
        w[j + 1 :] -= (w[j] - rounded) / inverse[0, 0] * inverse[0, 1:]
        w[j] = rounded
    return w


# %% x03 | multiple of step
def gptq_row(w, H, step):
    w = w.clone()
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        rounded = (w[j] / step).round() * step
        w[j + 1 :] -= (w[j] - rounded) / inverse[0, 0] * inverse[0, 1:]
    return w


# %% x03 | those are the integers
def gptq_row(w, H, step):
    w, done = w.clone(), torch.empty_like(w)
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        done[j] = (w[j] / step).round()
        w[j + 1 :] -= (w[j] - done[j] * step) / inverse[0, 0] * inverse[0, 1:]
    return done


# %% x03 | None
def gptq_row(w, H, step):
    w, done = w.clone(), torch.empty_like(w)
    for j in range(len(w)):
        done[j] = (w[j] / step).round() * step


# %% x03 | from right to left
def gptq_row(w, H, step):
    w, done = w.clone(), torch.empty_like(w)
    for j in reversed(range(len(w))):  # from right to left
        inverse = torch.linalg.inv(H[: j + 1, : j + 1])
        done[j] = (w[j] / step).round() * step
        w[:j] -= (w[j] - done[j]) / inverse[j, j] * inverse[j, :j]
    return done


# %% x03 | multiple of step
def gptq_row(w, H, step):
    w = w.clone()
    for j in range(len(w)):
        inverse = torch.linalg.inv(H)
        rounded = (w[j] / step).round() * step
        w -= (w[j] - rounded) / inverse[j, j] * inverse[j]  # also the weights that are rounded already
    return w


# %% x04 | exchanged
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** (1 - alpha) / w.abs().amax(0) ** alpha
    return s, x / s, w * s


# %% x04 | belongs into the denominator
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** alpha * w.abs().amax(0) ** (1 - alpha)
    return s, x / s, w * s


# %% x04 | upside down
def smooth(x, w, alpha):
    s = w.abs().amax(0) ** (1 - alpha) / x.abs().amax(0) ** alpha
    return s, x / s, w * s


# %% x04 | largest magnitude
def smooth(x, w, alpha):
    s = x.amax(0).clamp(min=0) ** alpha / w.amax(0).clamp(min=0) ** (1 - alpha)
    return s, x / s, w * s


# %% x04 | mean magnitude
def smooth(x, w, alpha):
    s = x.abs().mean(0) ** alpha / w.abs().amax(0) ** (1 - alpha)
    return s, x / s, w * s


# %% x04 | the weights' maximum is missing
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** alpha
    return s, x / s, w * s


# %% x04 | both have the exponent
def smooth(x, w, alpha):
    s = (x.abs().amax(0) / w.abs().amax(0)) ** alpha
    return s, x / s, w * s


# %% x04 | whatever α is given
def smooth(x, w, alpha):
    s = (x.abs().amax(0) / w.abs().amax(0)).sqrt()
    return s, x / s, w * s


# %% x04 | should have shape
def smooth(x, w, alpha):
    s = x.abs().amax(1)[: w.shape[1]] ** alpha
    return s[:3], x, w


# %% x04 | multiplied by s: divide
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** alpha / w.abs().amax(0) ** (1 - alpha)
    return s, x * s, w / s


# %% x04 | come back as they were: divide
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** alpha / w.abs().amax(0) ** (1 - alpha)
    return s, x, w * s


# %% x04 | weights are divided by s
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** alpha / w.abs().amax(0) ** (1 - alpha)
    return s, x / s, w / s


# %% x04 | nan or inf
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** alpha / w.abs().amax(0) ** (1 - alpha)
    return s, x / s, w * s


# %% x04 | small but not zero
def smooth(x, w, alpha):
    s = x.abs().amax(0).clamp(min=1e-5) ** alpha / w.abs().amax(0).clamp(min=1e-5) ** (1 - alpha)
    return s, x / s, w * s


# %% x04 | in place
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** alpha / w.abs().amax(0) ** (1 - alpha)
    x /= s
    w *= s
    return s, x, w


# %% x04 | return 3 things
def smooth(x, w, alpha):
    return x.abs().amax(0) ** alpha / w.abs().amax(0) ** (1 - alpha)


# %% x05 | subtract the whole model's
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        for name, layer in layers.items():
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            harm[name] = loss_of(model)
            layer.weight.copy_(kept)
    model.train(was)
    return harm


# %% x05 | put the old weights back
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            layer.weight.copy_(round_to_nearest(layer.weight, bits, group, symmetric=False))
            harm[name] = loss_of(model) - whole
    model.train(was)
    return harm


# %% x05 | put the old weights back
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.data  # the same tensor
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            harm[name] = loss_of(model) - whole
            layer.weight.copy_(kept)
    model.train(was)
    return harm


# %% x05 | pile up
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    kept = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            layer.weight.copy_(round_to_nearest(layer.weight, bits, group, symmetric=False))
            harm[name] = loss_of(model) - whole
        for name, layer in layers.items():
            layer.weight.copy_(kept[name])
    model.train(was)
    return harm


# %% x05 | symmetric grid
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group))
            harm[name] = loss_of(model) - whole
            layer.weight.copy_(kept)
    model.train(was)
    return harm


# %% x05 | sign is wrong
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            harm[name] = whole - loss_of(model)
            layer.weight.copy_(kept)
    model.train(was)
    return harm


# %% x05 | call model.eval() first
def sensitivity(model, layers, loss_of, bits, group):
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            harm[name] = loss_of(model) - whole
            layer.weight.copy_(kept)
    return harm


# %% x05 | put back the mode
def sensitivity(model, layers, loss_of, bits, group):
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            harm[name] = loss_of(model) - whole
            layer.weight.copy_(kept)
    return harm


# %% x05 | gradients are on
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    whole = loss_of(model)
    for name, layer in layers.items():
        kept = layer.weight.data.clone()
        layer.weight.data = round_to_nearest(kept, bits, group, symmetric=False)
        harm[name] = loss_of(model) - whole
        layer.weight.data = kept
    model.train(was)
    return harm


# %% x05 | with the model itself
def sensitivity(model, layers, loss_of, bits, group):
    import copy

    harm = {}
    with torch.no_grad():
        whole = loss_of(copy.deepcopy(model).eval())
        for name in layers:
            harm[name] = loss_of(copy.deepcopy(model).eval()) - whole
    return harm


# %% x05 | returns None
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            print(name, loss_of(model) - whole)
            layer.weight.copy_(kept)
    model.train(was)


# %% x05 | keep the order of layers
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in sorted(layers.items()):
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            harm[name] = loss_of(model) - whole
            layer.weight.copy_(kept)
    model.train(was)
    return harm


# %% x05 | put back the mode
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            harm[name] = loss_of(model) - whole
            layer.weight.copy_(kept)
    model.train(was)
    return harm


# %% x05 | put back the mode
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.clone()
            try:
                layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
                harm[name] = loss_of(model) - whole
            finally:
                layer.weight.copy_(kept)
    model.train(was)
    return harm


# %% x05 | ratio of the losses
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    with torch.no_grad():
        whole = loss_of(model)
        for name, layer in layers.items():
            kept = layer.weight.clone()
            layer.weight.copy_(round_to_nearest(kept, bits, group, symmetric=False))
            harm[name] = loss_of(model) / whole
            layer.weight.copy_(kept)
    model.train(was)
    return harm


# %% x01 | should be
def int8_linear(x, w):  # a floor far above the scales of real weights
    sx = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
    sw = (w.abs().amax(1, keepdim=True) / 127).clamp(min=1e-2)
    return torch.round(x / sx).int() @ torch.round(w / sw).int().T * sx * sw[:, 0]


# %% x01 | in place
def int8_linear(x, w):
    w[w.abs().amax(1) == 0] = 1e-9
    x[x.abs().amax(-1) == 0] = 1e-9
    sx, sw = x.abs().amax(-1, keepdim=True) / 127, w.abs().amax(1, keepdim=True) / 127
    return torch.round(x / sx).int() @ torch.round(w / sw).int().T * sx * sw[:, 0]


# %% x01 | too many values to unpack
def int8_linear(x, w):
    def two(x):
        sx = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
        sw = (w.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
        return torch.round(x / sx).int() @ torch.round(w / sw).int().T * sx * sw[:, 0]

    if x.ndim < 3:
        return two(x[None])[0] if x.ndim == 1 else two(x)
    B, T, I = x.shape
    return two(x.reshape(B * T, I)).reshape(B, T, -1)


# %% x01 | should have shape
def int8_linear(x, w):
    sx = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
    sw = (w.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
    return (torch.round(x / sx).int() @ torch.round(w / sw).int().T * sx * sw[:, 0]).squeeze()


# %% x01 | view size is not compatible
def int8_linear(x, w):
    flat = x.view(-1, x.shape[-1])
    sx = (flat.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
    sw = (w.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
    y = torch.round(flat / sx).int() @ torch.round(w / sw).int().T * sx * sw[:, 0]
    return y.view(*x.shape[:-1], -1)


# %% x01 | off by up to
kept_scales = {}


def int8_linear(x, w):  # quantises the weights once and for all
    sw = kept_scales.setdefault(w.shape, (w.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12))
    sx = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
    return torch.round(x / sx).int() @ torch.round(w / sw).clamp(-127, 127).int().T * sx * sw[:, 0]


# %% x01 | the scales come in before the sum
def int8_linear(x, w):
    sx = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-12)
    sw = (w.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
    return (torch.round(x / sx) * sx) @ (torch.round(w / sw) * sw).T


# %% x01 | small inputs are lost
def int8_linear(x, w):
    sx = (x.abs().amax(-1, keepdim=True) / 127).clamp(min=1e-5)
    sw = (w.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
    return torch.round(x / sx).int() @ torch.round(w / sw).int().T * sx * sw[:, 0]


# %% x02 | cut to 15
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = (high - low) / 15
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.round(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).flatten(1).to(torch.uint8)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], 2).flatten(1).float().unflatten(1, (scale.shape[1], -1))
    return ((q - zero[..., None].float()) * scale[..., None]).flatten(1)


# %% x02 | gets the scale 1
def pack_int4(w, group):
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = (high - low) / 15
    scale = torch.where(scale < 1e-2, 1.0, scale)
    zero = torch.round(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], 2).flatten(1).float().unflatten(1, (scale.shape[1], -1))
    return ((q - zero[..., None].float()) * scale[..., None]).flatten(1)


# %% x02 | X02
kept_group = []


def pack_int4(w, group):
    kept_group[:] = [group]
    x = w.unflatten(1, (-1, group))
    low, high = x.amin(2).clamp(max=0), x.amax(2).clamp(min=0)
    scale = (high - low) / 15
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.round(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).clamp(0, 15).flatten(1).to(torch.uint8)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], 2).flatten(1).float().unflatten(1, (-1, kept_group[0]))
    return ((q - zero[..., None].float()) * scale[..., None]).flatten(1)


# %% x03 | of 60 more
def gptq_row(w, H, step):
    done, rest = torch.empty_like(w), w.clone()
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        done[j] = (rest[j] / step).round() * step
        rest[j + 1 :] -= (rest[j] - done[j]) / inverse[0, 0] * inverse[0, 1:]
    for _ in range(5):  # and then again, over all columns
        for j in range(len(w)):
            g = H[j] @ (done - w) - H[j, j] * (done[j] - w[j])
            done[j] = ((w[j] - g / H[j, j]) / step).round() * step
    return done


# %% x03 | of 60 more
def gptq_row(w, H, step):
    done, rest = torch.empty_like(w), w.clone()
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        done[j] = (rest[j] / step).round().clamp(-127, 127) * step
        rest[j + 1 :] -= (rest[j] - done[j]) / inverse[0, 0] * inverse[0, 1:]
    return done


# %% x03 | X03
def gptq_row(w, H, step):
    done, rest = torch.empty_like(w), w.clone()
    for j in range(len(w)):
        inverse = torch.linalg.inv(H[j:, j:])
        done[j] = (rest[j] / step).round() * step
        rest[j + 1 :] -= 0.99 * (rest[j] - done[j]) / inverse[0, 0] * inverse[0, 1:]
    return done


# %% x04 | living features
def smooth(x, w, alpha):
    a, b = x.abs().amax(0), w.abs().amax(0)
    s = torch.where((x == 0).any(0) | (w == 0).any(0), 1.0, a**alpha / b ** (1 - alpha))
    return s, x / s, w * s


# %% x04 | at α = 0.0
def smooth(x, w, alpha):
    s = x.abs().amax(0) ** alpha / w.abs().amax(0) ** (1 - alpha)
    s = torch.where(torch.isfinite(s) & (s > 0), s, 1.0)
    return s, x / s, w * s


# %% x04 | the inputs, with features of zeros
def smooth(x, w, alpha):
    a, b = x.abs().amax(0), w.abs().amax(0)
    dead = (a == 0) | (b == 0)
    s = torch.where(dead, 1.0, a**alpha / b ** (1 - alpha))
    x, w = x / s, w * s
    x[:, dead], w[:, dead] = 0, 0
    return s, x, w


# %% x04 | in place
def smooth(x, w, alpha):
    dead = (x.abs().amax(0) == 0) | (w.abs().amax(0) == 0)
    x[:, dead], w[:, dead] = 1, 1
    s = x.abs().amax(0) ** alpha / w.abs().amax(0) ** (1 - alpha)
    return s, x / s, w * s


# %% x04 | small but not zero
def smooth(x, w, alpha):
    a, b = x.abs().amax(0), w.abs().amax(0)
    s = torch.where((a < 1e-3) | (b < 1e-3), 1.0, a**alpha / b ** (1 - alpha))
    return s, x / s, w * s


# %% x05 | switched off for the whole notebook
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    torch.set_grad_enabled(False)
    harm = {}
    try:
        whole = loss_of(model)
        for name, layer in layers.items():
            old = layer.weight.clone()
            try:
                layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                harm[name] = loss_of(model) - whole
            finally:
                layer.weight.copy_(old)
    finally:
        for m, mode in modes.items():
            m.training = mode
    return harm


# %% x05 | after a RuntimeError
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    harm, old = {}, None
    with torch.no_grad():
        try:
            whole = loss_of(model)
            for name, layer in layers.items():
                old = layer.weight.clone()
                layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                harm[name] = loss_of(model) - whole
                layer.weight.copy_(old)
        except KeyboardInterrupt:
            if old is not None:
                layer.weight.copy_(old)
            for m, mode in modes.items():
                m.training = mode
            raise
    for m, mode in modes.items():
        m.training = mode
    return harm


# %% x05 | put back the mode of every module
def sensitivity(model, layers, loss_of, bits, group):
    was = model.training
    model.eval()
    harm = {}
    try:
        with torch.no_grad():
            whole = loss_of(model)
            for name, layer in layers.items():
                old = layer.weight.clone()
                try:
                    layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                    harm[name] = loss_of(model) - whole
                finally:
                    layer.weight.copy_(old)
    finally:
        model.training = was
    return harm


# %% x05 | in call 1 of loss_of
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    with torch.no_grad():
        whole = loss_of(model)
        harm = {}
        try:
            for name, layer in layers.items():
                old = layer.weight.clone()
                try:
                    layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                    harm[name] = loss_of(model) - whole
                finally:
                    layer.weight.copy_(old)
        finally:
            for m, mode in modes.items():
                m.training = mode
    return harm


# %% x05 | another requires_grad
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval().requires_grad_(False)
    harm = {}
    try:
        whole = loss_of(model)
        for name, layer in layers.items():
            old = layer.weight.clone()
            try:
                layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                harm[name] = loss_of(model) - whole
            finally:
                layer.weight.copy_(old)
    finally:
        for m, mode in modes.items():
            m.training = mode
    return harm


# %% x05 | a new parameter
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    harm = {}
    try:
        with torch.no_grad():
            whole = loss_of(model)
            for name, layer in layers.items():
                old = layer.weight.clone()
                try:
                    layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                    harm[name] = loss_of(model) - whole
                finally:
                    layer.weight = nn.Parameter(old.clone())
    finally:
        for m, mode in modes.items():
            m.training = mode
    return harm


# %% x05 | swallows a RuntimeError
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    harm = {}
    try:
        with torch.no_grad():
            try:
                whole = loss_of(model)
            except RuntimeError:
                return {}
            for name, layer in layers.items():
                old = layer.weight.clone()
                try:
                    layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                    harm[name] = loss_of(model) - whole
                except RuntimeError:
                    harm[name] = float("nan")
                finally:
                    layer.weight.copy_(old)
    finally:
        for m, mode in modes.items():
            m.training = mode
    return harm


# %% x05 | dropout is still on
def sensitivity(model, layers, loss_of, bits, group):
    was, model.training = model.training, False
    harm = {}
    try:
        with torch.no_grad():
            whole = loss_of(model)
            for name, layer in layers.items():
                old = layer.weight.clone()
                try:
                    layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                    harm[name] = loss_of(model) - whole
                finally:
                    layer.weight.copy_(old)
    finally:
        model.training = was
    return harm


# %% x01 | float32 holds whole numbers
def int8_linear(x, w):
    sw = w.abs().amax(1).clamp(min=1e-30) / 127
    sx = x.abs().amax(-1, keepdim=True).clamp(min=1e-30) / 127
    qw = torch.round(w / sw[:, None])
    qx = torch.round(x / sx)
    y = qx @ qw.T
    return y * sx * sw


# %% x01 | become coarse
def int8_linear(x, w):
    sw = w.abs().amax(1).div(127).clamp(min=1e-8)
    sx = x.abs().amax(-1, keepdim=True).div(127).clamp(min=1e-8)
    qw = torch.round(w / sw[:, None]).to(torch.int32)
    qx = torch.round(x / sx).to(torch.int32)
    y = qx @ qw.T
    return y * sx * sw


# %% x01 | not of the largest magnitude
def int8_linear(x, w):
    sw = w.amax(1).clamp(min=1e-30) / 127
    sx = x.amax(-1, keepdim=True).clamp(min=1e-30) / 127
    qw = torch.round(w / sw[:, None]).to(torch.int32)
    qx = torch.round(x / sx).to(torch.int32)
    y = qx @ qw.T
    return y * sx * sw


# %% x01 | not of the largest magnitude
def int8_linear(x, w):
    sw = w.amax(1).clamp(min=1e-30) / 127
    sx = x.abs().amax(-1, keepdim=True).clamp(min=1e-30) / 127
    qw = torch.round(w / sw[:, None]).to(torch.int32)
    qx = torch.round(x / sx).to(torch.int32)
    y = qx @ qw.T
    return y * sx * sw


# %% x01 | rows of w are rounded down
def int8_linear(x, w):
    sw = w.abs().amax(1).clamp(min=1e-30) / 127
    sx = x.abs().amax(-1, keepdim=True).clamp(min=1e-30) / 127
    qw = torch.floor(w / sw[:, None]).to(torch.int32)
    qx = torch.round(x / sx).to(torch.int32)
    y = qx @ qw.T
    return y * sx * sw


# %% x01 | the result for small weights
def int8_linear(x, w):
    sw = w.abs().amax(1).clamp(min=1e-3) / 127
    sx = x.abs().amax(-1, keepdim=True).clamp(min=1e-3) / 127
    qw = torch.round(w / sw[:, None]).to(torch.int32)
    qx = torch.round(x / sx).to(torch.int32)
    y = qx @ qw.T
    return y * sx * sw


# %% x02 | yours goes above 0
def pack_int4(w, group):
    x = w.reshape(w.shape[0], -1, group)
    low = x.amin(-1)
    high = x.amax(-1).clamp(min=0)
    scale = (high - low) / 15
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.round(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).clamp(0, 15).to(torch.uint8)
    q = q.reshape(w.shape)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], -1).flatten(1).float()
    q = q.reshape(q.shape[0], scale.shape[1], -1)
    return ((q - zero.float()[..., None]) * scale[..., None]).flatten(1)


# %% x02 | yours goes below 0
def pack_int4(w, group):
    x = w.reshape(w.shape[0], -1, group)
    low = x.amin(-1).clamp(max=0)
    high = x.amax(-1)
    scale = (high - low) / 15
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.round(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).clamp(0, 15).to(torch.uint8)
    q = q.reshape(w.shape)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], -1).flatten(1).float()
    q = q.reshape(q.shape[0], scale.shape[1], -1)
    return ((q - zero.float()[..., None]) * scale[..., None]).flatten(1)


# %% x02 | zero points are cut off
def pack_int4(w, group):
    x = w.reshape(w.shape[0], -1, group)
    low = x.amin(-1).clamp(max=0)
    high = x.amax(-1).clamp(min=0)
    scale = (high - low) / 15
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.floor(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).clamp(0, 15).to(torch.uint8)
    q = q.reshape(w.shape)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], -1).flatten(1).float()
    q = q.reshape(q.shape[0], scale.shape[1], -1)
    return ((q - zero.float()[..., None]) * scale[..., None]).flatten(1)


# %% x02 | columns that lie apart
def pack_int4(w, group):
    x = w.reshape(w.shape[0], group, -1).transpose(1, 2)
    low = x.amin(-1).clamp(max=0)
    high = x.amax(-1).clamp(min=0)
    scale = (high - low) / 15
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.round(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).clamp(0, 15).to(torch.uint8)
    q = q.reshape(w.shape)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], -1).flatten(1).float()
    q = q.reshape(q.shape[0], scale.shape[1], -1)
    return ((q - zero.float()[..., None]) * scale[..., None]).flatten(1)


# %% x02 | share one scale
def pack_int4(w, group):
    x = w.reshape(w.shape[0], -1, group)
    low = x.amin((-1, -2)).clamp(max=0)[:, None].expand(x.shape[:2])
    high = x.amax((-1, -2)).clamp(min=0)[:, None].expand(x.shape[:2])
    scale = (high - low) / 15
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.round(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).clamp(0, 15).to(torch.uint8)
    q = q.reshape(w.shape)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], -1).flatten(1).float()
    q = q.reshape(q.shape[0], scale.shape[1], -1)
    return ((q - zero.float()[..., None]) * scale[..., None]).flatten(1)


# %% x02 | a group of zeros has the scale 1
def pack_int4(w, group):
    x = w.reshape(w.shape[0], -1, group)
    low = x.amin(-1).clamp(max=0)
    high = x.amax(-1).clamp(min=0)
    scale = (high - low) / 15
    scale = scale.clamp(min=1e-9)
    zero = torch.round(-low / scale)
    q = (torch.round(x / scale[..., None]) + zero[..., None]).clamp(0, 15).to(torch.uint8)
    q = q.reshape(w.shape)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], -1).flatten(1).float()
    q = q.reshape(q.shape[0], scale.shape[1], -1)
    return ((q - zero.float()[..., None]) * scale[..., None]).flatten(1)


# %% x02 | and the zero point 0, which makes 8
def pack_int4(w, group):
    x = w.reshape(w.shape[0], -1, group)
    low = x.amin(-1).clamp(max=0)
    high = x.amax(-1).clamp(min=0)
    scale = (high - low) / 15
    scale = torch.where(scale == 0, 1.0, scale)
    zero = torch.round(-low / scale)
    q = (torch.floor(x / scale[..., None]) + zero[..., None]).clamp(0, 15).to(torch.uint8)
    q = q.reshape(w.shape)
    return q[:, ::2] | (q[:, 1::2] << 4), scale, zero.to(torch.uint8)


def unpack_int4(packed, scale, zero):
    q = torch.stack([packed & 15, packed >> 4], -1).flatten(1).float()
    q = q.reshape(q.shape[0], scale.shape[1], -1)
    return ((q - zero.float()[..., None]) * scale[..., None]).flatten(1)


# %% x03 | by then it has moved
def gptq_row(w, H, step):
    first = w.clone()
    w = w.clone()
    out = torch.zeros_like(w)
    for j in range(len(w)):
        Hinv = torch.linalg.inv(H[j:, j:])
        out[j] = torch.round(w[j] / step) * step
        w[j + 1 :] -= (first[j] - out[j]) / Hinv[0, 0] * Hinv[0, 1:]
    return out


# %% x03 | rounded down
def gptq_row(w, H, step):
    w = w.clone()
    out = torch.zeros_like(w)
    for j in range(len(w)):
        Hinv = torch.linalg.inv(H[j:, j:])
        out[j] = torch.floor(w[j] / step) * step
        w[j + 1 :] -= (w[j] - out[j]) / Hinv[0, 0] * Hinv[0, 1:]
    return out


# %% x03 | only the next column moves
def gptq_row(w, H, step):
    w = w.clone()
    out = torch.zeros_like(w)
    for j in range(len(w)):
        Hinv = torch.linalg.inv(H[j:, j:])
        out[j] = torch.round(w[j] / step) * step
        w[j + 1 : j + 2] -= (w[j] - out[j]) / Hinv[0, 0] * Hinv[0, 1:2]
    return out


# %% x03 | add to the diagonal
def gptq_row(w, H, step):
    w = w.clone()
    H = H + 0.01 * H.diagonal().mean() * torch.eye(len(w), dtype=H.dtype)
    out = torch.zeros_like(w)
    for j in range(len(w)):
        Hinv = torch.linalg.inv(H[j:, j:])
        out[j] = torch.round(w[j] / step) * step
        w[j + 1 :] -= (w[j] - out[j]) / Hinv[0, 0] * Hinv[0, 1:]
    return out


# %% x03 | round to whole numbers
def gptq_row(w, H, step):
    w = w.clone()
    out = torch.zeros_like(w)
    for j in range(len(w)):
        Hinv = torch.linalg.inv(H[j:, j:])
        out[j] = torch.round(w[j])
        w[j + 1 :] -= (w[j] - out[j]) / Hinv[0, 0] * Hinv[0, 1:]
    return out


# %% x04 | largest value of w
def smooth(x, w, alpha):
    xm = x.abs().amax(0)
    wm = w.amax(0)
    s = xm**alpha / wm ** (1 - alpha)
    s = torch.where((xm == 0) | (wm == 0), torch.ones_like(s), s)
    return s, x / s, w * s


# %% x05 | cut to zero
@torch.no_grad()
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        whole = loss_of(model)
        out = {}
        for name, layer in layers.items():
            old = layer.weight.detach().clone()
            try:
                layer.weight.copy_(round_to_nearest(old, bits, group, symmetric=False))
                out[name] = max(0.0, loss_of(model) - whole)
            finally:
                layer.weight.copy_(old)
        return out
    finally:
        for m, t in modes.items():
            m.training = t


# %% x05 | whole rows
@torch.no_grad()
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        whole = loss_of(model)
        out = {}
        for name, layer in layers.items():
            old = layer.weight.detach().clone()
            try:
                layer.weight.copy_(round_to_nearest(old, bits, None, symmetric=False))
                out[name] = loss_of(model) - whole
            finally:
                layer.weight.copy_(old)
        return out
    finally:
        for m, t in modes.items():
            m.training = t


# %% x05 | you round to 4 bits
@torch.no_grad()
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        whole = loss_of(model)
        out = {}
        for name, layer in layers.items():
            old = layer.weight.detach().clone()
            try:
                layer.weight.copy_(round_to_nearest(old, 4, group, symmetric=False))
                out[name] = loss_of(model) - whole
            finally:
                layer.weight.copy_(old)
        return out
    finally:
        for m, t in modes.items():
            m.training = t


# %% x05 | other way round
@torch.no_grad()
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    try:
        whole = loss_of(model)
        out = {}
        for name, layer in layers.items():
            old = layer.weight.detach().clone()
            olds = {n: l.weight.clone() for n, l in layers.items()}
            try:
                [
                    l.weight.copy_(round_to_nearest(l.weight, bits, group, symmetric=False))
                    for l in layers.values()
                    if l is not layer
                ]
                out[name] = loss_of(model) - whole
            finally:
                [l.weight.copy_(olds[n]) for n, l in layers.items()]
        return out
    finally:
        for m, t in modes.items():
            m.training = t


# %% x05 | first.bias has another requires_grad
def sensitivity(model, layers, loss_of, bits, group):
    modes = {m: m.training for m in model.modules()}
    model.eval()
    model.requires_grad_(False)
    try:
        whole = loss_of(model)
        out = {}
        for name, layer in layers.items():
            old = layer.weight.detach().clone()
            try:
                layer.weight.data.copy_(round_to_nearest(old, bits, group, symmetric=False))
                out[name] = loss_of(model) - whole
            finally:
                layer.weight.data.copy_(old)
        return out
    finally:
        for m, t in modes.items():
            m.training = t
        model.requires_grad_(True)


# %% x01 | along dimension 1
def int8_linear(x, w):
    sw = (w.abs().amax(1) / 127).clamp(min=1e-12)
    sx = (x.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12) if x.ndim > 1 else (x.abs().amax() / 127)
    a = torch.round(x / sx).int()
    b = torch.round(w / sw[:, None]).int()
    return ((a.double() * sx) @ (b.double() * sw[:, None]).T).float()
