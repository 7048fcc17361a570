"""What a run of a notebook leaves."""

import json
from typing import NamedTuple


class Outcome(NamedTuple):
    """What a run left."""

    files: dict  # {name: bytes}: result.json, notebook.ipynb, tables and figures
    error: str  # why it failed; empty if it did not


def outputs(folder):
    """Return {name: bytes} of what a notebook wrote, and what is wrong with it, if anything."""
    written = [path for path in sorted((folder / "runs").rglob("[!.]*")) if path.is_file()]
    files = {path.name: path.read_bytes() for path in written}
    if len(files) < len(written):
        names = ", ".join(str(path.relative_to(folder / "runs")) for path in written)
        return files, f"wrote several files of one name, in {names}; give each a name of its own"
    results = [name for name in files if name.endswith("result.json")]
    if len(results) != 1:
        return files, f"wrote {len(results)} results; a cell of it must call pl.write_result once"
    files["result.json"] = files.pop(results[0])
    return files, ""


def executed(folder, notebook, error):
    """Return the executed notebook; as it was, if it was killed before it was written."""
    try:
        content = (folder / "notebook.ipynb").read_bytes()
        json.loads(content)
    except (OSError, ValueError):
        content = notebook
    return with_error(content, error) if error else content


def with_error(notebook, error):
    """Return a notebook, bytes, with an error on top."""
    content = json.loads(notebook)
    note = {"id": "why-it-failed", "cell_type": "markdown", "metadata": {}}
    content["cells"].insert(0, note | {"source": f"**This run failed: {error}**"})
    return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"
