"""Files with something in them changed are refused in one sentence, or read as what they are."""

from importlib.util import find_spec

import pytest
from conformance.generators import WEIGHT_LIMIT
from onnx_mutations import mutated
from onnx_seeds import SEEDS
from onnx_verdicts import computed, verdict

PARTS, CASES, SEED = 4, 100, 20  # thousands, of other seeds: bench/fuzz_onnx.py
RUN = computed if find_spec("onnxruntime") else None


@pytest.mark.parametrize("name", SEEDS)
def test_what_is_changed_is_valid(name, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(SEEDS[name]())
    exact = name != "quantized" or WEIGHT_LIMIT == 127  # else the runtime's own sums saturate
    assert verdict(path, RUN) == ("equal" if RUN and exact else "read")


@pytest.mark.parametrize("part", range(PARTS))
def test_changed_files_are_refused_or_read_as_what_they_are(part, tmp_path):
    valid = [make() for make in SEEDS.values()]
    path, found = tmp_path / "model.onnx", set()
    for number in range(part * CASES, (part + 1) * CASES):
        path.write_bytes(mutated(valid, SEED, number)[1])
        found.add(verdict(path, RUN))
    assert {"refused", "equal" if RUN else "read"} <= found


def test_a_case_is_always_the_same_file():
    valid = [make() for make in SEEDS.values()]
    assert [mutated(valid, 3, n) for n in range(50)] == [mutated(valid, 3, n) for n in range(50)]
