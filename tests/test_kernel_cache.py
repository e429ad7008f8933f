"""The folder of compiled kernels: a stale kernel is never found, and nothing else is removed."""

import ast
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qsim.kernels import cache_folder, cache_lock
from qsim.kernels.cache_folder import STAMP, UNUSED_DAYS, cache_root, fingerprint, remove_unused

ROOT = Path(__file__).parent.parent
HELPER = "from numba import njit\n\n@njit\ndef step(x):\n    return x + {step}\n"
KERNEL = """
from numba import njit
from qsim.kernels.helper_of_test import step

@njit(cache=True)
def kernel(x):
    return step(x)
"""
RUN = """
from qsim.kernels.kernel_of_test import kernel
print(kernel(1), *(sum(found.values()) for found in (kernel.stats.cache_hits, kernel.stats.cache_misses)))
"""
UNKEYED = "import qsim.kernels, numba, os; numba.config.CACHE_DIR = os.environ['NUMBA_CACHE_DIR']\n"


@pytest.fixture
def package(tmp_path):
    """A copy of the package with a kernel that calls one of another file; returns what runs it."""
    copy = tmp_path / "site"
    shutil.copytree(ROOT / "qsim" / "kernels", copy / "qsim" / "kernels")
    shutil.copy(ROOT / "qsim" / "__init__.py", copy / "qsim")
    kernels = copy / "qsim" / "kernels"
    (kernels / "kernel_of_test.py").write_text(KERNEL)

    def run(step, code=RUN, **environment):
        (kernels / "helper_of_test.py").write_text(HELPER.format(step=step))
        known = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        known |= {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)}
        env = {**os.environ, **known, "NUMBA_DISABLE_JIT": "0", **environment}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True)
        assert done.stderr == ""
        return done.stdout.split()

    return run


def test_a_kernel_is_found_again_and_never_after_a_change_of_another_file(package):
    assert package(step=10) == ["11", "0", "1"]  # compiled
    assert package(step=10) == ["11", "1", "0"]  # found
    assert package(step=20) == ["21", "0", "1"]  # what it calls has changed
    assert package(step=10) == ["11", "1", "0"]  # that of the first sources is still there


def test_numba_alone_would_run_the_stale_kernel(package):
    assert package(step=10, code=UNKEYED + RUN) == ["11", "0", "1"]
    assert package(step=20, code=UNKEYED + RUN) == ["11", "1", "0"]


def test_where_nothing_can_be_written_kernels_are_compiled_and_kept_nowhere(package, tmp_path):
    (tmp_path / "file").touch()
    code = "import qsim.kernels\nprint(qsim.kernels.CACHE.path)\n" + RUN
    for _ in range(2):
        got = package(step=10, code=code, NUMBA_CACHE_DIR=str(tmp_path / "file"))
        assert got == ["None", "11", "0", "1"]
    assert not list(tmp_path.rglob("*.nbi"))


def test_a_folder_that_cannot_be_made_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache_folder.config, "CACHE_DIR", str(tmp_path / "file"))
    found = cache_folder._prepared()
    assert found.path is None
    assert found.obstacle.startswith(f"{tmp_path / 'file'}")
    assert found.obstacle.endswith("cannot be used: Not a directory")


def test_a_user_without_a_home_has_no_folder(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache_folder.config, "CACHE_DIR", "")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert cache_folder._prepared().obstacle == "Could not determine home directory."


def test_the_folder_lies_where_caches_of_the_user_or_of_numba_are(monkeypatch, tmp_path):
    monkeypatch.setattr(cache_folder.config, "CACHE_DIR", str(tmp_path))
    assert cache_root() == tmp_path / "qsim-kernels"
    monkeypatch.setattr(cache_folder.config, "CACHE_DIR", "")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "qsim" / "kernels"
    for of_no_use in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", of_no_use)
        assert cache_root() == tmp_path / "home" / ".cache" / "qsim" / "kernels"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_root() == tmp_path / "home" / "Library" / "Caches" / "qsim" / "kernels"


def tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_fingerprint_is_of_every_source_by_name_and_content(monkeypatch, tmp_path):
    files = {"a.py": "1", "simd/b.py": "2"}
    first = fingerprint(tree(tmp_path / "first", files))
    assert first == fingerprint(tree(tmp_path / "same", {**files, "a.pyc": "4"}))
    others = [
        {**files, "a.py": "2"},
        {**files, "simd/b.py": "3"},
        {**files, "d.py": ""},
        {"b.py": "1", "simd/b.py": "2"},
        {"a.py": "12", "simd/b.py": ""},
    ]
    found = {fingerprint(tree(tmp_path / f"{i}", other)) for i, other in enumerate(others)}
    assert len(found | {first}) == len(others) + 1
    monkeypatch.setattr(cache_folder.numba, "__version__", "another")
    assert fingerprint(tmp_path / "first") != first


def test_a_package_without_sources_has_no_fingerprint(tmp_path):
    with pytest.raises(ValueError, match="sources of the kernels are not in files"):
        fingerprint(tmp_path)


def test_only_folders_of_ours_that_have_long_been_unused_are_removed(tmp_path):
    month = time.time() - (UNUSED_DAYS + 1) * 86400
    names = {"old": "0" * 20, "recent": "1" * 20, "foreign": "results", "half": "2" * 20}
    names["half"] += ".removed-12_ab"
    for name in names.values():
        tree(tmp_path / name, {STAMP: "", "kernels_ab/k.nbi": "x"})
        if name != names["recent"]:
            os.utime(tmp_path / name / STAMP, (month, month))
    outside = tree(tmp_path / "outside", {STAMP: ""})
    os.utime(outside / STAMP, (month, month))
    (tmp_path / ("3" * 20)).symlink_to(outside)
    (tmp_path / ("4" * 20)).write_text("a file")
    remove_unused(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {names["recent"], "results", "outside", "3" * 20, "4" * 20}
    assert (outside / STAMP).exists()


def test_a_folder_that_was_just_made_is_not_removed_before_it_is_stamped(tmp_path):
    (tmp_path / ("5" * 20)).mkdir()
    remove_unused(tmp_path)
    assert (tmp_path / ("5" * 20)).is_dir()


def test_one_process_removes_a_few_folders(tmp_path):
    month = time.time() - (UNUSED_DAYS + 1) * 86400
    for number in range(20):
        folder = tree(tmp_path / f"{number:020x}", {STAMP: ""})
        os.utime(folder / STAMP, (month, month))
    remove_unused(tmp_path)
    assert 0 < len(list(tmp_path.iterdir())) < 20


COMPILES = {
    "njit",
    "jit",
    "cfunc",
    "vectorize",
    "guvectorize",
    "generated_jit",
    "intrinsic",
    "overload",
}


def test_all_compiled_code_is_under_the_fingerprint():
    """What numba compiles stands in the folder that is hashed."""
    for path in (ROOT / "qsim").rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "numba":
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
        place = path.relative_to(ROOT / "qsim")
        assert place.parts[0] == "kernels" or not names & COMPILES, place


WATCHED = """
import fcntl, qsim.kernels
from numba.core import caching

def is_locked():
    with open(qsim.kernels.CACHE.path / "lock", "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

save = caching.IndexDataCacheFile.save

def watched(self, key, data):
    print(is_locked())
    save(self, key, data)

caching.IndexDataCacheFile.save = watched
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_kernel_is_written_under_a_lock_that_is_given_back(package):
    got = package(step=10, code=WATCHED + RUN + "print(is_locked())")
    assert got == ["True", "11", "0", "1", "False"]
    assert package(step=10, code=RUN) == ["11", "1", "0"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks")
def test_a_lock_that_is_never_given_back_is_not_waited_for_long(monkeypatch, tmp_path):
    monkeypatch.setattr(cache_lock, "PATIENCE_S", 0.05)
    with cache_lock._locked(tmp_path / "lock"), cache_lock._locked(tmp_path / "lock") as second:
        assert not second.closed


def test_without_a_folder_nothing_is_locked(tmp_path):
    assert cache_lock._locked(tmp_path / "none" / "lock") is None
