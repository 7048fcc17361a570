"""JupyterLab in a real browser: run all, move the slider, save. `make test-browser` runs this."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[1-9]*.ipynb"))
MINUTES = 60_000  # milliseconds, as Playwright counts; waits are for a machine ten times slower
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """(folder, address, token) of a JupyterLab with the notebooks, quick parameters in them."""
    folder = tmp_path_factory.mktemp("lab")
    quick = yaml.safe_load((ROOT / "notebooks" / "profiles" / "quick.yaml").read_text())
    for path in NOTEBOOKS:
        copy = folder / "notebooks" / path.name
        copy.parent.mkdir(exist_ok=True)
        papermill.execute_notebook(path, copy, parameters=quick, prepare_only=True)
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    # all cells are in the page, not only those in view
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.root_dir={folder / 'notebooks'}", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", "--LabApp.extension_manager=readonly"]
    environment = os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PRUNINGLIB_RUNS": str(folder / "runs"),
    }
    environment.pop("PRUNINGLIB_BASELINES", None)
    environment.pop("PRUNINGLIB_QUIET", None)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def answers():
        assert server.poll() is None, (folder / "log").read_text()[-3000:]
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers)
    yield folder / "notebooks", f"http://127.0.0.1:{port}", token
    server.terminate()
    server.wait(300)


def wait_for(what, sleep=lambda: time.sleep(0.1), seconds=300):
    """Return what a function returns, once that is something."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        sleep()
    return found


@pytest.fixture
def page(browser, lab):
    """A page that can ask for nothing beyond this machine, and asks for the badge alone."""
    _, address, _ = lab
    page, outside = browser.new_page(viewport={"width": 1200, "height": 900}), []

    def decide(route):
        if route.request.url.startswith((address, address.replace("http", "ws"), "data:", "blob:")):
            route.continue_()
        else:
            outside.append(route.request.url)
            route.abort()

    page.set_default_timeout(5 * MINUTES)
    page.route("**/*", decide)
    yield page
    page.close()
    assert set(outside) <= {BADGE}


def run_all(page, address, token, name):
    """Open a notebook and run all of it, as a reader does by the menu."""
    page.goto(f"{address}/lab/tree/{name}?reset&token={token}")
    page.locator("#jp-main-statusbar", has_text="| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
    page.wait_for_function(
        """() => {
            const prompts = [...document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")]
                .map(prompt => prompt.innerText);
            const failed = document.querySelector('.jp-RenderedText[data-mime-type$="stderr"]');
            return failed || prompts.length && prompts.every(text => /\\d/.test(text));
        }""",
        timeout=10 * MINUTES,
    )


def move_slider(page):
    """Move the slider by a key; return the sentences and the pictures before and after."""
    words = page.locator(".jp-OutputArea .widget-html-content").last
    picture = page.locator(".jp-OutputArea img.widget-image").last
    handle = page.locator(".jp-OutputArea .noUi-handle").last
    handle.scroll_into_view_if_needed()
    before = (words.inner_text(), picture.screenshot())
    source = picture.get_attribute("src")
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        """before => [...document.querySelectorAll("img.widget-image")].at(-1).src != before""",
        arg=source,
    )
    return before, (words.inner_text(), picture.screenshot())


def executed(path):
    """Return a notebook once it is saved after its run: before, or half written, it is not."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except ValueError:  # JupyterLab empties the file before it writes it
        return None
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    saved = all(cell.execution_count for cell in code) and "widget-view+json" in json.dumps(
        notebook
    )
    return notebook if saved else None


@pytest.mark.parametrize("name", [path.name for path in NOTEBOOKS])
def test_a_reader_runs_a_notebook_moves_the_slider_and_saves(page, lab, name):
    folder, address, token = lab
    run_all(page, address, token, name)
    before, after = move_slider(page)
    first, second = (re.match(r"(\d+)% of the .+s pruned, ", said[0]) for said in (before, after))
    assert int(first[1]) < int(second[1])
    assert before[1] != after[1], "the picture is another one"
    page.keyboard.press("Control+s")
    # Playwright's own sleep, in which it lets the page's request to save pass
    saved = wait_for(lambda: executed(folder / name), lambda: page.wait_for_timeout(100))
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    words = [output.metadata["image/png"]["alt"] for output in pictures]
    read = " ".join(page.locator(".jp-Notebook").inner_text().split())
    assert words and all(words) and all(" ".join(text.split()) in read for text in words)
    assert ", done after " in json.dumps(saved), "the progress line"
    assert (folder.parent / "runs" / "quick" / f"{Path(name).stem}.result.json").exists()
    assert "widget-view+json" in json.dumps(saved)
