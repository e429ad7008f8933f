"""`qsim doctor` says what is, and a back end that cannot be had ends every command that computes."""

import io
import json
import re
import sys
import tomllib
from pathlib import Path

import numba
import numpy as np
import pytest

from qsim import cli, doctor
from qsim.doctor import EXTRAS, diagnose
from qsim.kernels import CACHE
from qsim.kernels.cache_folder import CacheFolder
from qsim.kernels.compiling import watch_compiling
from qsim.kernels.simd import host
from qsim.report.doctor import diagnosis_table

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
compiled = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


def run(capsys, *argv):
    status = cli.main(list(argv))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_extras_are_those_of_the_package_with_their_packages():
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    names = {
        extra: sorted({re.split("[<>=]", p)[0] for p in packages if not p.startswith("qsim[")})
        for extra, packages in declared.items()
    }
    assert names == {extra: sorted(packages) for extra, (_, packages) in EXTRAS.items()}


def test_a_package_that_is_not_there_is_named(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "EXTRAS", {"onnx": ("models", ("numpy", "no-such-package"))})
    [extra] = diagnose().extras
    assert extra.packages == {"numpy": np.__version__, "no-such-package": None}
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    assert "extra onnx  not installed, it lacks no-such-package; for models" in out


def test_the_report_has_the_versions_the_back_ends_and_the_cache(monkeypatch, capsys):
    monkeypatch.delenv(host.VARIABLE, raising=False)
    status, out, err = run(capsys, "doctor", "--format", "json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["packages"]["numba"] == numba.__version__
    assert found["back_end"] == host.choose().name
    assert [each["name"] for each in found["back_ends"]] == list(host.BACKENDS)
    for each in found["back_ends"]:
        assert each["obstacle"] == host.obstacle(each["name"])
        assert each["in_use"] == (each["name"] == found["back_end"])
    assert found["features"] == {name: name in host.target_features() for name in found["features"]}
    assert 1 <= found["processors_usable"] <= found["processors"]


@compiled
def test_the_kernel_that_is_tried_is_in_the_cache_afterwards():
    diagnose()
    cache = diagnose().cache
    assert cache.folder == str(CACHE.path)
    assert cache.kernels >= 1
    assert cache.bytes > 0
    assert 0 <= cache.found <= cache.tried
    assert cache.tried >= 1


def test_a_cache_that_cannot_be_had_is_explained(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "CACHE", CacheFolder(None, "/x cannot be used: Read-only"))
    _, out, _ = run(capsys, "doctor")
    text = " ".join(out.split())
    assert "none, so kernels are compiled in every process: /x cannot be used: Read-only" in text


def test_a_processor_without_any_of_the_features_is_described(monkeypatch):
    monkeypatch.setattr(host, "target_features", lambda: frozenset())
    monkeypatch.setattr(doctor.platform, "machine", lambda: "aarch64")
    assert diagnose().features == dict.fromkeys(("neon", "dotprod", "i8mm", "sve"), False)
    diagnosis_table(diagnose())


@pytest.mark.parametrize(
    "argv",
    [
        ["evaluate", "digits-msq", "--quiet"],
        ["run", "digits-cnn", "--input", "digits", "--output", "y.npz"],
        ["export", "digits-cnn", "--to", "npz", "--out", "x.npz"],
        ["reproduce", "msq"],
    ],
    ids=lambda argv: argv[0],
)
def test_a_back_end_that_is_none_ends_what_computes_in_a_sentence(
    monkeypatch, capsys, tmp_path, argv
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(host.VARIABLE, "vnni")
    status, out, err = run(capsys, *argv)
    known = ", ".join(host.BACKENDS)
    assert (status, out) == (2, "")
    assert err == f"qsim: QSIM_BACKEND: unknown back end 'vnni'; there are {known}\n"
    assert not list(tmp_path.iterdir())


def test_what_computes_nothing_needs_no_back_end(monkeypatch, capsys):
    monkeypatch.setenv(host.VARIABLE, "vnni")
    for argv in (
        ["evaluate", "resnet18-msq-xc7z020", "--cost-only"],
        ["evaluate", "resnet18-msq-xc7z020", "--explain", "latency_s"],
        ["list", "workloads"],
    ):
        assert run(capsys, *argv)[0] == 0


def test_a_back_end_that_cannot_be_had_is_said_by_the_doctor_and_the_version(monkeypatch, capsys):
    monkeypatch.setenv(host.VARIABLE, "vnni")
    status, out, err = run(capsys, "doctor")
    assert status == 2
    assert "back end           none: QSIM_BACKEND: unknown back end 'vnni'" in out
    assert err.startswith("qsim: QSIM_BACKEND: unknown back end 'vnni'; there are ")
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert "no back end: QSIM_BACKEND: unknown back end 'vnni'" in capsys.readouterr().out


def kernel(module, calls=None):
    """A new compiled function that says it is of ``module``."""

    def added(x):
        return x + 1 if calls is None else calls(x) + 1

    added.__module__ = module
    return numba.njit(added)


@compiled
def test_kernels_of_ours_that_are_compiled_are_named_and_counted():
    seen = []
    inner = kernel("qsim.inner")
    with watch_compiling(
        lambda name, count: seen.append((name, count)), lambda: seen.append("done")
    ):
        assert kernel("qsim.outer", calls=inner)(1) == 3
        assert kernel("others")(1) == 2
        inner(1)
    kernel("qsim.later")(1)
    assert seen == [("added", 1), ("added", 2), "done"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@compiled
def test_a_terminal_is_told_what_is_compiled(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "120")
    with cli._progress(quiet=False) as progress:
        progress("executing conv1", 1, 2)
        kernel("qsim.outer", calls=shown_while(sys.stderr))(1)
    text = sys.stderr.getvalue()
    assert "compiling kernels (first run only): 1, added" in text


def shown_while(stream):
    """A function whose compilation lasts until what it is shown as is on the screen."""
    from numba.extending import overload

    def inner(x):
        return x

    @overload(inner)
    def typed(x):
        import time

        begin = time.monotonic()
        while "compiling" not in stream.getvalue() and time.monotonic() < begin + 5:
            time.sleep(0.01)
        return lambda x: x

    return inner


@compiled
@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_said_of_compiling_off_a_terminal_or_when_quiet(monkeypatch, quiet):
    monkeypatch.setattr(sys, "stderr", Terminal() if quiet else io.StringIO())
    with cli._progress(quiet) as progress:
        progress("executing conv1", 1, 2)
        kernel("qsim.outer")(1)
    assert sys.stderr.getvalue() == ""
