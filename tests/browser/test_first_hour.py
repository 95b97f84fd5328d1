"""A newcomer's first hour, in a real browser: JupyterLab opens, a lecture runs, an exercise is solved by keyboard.

Run by `make browser-test`. Needs Debian's chromium and chromium-driver, or any Chrome with its driver on the PATH.
Works on a copy of the course, since JupyterLab saves what it has open. Screenshots lie in runs/browser/.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "runs/browser"
LECTURES = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUIET = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
QUIET += " --disable-component-update --disable-sync --hide-scrollbars"


def wait(found, what: str, seconds: float = 60):
    """The first true value of found(), or a failure that says what did not come."""
    end = time.time() + seconds
    while time.time() < end:
        try:
            value = found()
            if value:
                return value
        except StaleElementReferenceException:
            pass
        time.sleep(0.2)
    pytest.fail(f"{what} did not come within {seconds:.0f} seconds")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        pytest.fail("There is no Chromium with its driver: `apt-get install chromium chromium-driver`, then run again.")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in [*QUIET.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--window-size=1300,950"]:
        options.add_argument(argument)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    SHOTS.mkdir(parents=True, exist_ok=True)
    yield chrome
    chrome.save_screenshot(str(SHOTS / "last.png"))  # after a failure with -x: what it looked like
    chrome.quit()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """JupyterLab as `course lab` starts it, on a copy of the course: (the folder, its address with the token)."""
    folder = tmp_path_factory.mktemp("course")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    cache = {"COURSE_CACHE": str(ROOT / "data/cache"), "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "course_utils.tools.cli", "lab", "--port", str(port), "--no-browser"]
    command += ["--LabApp.expose_app_in_browser=True"]
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(command, cwd=folder, env=os.environ | cache, stdout=log, stderr=log)
    try:
        said = lambda: re.search(r"http://localhost\S+", (folder / "lab.log").read_text())
        yield folder, wait(said, "JupyterLab's address", 120)[0]
    finally:
        server.terminate()
        server.wait(20)


def open_page(browser, lab, path: str) -> None:
    """Open a file in JupyterLab, and wait until its kernel is idle."""
    address = lab[1].replace("README.md", path) + "&reset"  # without the tabs of the test before
    browser.get(address)
    stem = Path(path).name
    current = "return window.jupyterapp && jupyterapp.shell.currentWidget && jupyterapp.shell.currentWidget.title.label"
    wait(lambda: browser.execute_script(current) == stem, f"a tab with {stem}", 90)
    browser.execute_script("jupyterapp.shell.collapseLeft()")  # the file browser takes half of a small window
    if path.endswith(".ipynb"):
        idle = "return jupyterapp.shell.currentWidget.context.sessionContext.session?.kernel?.status === 'idle'"
        wait(lambda: browser.execute_script(idle), f"an idle kernel for {path}", 90)


def cells(browser) -> list[dict]:
    """The open notebook as JupyterLab holds it: a dict a cell."""
    script = "const m = jupyterapp.shell.currentWidget.content.model; return JSON.stringify(m ? m.toJSON().cells : [])"
    return json.loads(browser.execute_script(script))


def outputs(cell: dict) -> str:
    return json.dumps(cell.get("outputs", []), ensure_ascii=False)


def run_cell(browser, number: int) -> str:
    """Run one cell as Shift+Enter does, wait for its end, and return what it put out."""
    browser.execute_script(
        "const nb = jupyterapp.shell.currentWidget.content; nb.activeCellIndex = arguments[0]; nb.mode = 'command';"
        "nb.deselectAll(); nb.activeCell.model.sharedModel.execution_count = null; nb.scrollToItem(arguments[0]);"
        "jupyterapp.commands.execute('notebook:run-cell');",
        number,
    )
    wait(lambda: cells(browser)[number].get("execution_count"), f"the end of cell {number}", 120)
    return outputs(cells(browser)[number])


def type_into(browser, number: int, code: str) -> None:
    """Replace a cell's code by keyboard, line by line, as a learner types."""
    browser.execute_script(
        "const nb = jupyterapp.shell.currentWidget.content; nb.activeCellIndex = arguments[0];"
        "nb.scrollToItem(arguments[0]); nb.mode = 'edit'; nb.activeCell.editor.focus();",
        number,
    )
    time.sleep(0.5)
    keys = ActionChains(browser).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(Keys.DELETE)
    for line in code.splitlines():
        for _ in range(4):  # undo the editor's own indentation
            keys.key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT)
        keys.send_keys(line).send_keys(Keys.ENTER)
    keys.perform()
    source = "".join(cells(browser)[number]["source"])
    assert source.rstrip() == code.rstrip(), f"what was typed arrived as {source!r}"


def contrast(browser, selector: str) -> float:
    """The WCAG contrast of an element's text with what is behind it: 4.5 and more reads well."""
    return browser.execute_script(
        """
        const rgb = s => (s.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
        const light = c => c.slice(0, 3).map(v => v / 255)
          .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        let element = document.querySelector(arguments[0]);
        const text = light(rgb(getComputedStyle(element).color));
        let behind = [255, 255, 255];
        for (; element; element = element.parentElement) {
          const c = rgb(getComputedStyle(element).backgroundColor);
          if (c.length === 3 || c[3] > 0) { behind = c; break; }
        }
        const back = light(behind);
        return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
        """,
        selector,
    )


def test_the_landing_page_opens_and_its_links_open_lectures(browser, lab):
    open_page(browser, lab, "README.md")
    title = lambda: [
        e for e in browser.find_elements(By.CSS_SELECTOR, ".jp-RenderedMarkdown h1") if e.text == "Zero to NN"
    ]
    wait(title, "the README, rendered")
    link = wait(
        lambda: [e for e in browser.find_elements(By.CSS_SELECTOR, ".jp-RenderedMarkdown a") if e.text == "lecture"],
        "a link to a lecture",
    )[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    browser.save_screenshot(str(SHOTS / "landing.png"))
    link.click()
    tabs = lambda: [e.text for e in browser.find_elements(By.CSS_SELECTOR, ".lm-TabBar-tabLabel")]
    wait(lambda: any("01_micrograd" in tab for tab in tabs()), "lecture 01 in a tab")


def test_lecture_01_runs_from_top_to_bottom(browser, lab):
    open_page(browser, lab, "notebooks/01_micrograd.ipynb")
    browser.execute_script("jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    wait(lambda: not any(outputs(c) != "[]" for c in cells(browser)), "a page without outputs")
    browser.execute_script(
        "for (const cell of jupyterapp.shell.currentWidget.content.widgets)"
        "  if (cell.model.type === 'code') cell.model.executionCount = null;"
    )
    browser.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
    code = lambda: [c for c in cells(browser) if c["cell_type"] == "code" and "".join(c["source"]).strip()]
    wait(lambda: all(c.get("execution_count") for c in code()), "the end of lecture 01", 240)
    expected = [c for c in code() if "raises-exception" in c["metadata"].get("tags", [])]
    failed = [c for c in code() if '"error"' in outputs(c) and c not in expected]
    assert not failed, f"a cell failed: {''.join(failed[0]['source'])[:200]}"
    kinds = lambda: {kind for c in code() for out in c["outputs"] for kind in out.get("data", {})}
    drawn = {"image/png", "image/svg+xml", "application/vnd.jupyter.widget-view+json"}
    wait(lambda: drawn <= kinds(), "pictures, an SVG graph and a slider", 20)
    browser.save_screenshot(str(SHOTS / "lecture_01.png"))


def test_the_slider_redraws_the_neuron(browser, lab):
    number = next(i for i, c in enumerate(cells(browser)) if "widget-view" in outputs(c))
    browser.execute_script("jupyterapp.shell.currentWidget.content.scrollToItem(arguments[0], 'center')", number)
    handle = wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".noUi-handle, .ui-slider-handle"), "the slider")[0]
    drawn = lambda: "".join(
        e.get_attribute("innerHTML") for e in browser.find_elements(By.CSS_SELECTOR, ".jupyter-widgets svg")
    )
    before = wait(drawn, "the drawing beside the slider")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    ActionChains(browser).click(handle).send_keys(*[Keys.ARROW_RIGHT] * 5).perform()
    wait(lambda: drawn() not in ("", before), "another drawing after the slider moved", 20)
    browser.save_screenshot(str(SHOTS / "slider.png"))


def test_an_exercise_is_solved_by_keyboard(browser, lab):
    folder, _ = lab
    work = [sys.executable, "-m", "course_utils.tools.cli", "work", "02"]
    subprocess.run(work, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, check=True, capture_output=True)
    open_page(browser, lab, "work/02_makemore_bigrams.ipynb")
    page = wait(
        lambda: [c for c in [cells(browser)] if any("NotImplementedError" in "".join(x["source"]) for x in c)],
        "the exercise's cells",
    )[0]
    stub = next(i for i, c in enumerate(page) if "NotImplementedError" in "".join(c["source"]))
    check = next(i for i, c in enumerate(page) if "".join(c["source"]).startswith("check.") and i > stub)
    for number in range(stub):
        if page[number]["cell_type"] == "code":
            assert '"error"' not in run_cell(browser, number)
    run_cell(browser, stub)
    assert "is still to do" in run_cell(browser, check)
    browser.save_screenshot(str(SHOTS / "still_to_do.png"))

    solved = nbformat.read(ROOT / "solutions/02_makemore_bigrams.ipynb", 4).cells
    name = re.search(r"def (\w+)\(", "".join(page[stub]["source"]))[1]
    answer = next(c.source for c in solved if f"def {name}(" in c.source)
    wrong = re.sub(r"return (.+)", r"return 2 * (\1)", "\n".join(l for l in answer.splitlines() if "### " not in l))
    type_into(browser, stub, wrong)
    run_cell(browser, stub)
    assert "✗" in run_cell(browser, check)
    browser.save_screenshot(str(SHOTS / "wrong_answer.png"))

    type_into(browser, stub, "\n".join(l for l in answer.splitlines() if "### " not in l))
    assert '"error"' not in run_cell(browser, stub)
    assert "passed" in run_cell(browser, check)
    browser.save_screenshot(str(SHOTS / "passed.png"))


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_both_themes_are_readable(browser, lab, theme):
    open_page(browser, lab, "notebooks/01_micrograd.ipynb")
    browser.execute_script("jupyterapp.commands.execute('apputils:change-theme', {theme: arguments[0]})", theme)
    light = "true" if theme.endswith("Light") else "false"
    wait(lambda: browser.find_elements(By.CSS_SELECTOR, f'body[data-jp-theme-light="{light}"]'), theme)
    time.sleep(1)
    browser.save_screenshot(str(SHOTS / f"{theme.split()[1].lower()}.png"))
    for selector in (".jp-RenderedMarkdown p", ".jp-RenderedMarkdown h1", ".cm-content .cm-line"):
        assert contrast(browser, selector) >= 4.5, f"{selector} is hard to read in {theme}"


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_a_static_page_fits_a_phone(browser, path, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(HTMLExporter(template_name="lab").from_filename(str(path))[0], encoding="utf-8")
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        browser.get(page.as_uri())
        time.sleep(1)
        wide = browser.execute_script(
            "return [...document.querySelectorAll("
            "'.jp-RenderedMarkdown p, .jp-RenderedMarkdown li, .jp-RenderedImage img')]"
            ".filter(e => e.offsetWidth && e.getBoundingClientRect().right > 376)"
            ".map(e => e.innerText || e.outerHTML.slice(0, 80))"
        )
        small = browser.execute_script(
            "return parseFloat(getComputedStyle(document.querySelector('.jp-RenderedMarkdown p')).fontSize)"
        )
        browser.save_screenshot(str(SHOTS / f"phone_{path.stem}.png"))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert not wide, f"these run out of a screen of 375 pixels: {wide[:3]}"
    assert small >= 12
