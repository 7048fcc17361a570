"""The page on a batch shows what was found, whole, and asks nothing of the network."""

import json
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO

import matplotlib.pyplot as plt
import nbformat
import pytest

from pruninglib.batch import __main__ as batch
from pruninglib.batch.report import report


def picture():
    """A PNG as notebooks hold it."""
    fig, file = plt.figure(figsize=(1, 1)), BytesIO()
    fig.savefig(file, format="png")
    plt.close(fig)
    return b64encode(file.getvalue()).decode()


def output(**data):
    kinds = {"png": "image/png", "markdown": "text/markdown"}
    data = {kinds[name]: value for name, value in data.items()}
    return nbformat.v4.new_output("display_data", data)


def run(folder, key, dataset, rows):
    cells = [
        nbformat.v4.new_markdown_cell("# 1. Title & more\n\n**Is 1 < 2?**\n\nWords."),
        nbformat.v4.new_markdown_cell("## A figure\n\nIt shows a curve."),
        nbformat.v4.new_code_cell("", outputs=[output(png=picture())]),
        nbformat.v4.new_markdown_cell("## What we saw"),
        nbformat.v4.new_code_cell("", outputs=[output(markdown=f"* {dataset} *well*")]),
    ]
    result = {"parameters": {"dataset": dataset, "epochs": 5}, "rows": rows, "date": "2026-11-24"}
    result |= {"device": "Linux", "versions": {"pruninglib": "0.1.0"}}
    (folder / key).mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / key / "notebook.ipynb")
    (folder / key / "result.json").write_text(json.dumps(result))


@pytest.fixture
def folder(tmp_path):
    """A batch of two runs."""
    for dataset, accuracy in (("digits", 0.9), ("mnist", 0.8)):
        rows = [
            {"table": "sweep", "method": method, "seed": seed, "sparsity": s, "accuracy": value}
            for method in ("weight", "unit")
            for s in (0.0, 0.5)
            for seed, value in enumerate((accuracy - s / 10, accuracy - s / 10 + 0.02))
        ]
        run(tmp_path / "out", f"1_title-{accuracy}", dataset, rows)
    return tmp_path / "out"


def test_accuracies_are_told_over_the_seeds_for_each_run_and_method(folder):
    text = report(folder).read_text()
    for mean in ("91.0", "86.0", "81.0", "76.0"):
        assert text.count(f"{mean} ± 1.4 %") == 2
    assert "epochs" not in text, "it is the same in both runs"
    assert "<th>50%</th>" in text and "<summary>1_title-0.9: dataset digits</summary>" in text
    assert "<h2>1. Title &amp; more</h2>" in text and "Is 1 &lt; 2?" in text


def test_times_are_medians(tmp_path):
    rows = [
        {"table": "times", "stage": stage, "batch_size": n, "sparsity": 0.5, "median_ms": n * ms}
        for stage, ms in (("dense", 2.0), ("shrunk", 0.25))
        for n in (1, 64)
    ]
    run(tmp_path, "1_title-a", "digits", rows)
    text = report(tmp_path).read_text()
    for cell in ("2", "128", "0.25", "16"):
        assert f"<td>{cell}</td>" in text


def test_a_run_without_accuracies_and_times_has_its_figures_alone(tmp_path):
    run(tmp_path, "1_title-a", "digits", [{"table": "shapes", "kurtosis": 1.0}])
    text = report(tmp_path).read_text()
    assert "<table" not in text and text.count("<img") == 1
    assert "<summary>1_title-a</summary>" in text, "nothing differs from other runs"


def test_figures_stand_inline_with_words_for_those_who_do_not_see_them(folder):
    text = report(folder).read_text()
    assert text.count('<img alt="A figure. It shows a curve." src="data:image/png;base64,') == 2
    assert "<em>well</em>" in text


def test_words_that_a_figure_has_of_its_own_come_first(folder):
    path = next(folder.glob("*/notebook.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].outputs[0].metadata["image/png"] = {"alt": "A curve & a <band>."}
    nbformat.write(notebook, path)
    text = report(folder).read_text()
    assert '<img alt="A curve &amp; a &lt;band&gt;." src="data:' in text
    assert "<b>A figure</b> A curve &amp; a &lt;band&gt;.</figcaption>" in text


def test_the_command_says_where_the_page_is(folder, capsys):
    assert batch.main(["report", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert batch.main(["report"]) == 2
    assert "Expected: python -m pruninglib.batch report FOLDER" in capsys.readouterr().err


def opened(browser, path):
    """Return what a page asks for, and the widths of its figures."""
    page, seen = browser.new_page(), []
    page.on("request", lambda request: seen.append(request.url))
    page.goto(path.as_uri(), wait_until="load")
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    page.close()
    return [url for url in seen if not url.startswith("data:")], widths


def test_a_browser_shows_all_figures_and_asks_nothing_of_the_network(browser, folder):
    path = report(folder)
    assert opened(browser, path) == ([path.as_uri()], [100, 100])


@pytest.fixture
def elsewhere():
    """The address of a server on this machine, and the paths that it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_not_even_a_picture_that_a_notebook_names_is_fetched(browser, tmp_path, elsewhere):
    address, asked = elsewhere
    run(tmp_path, "1_title-a", f"![x]({address}/x.png)", [])
    path = report(tmp_path)
    opened(browser, path)
    assert asked == []
    path.write_text(path.read_text().replace("Content-Security-Policy", "nothing"))
    opened(browser, path)
    assert asked == ["/x.png"], "what it asks for would be seen"
