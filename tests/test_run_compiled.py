"""`qsim run --compiled`: the same results, how fast, and what is refused."""

import re

import numpy as np
import pytest

from qsim import cli


def run(tmp_path, capsys, *arguments, status=0):
    output = tmp_path / "y.npz"
    assert cli.main(["run", *arguments, "--input", "digits", "--output", str(output)]) == status
    printed = capsys.readouterr()
    return (np.load(output)["output"] if status == 0 else None), printed


def test_the_results_are_those_of_a_run(tmp_path, capsys):
    expected, _ = run(tmp_path, capsys, "digits-msq")
    compiled, printed = run(tmp_path, capsys, "digits-msq", "--compiled", "--threads", "2")
    assert compiled.dtype == np.float32
    assert np.array_equal(compiled, expected)
    assert "2 threads" in printed.out
    assert re.search(r"images +450", printed.out)
    assert re.search(r"time +[\d.]+ ms per image, [\d.]+ GOPS", printed.out)
    assert re.search(r"memory +[\d,]+ bytes of activations at most", printed.out)
    assert re.search(
        r"bit-exact: yes \([\d,]+ integers of the first image executed too", printed.out
    )
    assert re.search(r"accuracy +99.56%", printed.out)


def test_a_program_that_cannot_be_compiled_is_refused_by_its_layer(tmp_path, capsys):
    path = tmp_path / "w.yaml"
    path.write_text(
        "network: digits-cnn\n"
        "execute: {accumulator: {bits: 12, mode: saturate}}\n"
        "precision: {default: {weights: {fixed: {bits: 4}},"
        " activations: {fixed: {bits: 4, signed: false}}}}\n"
    )
    _, printed = run(tmp_path, capsys, str(path), "--compiled", status=2)
    assert re.search(r"layer '\w+' cannot be compiled: its accumulator saturates", printed.err)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--threads", "2"], "--threads and --cores are for a compiled program; add --compiled"),
        (["--compiled", "--tensors"], "a compiled program keeps no tensors; leave out --compiled"),
        (["--compiled", "--threads", "0"], "'0' is no number from 1 to 1024"),
        (["--compiled", "--cores", "0;1"], "'0;1' is no list of cores, as 0,1"),
        (["--compiled", "--cores", "100000"], "threads cannot be held to cores"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, capsys, arguments, sentence):
    _, printed = run(tmp_path, capsys, "digits-msq", *arguments, status=2)
    assert sentence in printed.err
    assert printed.err.count("\n") == 1
