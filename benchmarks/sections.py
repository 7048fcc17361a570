"""Write one section of benchmarks/README.md and leave the others as they are."""

from pathlib import Path

README = Path(__file__).with_name("README.md")


def write_section(title, body, readme=README):
    """Put a section "## title" in place of the one of that title, or at the end.

    Args:
        body: Markdown without the heading.
    """
    section = f"## {title}\n\n{body.strip()}\n"
    before, *sections = readme.read_text().split("\n## ")
    titles = [each.split("\n")[0] for each in sections]
    if title in titles:
        sections[titles.index(title)] = section.removeprefix("## ")
    else:
        sections.append(section.removeprefix("## "))
    whole = [part.rstrip() + "\n" for part in (before, *sections)]
    readme.write_text("\n## ".join(whole))
    print(section)
