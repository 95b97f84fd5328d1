"""The four diagnostics of lecture 04: they take any network, measure what autograd measures, and leave no trace."""

import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils import plot
from course_utils.lectures.layers import BatchNorm1d, Embedding, Linear, Sequential, Tanh, evaluating


@pytest.fixture(autouse=True)
def no_windows(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: None)
    yield
    plt.close("all")


@pytest.fixture
def network():
    g = torch.Generator().manual_seed(0)
    model = Sequential(
        Embedding(11, 4, generator=g),
        nn.Flatten(),
        Linear(12, 16, bias=False, generator=g),
        BatchNorm1d(16),
        Tanh(),
        Linear(16, 11, generator=g),
    )
    x, y = torch.randint(0, 11, (32, 3), generator=g), torch.randint(0, 11, (32,), generator=g)
    return model, x, lambda logits: F.cross_entropy(logits, y)


def lines() -> list[str]:
    return [line.get_label() for line in plt.gca().get_lines()]


def test_it_sees_what_autograd_sees(network):
    model, x, loss = network
    seen = plot.look(model, x, loss)
    h = model[4](model[3](model[2](model[1](model[0](x)))))
    h.retain_grad()
    loss(model[5](h)).backward()
    assert list(seen.outputs) == ["0 Embedding", "1 Flatten", "2 Linear", "3 BatchNorm1d", "4 Tanh", "5 Linear"]
    torch.testing.assert_close(seen.outputs["4 Tanh"], h.detach())
    torch.testing.assert_close(seen.gradients["4 Tanh"], h.grad)
    torch.testing.assert_close(seen.weight_gradients["2.weight"], model[2].weight.grad)
    assert set(seen.weights) == {"0.weight", "2.weight", "5.weight"}  # matrices only


@pytest.mark.parametrize("batch_norm", [BatchNorm1d, nn.BatchNorm1d])
def test_looking_leaves_no_trace(network, batch_norm):
    model, x, loss = network
    model = Sequential(model[0], model[1], model[2], batch_norm(16), nn.Dropout(0.5), model[5])
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    with torch.no_grad():  # it switches gradients on for itself
        plot.look(model, x, loss)
    with pytest.raises(ZeroDivisionError):
        plot.look(model, x, lambda logits: 1 / 0)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert model.training and not model[2].training
    assert all(not part._forward_hooks for part in model.modules())


def test_a_list_of_named_layers_gives_the_same_as_the_module(network):
    model, x, loss = network
    named = [(name, layer) for name, layer in model.named_children()]
    whole = plot.look(model, x, loss)
    for given in (named, dict(named)):
        parts = plot.look(given, x, loss)
        for group, other in zip(whole, parts, strict=True):
            assert list(group) == list(other)
            for name in group:
                torch.testing.assert_close(group[name], other[name])


def test_functions_count_as_layers_and_tuples_pass(network):
    seen = plot.look([("sum", torch.add), ("squash", torch.tanh)], (torch.ones(3), torch.ones(3)))
    torch.testing.assert_close(seen.outputs["squash"], torch.full((3,), 2.0).tanh())
    lstm = nn.LSTM(3, 5)  # returns a tuple
    assert plot.look(lstm, torch.randn(2, 1, 3), lambda out: out[0].sum()).outputs.popitem()[1].shape == (2, 1, 5)


def test_a_layer_used_twice_is_shown_twice():
    layer = Linear(4, 4)
    assert len(plot.look([("a", layer), ("a", layer)], torch.randn(8, 4)).outputs) == 2


def test_the_pictures_say_their_numbers(network):
    model, x, loss = network
    plot.activations(model, x, only=Tanh)
    h = plot.look(model, x).outputs["4 Tanh"]
    share = (h.abs() > 0.97).float().mean()
    assert lines() == [f"4 Tanh: mean {h.mean():+.2f}, std {h.std():.2f}, beyond ±0.97: {share:.1%}"]
    plot.gradients(model, x, loss, only=(Tanh, Linear))
    assert len(lines()) == 3
    plot.grad_data(model, x, loss)
    assert [label.partition(":")[0] for label in lines()] == ["0.weight", "2.weight", "5.weight"]
    with pytest.raises(ValueError, match="no layer to show"):
        plot.activations(model, x, only=nn.Conv2d)


def test_update_ratios_are_the_updates(network):
    model, x, loss = network
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ratios = plot.UpdateRatios(model)
    before = model[5].weight.detach().clone()
    loss(model(x)).backward()
    optimizer.step()
    ratios.record()
    want = (0.1 * model[5].weight.grad).std() / before.std()
    torch.testing.assert_close(ratios.history["5.weight"][0], want, rtol=1e-4, atol=0)  # a difference of like numbers
    plot.update_data(ratios)
    assert "guide: 1e-3" in lines()


def test_evaluating_restores_each_layers_mode_also_after_an_error(network):
    model, x, _ = network
    model.train()
    model[5].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ZeroDivisionError), evaluating(model):
        assert not any(part.training for part in model.modules()) and not torch.is_grad_enabled()
        model(x)
        raise ZeroDivisionError
    assert torch.is_grad_enabled() and model.training and model[3].training and not model[5].training
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_an_evaluation_that_forgot_the_mode_is_refused(network):
    model, x, _ = network
    before = model[3].running_mean.clone()
    for off in (torch.no_grad(), torch.inference_mode()):
        with off, pytest.raises(RuntimeError, match="evaluating"):
            model(x)
    assert torch.equal(model[3].running_mean, before)


def test_batchnorm_is_torchs_over_many_batches():
    """Forward, gradients, running statistics and state, in both modes and both directions."""
    torch.manual_seed(0)
    ours, theirs = BatchNorm1d(5, momentum=0.3), nn.BatchNorm1d(5, momentum=0.3)
    theirs.load_state_dict(ours.state_dict())
    for n in (2, 3, 64):
        x = torch.randn(n, 5) * 3 + 1
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        weight = torch.randn(n, 5)
        (ours(a) * weight).sum().backward()
        (theirs(b) * weight).sum().backward()
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4 if n == 2 else 1e-5)  # n = 2 cancels to noise
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-5, atol=1e-5)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    with pytest.raises(ValueError, match=r"takes \(N, C\)"):
        ours(torch.randn(2, 3, 5))
    with pytest.raises(ValueError, match="one example"):
        ours.train()(torch.randn(1, 5))
