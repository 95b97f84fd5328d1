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


# %% x02 | other bytes
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


# %% x03 | multiple of step
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


# %% x03 | the row is off
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


# %% x04 | features that are all zero
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


# %% x05 | leave it in the mode it was in
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


# %% x05 | leaves a layer rounded
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


# %% x05 | leaves the model in evaluation mode
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
