"""The command `python -m evidence.pages`."""

from functools import partial

from evidence.pages import readme, results
from evidence.pages.notebooks import NOTEBOOKS, address, with_address
from evidence.pages.text import updated
from pruninglib.atomic import written_whole
from pruninglib.experiments.paths import ROOT

PAGES = {
    "README.md": readme.SECTIONS,
    "docs/results.md": results.SECTIONS,
    "docs/guide.md": results.GUIDE,
}


def write(path, text):
    """Write a file as a whole, if it says something new."""
    if text != path.read_text():
        with written_whole(path) as file:
            file.write_text(text)


def main(root=ROOT):
    """Bring pages and notebooks up to date."""
    found = address(root / "pyproject.toml")
    badges = {"README.md": {"notebooks": partial(readme.notebooks, found)}}
    for name, sections in PAGES.items():
        page = (root / name).read_text()
        write(root / name, updated(page, sections | badges.get(name, {})))
    for path in (root / NOTEBOOKS).rglob("*.ipynb"):
        if ".ipynb_checkpoints" not in path.parts:
            write(path, with_address(path.read_text(), found))


if __name__ == "__main__":
    main()
