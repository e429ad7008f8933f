"""The table of what was compared, at the end of a run."""

from conformance.peers import RECORD

HEADER = ("peer", "version", "what", "cases", "values compared", "differing")


def pytest_terminal_summary(terminalreporter):
    rows = RECORD.rows()
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    terminalreporter.section("conformance")
    for row in (HEADER, *rows):
        texts = [text.ljust(width) for text, width in zip(row[:3], widths[:3], strict=True)]
        counts = [text.rjust(width) for text, width in zip(row[3:], widths[3:], strict=True)]
        terminalreporter.line("  ".join([*texts, *counts]))
