"""The programs we are compared with, and the count of what was compared."""

import importlib
import os
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pytest

REQUIRE = "QSIM_CONFORMANCE"  # set to "require", a missing peer is a failure


@dataclass(frozen=True)
class Peer:
    """A peer by its distribution, as pip knows it, and what it imports as."""

    distribution: str
    module: str


ONNX = Peer("onnx", "onnx")
ONNX_RUNTIME = Peer("onnxruntime", "onnxruntime")
LITERT = Peer("ai-edge-litert", "ai_edge_litert")
TFLITE = Peer("tflite", "tflite")
FLATBUFFERS = Peer("flatbuffers", "flatbuffers")
TORCH = Peer("torch", "torch")
APYTYPES = Peer("apytypes", "apytypes")
QUANTIZERS = Peer("quantizers", "quantizers")
QONNX = Peer("qonnx", "qonnx")


def load(peer: Peer, submodule: str = ""):
    """The module of a peer; where it is not installed the test is skipped, or fails if it must run.

    A peer that is installed and cannot be imported fails either way.
    """
    try:
        importlib.import_module(peer.module)
    except ModuleNotFoundError as error:
        if error.name != peer.module:
            raise
        miss(peer.distribution)
    return importlib.import_module(peer.module + submodule)


def miss(what: str) -> None:
    """Skip the test for want of a peer, or fail it where none may be missing."""
    if os.environ.get(REQUIRE) == "require":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


class Record:
    """How many cases, values and differing values each comparison had, by peer and subject."""

    def __init__(self):
        self.cases, self.values, self.differing = Counter(), Counter(), Counter()

    def compare(self, peer: Peer, subject: str, got, expected) -> None:
        """Count a case, then fail unless arrays (or tuples of them) have equal shapes and values."""
        differing, total = self.count(peer, subject, got, expected)
        assert differing == 0, f"{differing} of {total} values differ: {got} is not {expected}"

    def count(self, peer: Peer, subject: str, got, expected) -> tuple[int, int]:
        """Count a case of arrays of equal shapes; how many values differ, and how many there are."""
        got, expected = ((v if isinstance(v, tuple) else (v,)) for v in (got, expected))
        pairs = [tuple(map(np.asarray, pair)) for pair in zip(got, expected, strict=True)]
        assert all(ours.shape == theirs.shape for ours, theirs in pairs)
        differing = sum(int((ours != theirs).sum()) for ours, theirs in pairs)
        total = sum(ours.size for ours, _ in pairs)
        self.cases[peer.distribution, subject] += 1
        self.values[peer.distribution, subject] += total
        self.differing[peer.distribution, subject] += differing
        return differing, total

    def rows(self) -> list[tuple[str, ...]]:
        """A row of text for each peer and subject, in the order of their names."""
        return [
            (name, version(name), subject, *(f"{count[name, subject]:,}" for count in self._counts))
            for name, subject in sorted(self.cases)
        ]

    @property
    def _counts(self) -> tuple[Counter, ...]:
        return self.cases, self.values, self.differing


RECORD = Record()
