"""The README as data: its sections, tables and fenced blocks."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def section(title):
    """What stands under a heading, its smaller headings included."""
    lines = TEXT.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.strip("# \n") == title)
    depth = len(lines[start]) - len(lines[start].lstrip("#"))
    same = re.compile(rf"#{{2,{depth}}} ")  # a single # begins a comment in a block
    after = range(start + 1, len(lines))
    end = next((number for number in after if same.match(lines[number])), len(lines))
    return "".join(lines[start + 1 : end])


def blocks(language, text=TEXT):
    """The fenced blocks in a language, without the indent of a list they stand in."""
    return [
        re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
        for indent, of, body in FENCE.findall(text)
        if of == language
    ]


def commands(text=TEXT):
    """The lines that begin with "$ " in console blocks."""
    lines = "".join(blocks("console", text)).splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def files(text=TEXT):
    """(path, content) of Python blocks that begin with the path of a file; "add" means append."""
    for body in blocks("python", text):
        first, _, rest = body.partition("\n")
        if named := re.fullmatch(r"# (\w+/\w+\.py)(: add)?", first):
            yield named[1], rest


def table(heading):
    """The rows below the table heading that begins with this cell; without code marks."""
    _, _, after = TEXT.partition(f"\n| {heading} |")
    assert after, f"no table begins with {heading!r}"
    lines = after.splitlines()[2:]
    rows = lines[: next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def code(text):
    """The pieces of a text that are marked as code inside a line."""
    return re.findall(r"`([^`]+)`", FENCE.sub("", text))
