"""Write the head or one section of benchmarks/README.md and leave the rest as it is."""

from pathlib import Path

from machine import processor

README = Path(__file__).with_name("README.md")


def write_head(text, readme=README):
    """Put a text in place of what stands before the first section."""
    _, *sections = readme.read_text().split("\n## ")
    readme.write_text("\n## ".join([f"{text.strip()}\n", *sections]))


def write_section(title, body, readme=README):
    """Put a section "## title" in place of the one of that title, or at the end.

    A last sentence says so if this processor is not the one that the head names.

    Args:
        body: Markdown without the heading.
    """
    before, *sections = readme.read_text().split("\n## ")
    section = f"## {title}\n\n{body.strip()}\n"
    if processor() not in before:
        section += f"\nFrom another machine: {processor()}.\n"
    titles = [each.split("\n")[0] for each in sections]
    if title in titles:
        sections[titles.index(title)] = section.removeprefix("## ")
    else:
        sections.append(section.removeprefix("## "))
    whole = [part.rstrip() + "\n" for part in (before, *sections)]
    readme.write_text("\n## ".join(whole))
    print(section)
