"""The other engines, each as a call to be timed; whoever is not installed is skipped with a word.

All are held to the same cores: the calling thread to the first, further threads to the others.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from side_by_side import cores

from qsim.kernels.simd import host

Run = Callable[[], object]
TESTS = Path(__file__).resolve().parent.parent / "tests"
ONEDNN_CAPS = {  # by qsim's back end, the newest instructions that oneDNN may use beside it
    "vnni512": "AVX512_CORE_VNNI", "pairs16": "AVX512_CORE", "pairs8": "AVX2", "plain": "AVX2",
}  # fmt: skip


class Absent(Exception):
    """Why something cannot be compared here, as a clause."""


def use_tests() -> None:
    """Let ``conformance``, the tests' own folder, be imported: it makes models for the peers."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))


def need(*modules: str) -> None:
    """Raises Absent where a module is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise Absent(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        )


def version_of(distribution: str) -> str:
    """The version that is installed."""
    return version(distribution)


def on(at: tuple[int, ...]) -> dict:
    """What holds qsim's engine to some cores; with one thread it is where its caller is."""
    return {"threads": len(at), "affinity": at} if len(at) > 1 else {}


def onnxruntime_session(model: Path | bytes, at: tuple[int, ...]):
    """An ONNX Runtime session on some cores. Raises Absent."""
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = len(at), 1
    options.log_severity_level = 3
    if len(at) > 1:  # of the threads beside the caller; it counts processors from 1
        others = ";".join(str(core + 1) for core in at[1:])
        options.add_session_config_entry("session.intra_op_thread_affinities", others)
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def onnxruntime_call(model: Path | bytes, x: np.ndarray, at: tuple[int, ...]) -> Run:
    """The run of a model with one input in ONNX Runtime. Raises Absent."""
    session = onnxruntime_session(model, at)
    fed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, fed)[0]


def openvino_call(model: Path, x: np.ndarray, at: tuple[int, ...]) -> Run:
    """The run of a model with one input in OpenVINO, what is not quantized in float32. Raises
    Absent."""
    need("openvino")
    import openvino

    core = openvino.Core()
    read = core.read_model(str(model))
    read.reshape(list(x.shape))
    settings = {
        "INFERENCE_NUM_THREADS": len(at), "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False,  # slower with it
    }  # fmt: skip
    request = core.compile_model(read, "CPU", settings).create_infer_request()
    return lambda: request.infer({0: x}, share_inputs=True)[0]


def capped(backend: str | None) -> dict[str, str]:
    """The environment in which oneDNN, and with it OpenVINO and torch, uses no newer instructions
    than a back end of ours that was asked for."""
    return {"ONEDNN_MAX_CPU_ISA": ONEDNN_CAPS[backend]} if backend in ONEDNN_CAPS else {}


def backend(text: str) -> str:
    """A back end of ours by its name, for a command line. Raises ArgumentTypeError where it cannot
    run here."""
    try:
        return host.choose(text).name
    except ValueError as reason:
        raise argparse.ArgumentTypeError(str(reason)) from None


def thread_count(text: str) -> int:
    """A number of threads that have a core each, for a command line. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1 or len(cores(int(text))) < int(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} threads; there are cores for 1 to {len(cores(10**6))}"
        )
    return int(text)


def part(script: str, arguments: list[str], environment: dict[str, str]) -> dict:
    """What a comparison's ``script`` prints as JSON, run in a process of its own: libraries count
    their threads and cores but once."""
    command = [sys.executable, script, *arguments]
    ran = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | environment, text=True)
    if ran.returncode:
        raise SystemExit(ran.returncode)
    return json.loads(ran.stdout)
