"""What an installation is and can do, as it is read on a terminal and as JSON."""

import json
from dataclasses import asdict

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from qsim.doctor import Cache, Diagnosis, Extra


def diagnosis_table(found: Diagnosis) -> RenderableType:
    """A line for each thing that was looked at, by name."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _lines(found):
        table.add_row(label, Text(text))
    return table


def back_end_line(name: str | None, why: str) -> str:
    """Which back end is in use and why, or why none is."""
    return f"back end {name}: {why}" if name else f"no back end: {why}"


def to_json(found: Diagnosis) -> str:
    """The same as one JSON document."""
    return json.dumps(asdict(found), indent=2)


def _lines(found: Diagnosis):
    versions = ", ".join(f"{name} {version}" for name, version in found.packages.items())
    yield "qsim", f"{found.qsim} ({versions})"
    yield "system", found.system
    yield "processor", f"{found.processor}: {_features(found.features)}"
    usable, there = found.processors_usable, found.processors
    yield "threads", f"{usable} can run at once: the processors of this process, of {there} in all"
    yield "back end", f"{found.back_end or 'none'}: {found.why}"
    for each in found.back_ends:
        state = each.obstacle or ("in use" if each.in_use else "can be used")
        yield f"  {each.name}", state
    yield "cache", _cache(found.cache)
    for extra in found.extras:
        yield f"extra {extra.name}", f"{_installed(extra)}; for {extra.purpose}"


def _features(features: dict[str, bool]) -> str:
    there = [name for name, has in features.items() if has]
    lacking = [name for name, has in features.items() if not has]
    said = [", ".join(there)] if there else []
    return "; ".join(said + ([f"without {', '.join(lacking)}"] if lacking else []))


def _cache(cache: Cache) -> str:
    if cache.folder is None:
        return f"none, so kernels are compiled in every process: {cache.obstacle}"
    kernels = "1 kernel" if cache.kernels == 1 else f"{cache.kernels:,} kernels"
    return (
        f"{cache.folder}, writable, {kernels}, {cache.bytes / 1e3:,.0f} kB;"
        f" {cache.found} of {cache.tried} tried now found in it"
    )


def _installed(extra: Extra) -> str:
    if not extra.missing:
        known = ", ".join(f"{name} {version}" for name, version in extra.packages.items())
        return f"installed ({known})"
    return f"not installed, it lacks {', '.join(extra.missing)}"
