"""Number formats described: as rows, as the page docs/formats.md, and one by one with its levels.

Run as ``python -m qsim.report.formats > docs/formats.md`` to write the page again.
"""

import dataclasses
from fractions import Fraction
from itertools import pairwise

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qsim.formats import FORMATS, Affine, Facts, Fixed, Float, Format, Msq, describe, parse
from qsim.formats.base import INVALID

RULER_COLUMNS = 97  # odd, so that 0 has a column of its own
MOST_CODES = 64  # that a table of codes lists
PAGE_HEAD = """\
# Number formats

A quantized value is `scale * level` with an integer level, so one integer product over levels
defines the result of every format; a datapath is a way to get exactly that, of activations the one
for binary weights. Weights, activations and gradients take the formats that list them.

`range rule` is, of activations, the workload's `calibration`, and of weights its `range`: `max`
maps the largest magnitude to the largest level, `mse` takes, of 81 scales that map 20 % to 100 % of
it there, the one of least squared error. Where a scale is the format's own, neither applies, and
weights are quantized as they were trained: a batch norm scales the sums instead of being folded
into them.

Zero padding adds nothing to a sum, also in a format without a level 0.

"""
PAGE_ROLES = (
    ("weights", "Weights"),
    ("activations", "Activations"),
    ("gradients", "Gradients"),
)


def rows() -> list[dict[str, str]]:
    """Every format of the registry in a few words."""
    return [_row(name, record) for name, record in FORMATS.items()]


def page() -> str:
    """The reference page of all formats, Markdown."""
    parts = [PAGE_HEAD]
    for role, title in PAGE_ROLES:
        listed = [_row(name, record) for name, record in FORMATS.items() if role in record.roles]
        parts.append(f"## {title}\n\n{_markdown(listed)}\n")
    parts.append("## One by one\n")
    for name, record in FORMATS.items():
        parts.append(f"\n### {name}\n\n{_paragraphs(record.__doc__)}\n")
    return "".join(parts)


def card(number: Facts) -> RenderableType:
    """One format with everything that is known of it: facts, a ruler of its levels, its codes."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("format", Text(describe(number)))
    entries = {
        "for": ", ".join(number.roles),
        "bits": str(number.bits),
        "levels": levels_text(number),
        "scale": number.scale_words(),
        "rounding": number.rounding_words(),
        "datapath": number.datapath,
        "source": number.source,
    }
    for key, value in entries.items():
        if value:
            facts.add_row(key, Text(value))
    parts: list[RenderableType] = [facts]
    for title, grid in grids(number):
        parts += ["", Text(title), Text(ruler(grid)), ""]
        if 2**grid.bits <= MOST_CODES:
            parts.append(_code_table(grid))
    return Group(*parts)


def grids(number: Facts) -> list[tuple[str, Format]]:
    """The grids of levels that a format is made of, each with a title; none of float."""
    if isinstance(number, Msq):
        return [("rows in fixed point", number.fixed), ("rows in SP2", number.sp2)]
    if isinstance(number, Affine):
        if number.mode == "asymmetric":
            return [("at zero point 0", Fixed(number.bits, signed=False))]
        return [(number.mode, Fixed(number.bits, full_range=number.mode == "symmetric"))]
    return [("levels", number)] if isinstance(number, Format) else []


def levels_text(number: Facts) -> str:
    """The levels in words: a range of consecutive ones, or all of a few."""
    if isinstance(number, Affine) and number.mode == "asymmetric":
        return f"0 .. {2**number.bits - 1} less the zero point"
    if isinstance(number, Msq):
        return f"{levels_text(number.fixed)}; or {levels_text(number.sp2)}"
    if isinstance(number, Float):
        return "not quantized"
    levels = grids(number)[0][1].levels().tolist()
    if len(levels) > 2 and all(b - a == 1 for a, b in pairwise(levels)):
        return f"{levels[0]} .. {levels[-1]}"
    if levels == [-level for level in reversed(levels)]:
        magnitudes = [level for level in levels if level >= 0]
        signed = [str(level) if level == 0 else f"±{level}" for level in magnitudes]
        return ", ".join(signed if len(signed) <= 10 else [*signed[:6], "..", signed[-1]])
    return ", ".join(map(str, levels))


def ruler(number: Format) -> str:
    """A line of text from the lowest to the highest level, a bar at every level, and its ends."""
    levels = number.levels()
    low, high = min(int(levels[0]), 0), int(levels[-1])
    places = np.rint((levels - low) * (RULER_COLUMNS - 1) / (high - low)).astype(int)
    line = ["·"] * RULER_COLUMNS
    for place in places:
        line[place] = "|"
    ends = f"{low}".ljust(RULER_COLUMNS - len(str(high))) + str(high)
    return "".join(line) + "\n" + ends


def _row(name: str, record: type[Facts]) -> dict[str, str]:
    number = parse(f"{name}({record.example})")
    fields = dataclasses.fields(record)
    parameters = [
        f.name if f.default is dataclasses.MISSING else f"{f.name}={f.default}" for f in fields
    ]
    return {
        "format": name,
        "parameters": ", ".join(parameters) or "-",
        "levels": levels_text(number) + (f" ({record.example})" if record.example else ""),
        "scale": record.scale_text,
        "rounding": record.rounding_text,
        "datapath": record.datapath,
        "source": record.source or "-",
    }


def _markdown(listed: list[dict[str, str]]) -> str:
    keys = list(listed[0])
    lines = ["| " + " | ".join(keys) + " |", "|" + " --- |" * len(keys)]
    for row in listed:
        cells = [f"`{row['format']}`", *(row[key].replace("|", "\\|") for key in keys[1:])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _paragraphs(docstring: str) -> str:
    """A docstring as Markdown: running text, and what is indented or in columns as it stands."""
    parts = []
    for block in _dedented(docstring).split("\n\n"):
        in_columns = any("   " in line for line in block.splitlines())
        parts.append(f"```text\n{block}\n```" if in_columns else block.replace("``", "`"))
    return "\n\n".join(parts)


def _dedented(docstring: str) -> str:
    first, _, rest = docstring.strip("\n").partition("\n")
    lines = [line[4:] if line.startswith("    ") else line for line in rest.splitlines()]
    return "\n".join([first, *lines]).strip()


def _code_table(number: Format) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for key in ("code", "level", f"level / {number.alpha_level}"):
        table.add_column(key, justify="right")
    for code, level in enumerate(number.code_table().tolist()):
        if level == INVALID:
            table.add_row(f"{code:0{number.bits}b}", "-", "-")
        else:
            share = Fraction(level, number.alpha_level)
            table.add_row(f"{code:0{number.bits}b}", str(level), f"{float(share):.4f}")
    return table


if __name__ == "__main__":
    print(page(), end="")
