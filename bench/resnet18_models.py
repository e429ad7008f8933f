"""ResNet-18 as torch exports it, quantized to 8 bits by ONNX Runtime, kept between runs.

Weights are seeded; per channel, uint8 by int8, ranges from four seeded images
(tests/conformance/torch_models.py). The files lie in the user's cache folder, under a hash of what
made them: the scripts and the versions of torch, onnx and onnxruntime.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peers

SIDE = 224
FORMS = ("qoperator", "qdq")
MAKERS = ("torch_models.py", "quantized_networks.py")


def cache_folder() -> Path:
    """Where files are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "qsim" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def kept(name: str, made_of: list[str], make: Callable[[Path], None]) -> Path:
    """The file ``name`` in the cache; ``make`` writes it where it is not there yet.

    made_of   whatever it depends on
    """
    key = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
    path = cache_folder() / f"{key}-{name}"
    if not path.exists():
        written = path.with_name(f"{os.getpid()}-{path.name}")
        make(written)
        written.replace(path)
    return path


def int8_models() -> dict[str, Path]:
    """The quantized model's file in each of FORMS. Raises peers.Absent where it must be made first
    and cannot be."""
    peers.need("onnx", "onnxruntime", "torch", "pytest")
    made_of = [(peers.TESTS / "conformance" / name).read_text() for name in MAKERS]
    made_of += [peers.version_of(name) for name in ("onnx", "onnxruntime", "torch")]
    return {
        form: kept(f"resnet18-{form}.onnx", [*made_of, form], lambda path, f=form: _make(f, path))
        for form in FORMS
    }


def _make(form: str, path: Path) -> None:
    peers.use_tests()
    import onnx
    from conformance.torch_models import exported, quantized

    logging.disable(logging.WARNING)  # the quantizer's advice to optimize the model before
    onnx.save(quantized(exported("resnet18", SIDE), form, SIDE), path)


def images(count: int, seed: int = 1) -> np.ndarray:
    """Seeded images about 0, float32 (count, 3, 224, 224)."""
    shape = (count, 3, SIDE, SIDE)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
