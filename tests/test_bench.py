"""`course bench`: it runs the pages' own code, and what it repeats of them stands in them still."""

import math
import shutil
from pathlib import Path

import pytest

from course_utils.tools import bench, cli, pages

# Lines of the pages that bench.py says in its own words. Whoever changes one changes the other.
REPEATED = {
    "03_makemore_mlp": [
        "P, g = init(context, emb, hidden), torch.Generator().manual_seed(0)",
        "pick = torch.randint(len(Xtr), (32,), generator=g)",
        "p.data -= 0.1 * p.grad",
        "losses.append(loss.item())",
        "P, seconds, losses = fit()",
        "loss_on(P, Xdev, Ydev)",
    ],
    "04_makemore_activations_batchnorm": [
        "p = make_network(scale_W1=(5 / 3) / 30**0.5, scale_b1=0.01, scale_W2=0.01, scale_b2=0.0)",
        'p["gamma"] = torch.ones(200, device=device, requires_grad=True)',
        'p["beta"] = torch.zeros(200, device=device, requires_grad=True)',
        'running = {"mean": torch.zeros(200, device=device), "var": torch.ones(200, device=device)}',
        "loss = F.cross_entropy(forward_bn(p, Xtr[ix], running), Ytr[ix])",
        "t -= 0.1 * grad",
        "histories = {name: train_fast(model, name) for name, model in candidates.items()}",
    ],
    "05_makemore_backprop_ninja": [
        "P, G, flat, flat_grad = make_network(embeddings[0], seed=0)",
        "pick = torch.randint(len(Xtr), (32,), generator=g)",
        "losses.append(gradients(P, G, Xtr[pick], Ytr[pick]).item())",
        "flat -= 0.1 * flat_grad",
        "runs = {emb: fit(emb) for emb in embeddings}",
        "calibrate(P)",
        "F.cross_entropy(logits_of(P, Xdev), Ydev).item()",
    ],
    "06_makemore_wavenet": [
        "ix = torch.randint(len(X), (32,), generator=g)",
        "p -= 0.1 * p.grad",
        "losses.append(loss.item())",
        "curves[idea] = learn(model, loss_of, rows, passes, idea[:26], **options)",
        'enter("the same, full run", wavenet, on_windows, len(X), (Xdev, Ydev), "1.993", passes=epochs)',
    ],
    "07_gpt": [
        "torch.manual_seed(1337)\nconfig = GPTConfig(",
        "model = GPT(config).to(device)",
        "g = torch.Generator().manual_seed(0)\n"
        "losses = fit(model, lambda: get_batch(train_on, batch_size, block_size, g), steps, peak_rate,",
        "evaluate(model, val_on, block_size)",
    ],
}
SMALL = {"epochs": 2, "batch": 256, "steps": 30, "n_layer": 1, "n_embd": 32}  # and the data are small


@pytest.fixture
def small_data(tmp_path, monkeypatch):
    names = Path(__file__).parents[1].joinpath("data/names.txt").read_text(encoding="utf-8").split()
    (tmp_path / "names.txt").write_text("\n".join(names[::40]))
    (tmp_path / "text.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 300)
    monkeypatch.setenv("COURSE_DATA_NAMES", str(tmp_path / "names.txt"))
    monkeypatch.setenv("COURSE_DATA_SHAKESPEARE", str(tmp_path / "text.txt"))


@pytest.fixture
def other_pages(tmp_path, monkeypatch):
    """A copy of the lectures' sources in the place of the real ones, to change."""
    shutil.copytree(pages.ROOT / "sources/lectures", tmp_path / "sources/lectures")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    return tmp_path / "sources/lectures"


@pytest.mark.parametrize("stem", bench.RACES)
def test_the_page_still_does_what_bench_repeats(stem):
    source = (pages.ROOT / f"sources/lectures/{stem}.py").read_text(encoding="utf-8")
    gone = [line for line in REPEATED[stem] if line not in source]
    assert not gone, f"{stem} changed: let course_utils/tools/bench.py follow, then this list."
    assert stem == "07_gpt" or "200,000" in source


@pytest.mark.parametrize("stem", bench.RACES)
def test_both_sides_of_a_race_learn(stem, small_data, capfd):
    race = bench.prepare(stem, SMALL)
    race.share = 1.0
    early = [race.step(i) for i in range(20)]
    late = [race.step(i) for i in range(100)][-20:]
    assert sum(late) < sum(early)
    line = bench.run(stem[:2], race, seconds=0.05)
    _, reference, shown, *_ = line.split()
    assert float(reference) == race.reference and 0 < float(shown) < math.log(27)
    assert ("(above)" in line) == (float(shown) > race.reference)


@pytest.mark.parametrize("stem, loop", [("03_makemore_mlp", "classic_loop"), ("06_makemore_wavenet", "classic")])
def test_the_classic_loop_is_the_pages(stem, loop, small_data):
    """Where the page has one as a function: the same losses from the same seeds."""
    page = bench.lift(stem, bench.RACES[stem][0])
    arguments = (page.wavenet, page.X, page.Y, 10) if "wavenet" in stem else (10,)
    race = bench.prepare(stem)
    assert [race.step(i) for i in range(10)] == pytest.approx(getattr(page, loop)(*arguments)[-1], rel=1e-5)


def test_a_changed_parameter_arrives(other_pages, small_data):
    path = other_pages / "03_makemore_mlp.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("peak_rate = 2e-2", "peak_rate = 7e-4"), encoding="utf-8")
    page = bench.lift(path.stem, bench.RACES[path.stem][0])
    assert page.peak_rate == 7e-4 and 7e-4 in page.fit.__defaults__


def test_what_is_gone_from_a_page_is_named(other_pages, small_data):
    path = other_pages / "06_makemore_wavenet.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("wavenet = ", "network = "), encoding="utf-8")
    with pytest.raises(pages.CourseError, match="06_makemore_wavenet no longer has wavenet"):
        bench.prepare(path.stem)


def test_a_training_that_ran_in_part_says_no_loss(capfd):
    race = bench.Race(2.0, lambda i: 1.0, lambda: pytest.fail, "a note", steps=1000, share=0.2)
    assert "not measured" in bench.run("07", race, seconds=0.01)


@pytest.mark.parametrize("whole", [False, True])
def test_the_table(whole, monkeypatch, capfd):
    made = lambda stem: bench.Race(2.0, lambda i: 1.0, lambda: lambda: 1.5, f"a note on {stem}", share=0.2)
    monkeypatch.setattr(bench, "prepare", made)
    monkeypatch.setattr(bench, "STRETCH", 0.01)
    assert cli.main(["bench", "6", "03", "03", *["--whole"] * whole]) == 0
    said = capfd.readouterr().out
    assert said.index("\n03  ") < said.index("\n06  ") and said.count("a note on") == 2
    assert ("not measured" in said) == ("--whole" in said) == (not whole)
    for words in ("1.5000" if whole else "*", "of 200,000", "are extrapolated", "cores, threads 03: 1, 06: 1; torch "):
        assert words in said


@pytest.mark.parametrize("word, answer", [("99", "There is no lecture '99'"), ("02", "knows 03, 04, 05, 06, 07")])
def test_a_lecture_that_it_does_not_know(word, answer, capfd):
    assert cli.main(["bench", "03", word]) == 1
    said = capfd.readouterr()
    assert answer in said.err and said.err.count("\n") == 1 and not said.out
