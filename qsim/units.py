"""Figures as text: to four significant digits, with their unit."""

from math import log10

PREFIXES = {
    "s": ("s", "ms", "us", "ns"),
    "J": ("J", "mJ", "uJ", "nJ", "pJ"),
    "W": ("W", "mW", "uW"),
}


def figure(value: float, unit: str) -> str:
    """A figure with its unit: a time, an amount of data, a share in per cent, a count, or else."""
    if unit == "%":
        return f"{value:.1%}"
    if unit == "B":
        return data(value)
    if unit in PREFIXES:
        return prefixed(value, unit)
    whole = value == int(value) or abs(value) >= 1e4
    text = f"{value:,.0f}" if whole else f"{value:,.4g}"
    return f"{text} {unit}" if "/" in unit or "OPS" in unit or unit.endswith("2") else text


def prefixed(value: float, unit: str) -> str:
    """A time, energy or power in the unit that suits it."""
    units = PREFIXES[unit]
    place = 0 if value <= 0 else min(max(0, -int(log10(value) // 3)), len(units) - 1)
    return f"{value * 1000**place:,.4g} {units[place]}"


def data(count: float) -> str:
    """An amount of data with its decimal unit."""
    unit, factor = ("GB", 1e9) if count >= 1e9 else ("MB", 1e6) if count >= 1e6 else ("kB", 1e3)
    return f"{count / factor:,.4g} {unit}"


def time_unit(longest_s: float) -> tuple[str, float]:
    """The unit in which times up to this long are printed, and how many of it make a second."""
    if longest_s >= 1:
        return "s", 1.0
    return ("ms", 1e3) if longest_s >= 1e-3 else ("us", 1e6)


def count(number: int) -> str:
    """A count to four significant digits, in thousands, millions or billions."""
    for letter, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:#.4g}{letter}"
    return f"{number}"
