"""environment.yml asks for what pyproject.toml asks for, in words that conda reads; constraints.txt pins all of it."""

import importlib.metadata
import re
import tomllib
from itertools import chain
from pathlib import Path

import rattler
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ON_CONDA = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "graphviz": "python-graphviz",
    "igraph": "python-igraph",
}  # other names there
OF_CONDA = {"python", "pip"}


def wanted() -> dict[str, str]:
    """{name: version range} of the package and of its extras."""
    everything = PROJECT["dependencies"] + list(chain(*PROJECT["optional-dependencies"].values()))
    parsed = [Requirement(text) for text in everything]
    return {r.name: str(r.specifier) for r in parsed if r.name != PROJECT["name"]}


def listed() -> tuple[list[str], list[str]]:
    """The entries of environment.yml: conda's and pip's."""
    lines = (REPOSITORY / "environment.yml").read_text(encoding="utf-8").splitlines()
    after = lines[lines.index("dependencies:") + 1 :]
    conda = [line[4:] for line in after if line.startswith("  - ") and line != "  - pip:"]
    pip = [line.strip()[2:] for line in after if line.startswith("      - ")]
    return conda, pip


def pins() -> dict[str, str]:
    """{name: version} of constraints.txt."""
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(line) for line in lines if not line.startswith("#")]
    versions = {pin.name.lower(): str(pin.specifier).removeprefix("==") for pin in parsed}
    assert len(versions) == len(parsed), "something is pinned twice"
    return versions


def test_every_conda_entry_is_a_strict_match_spec():
    for entry in listed()[0]:
        assert str(rattler.MatchSpec(entry, strict=True).name)


def test_the_two_files_ask_for_the_same():
    conda, pip = listed()
    assert pip[-1] == "-e ."
    asked = {}
    for entry in conda:
        name, _, version = re.match(r"([\w-]+)((.*))$", entry).groups()
        if name not in OF_CONDA:
            asked[name] = version
    back = {conda_name: name for name, conda_name in ON_CONDA.items()}
    asked = {back.get(name, name): version for name, version in asked.items()}
    asked |= {r.name: str(r.specifier) for r in map(Requirement, pip[:-1])}
    assert asked == wanted()
    assert f"python{PROJECT['requires-python']}" in conda


def test_everything_is_pinned_once_and_within_its_range():
    versions = pins()
    for text in PROJECT["dependencies"] + list(chain(*PROJECT["optional-dependencies"].values())):
        requirement = Requirement(text)
        if requirement.name != PROJECT["name"]:
            assert requirement.specifier.contains(versions[requirement.name]), requirement


def test_the_pins_install_on_the_first_release_of_the_oldest_python():
    """As on Debian 12, whose Python is 3.11.2. Looks at those that are installed here in their pinned version."""
    for name, version in pins().items():
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if found.version == version:
            assert SpecifierSet(found.metadata["Requires-Python"] or "").contains("3.11.0"), name
