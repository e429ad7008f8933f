"""The real multiplier of a requantization, from the scales: each runtime forms its own.

A sum of products of levels stands for ``sum * x_scale * weight_scale``; the multiplier turns it
into steps of ``y_scale``. Where the roundings of its steps fall decides results that lie beside a
half. Scales are float32; that of the weights may be an array.

Source: ONNX Runtime core/providers/cpu/quantization (qlinearconv, matmul) and MLAS qlgavgpool;
TFLite kernels/kernel_util.cc, PopulateConvolutionQuantizationParams and
GetQuantizedConvolutionMultipler.
"""

import numpy as np


def onnx_multiplier(
    x_scale: np.float32, weight_scale: np.ndarray, y_scale: np.float32
) -> np.ndarray:
    """``x_scale * weight_scale / y_scale``, both steps in float32, as fbgemm and XNNPACK do too."""
    x_scale, weight_scale, y_scale = _float32(x_scale, weight_scale, y_scale)
    return (x_scale * weight_scale) / y_scale


def onnx_gemm_multiplier(
    alpha: float, x_scale: np.float32, weight_scale: np.ndarray, y_scale: np.float32 | None
) -> np.ndarray:
    """``alpha * x_scale * weight_scale / y_scale``, from the left, each step in float32: of QGemm,
    for alpha = 1 the ``onnx_multiplier``; without a y_scale the factor of its float result.

    Raises ValueError on an alpha that is not positive and finite in float32, or such scales.
    """
    alpha, x_scale, weight_scale = _float32(np.float32(alpha), x_scale, weight_scale)
    scale = alpha * x_scale * weight_scale
    if y_scale is None:
        return scale
    [y_scale] = _float32(y_scale)
    return scale / y_scale


def onnx_average_multiplier(x_scale: np.float32, count: int, y_scale: np.float32) -> np.ndarray:
    """``x_scale / (y_scale * count)``, both steps in float32, for the sum of ``count`` levels."""
    x_scale, y_scale = _float32(x_scale, y_scale)
    return x_scale / (y_scale * np.float32(count))


def tflite_multiplier(
    x_scale: np.float32, weight_scale: np.ndarray, y_scale: np.float32
) -> np.ndarray:
    """``x_scale * weight_scale / y_scale`` in float64: of convolutions, and of dense layers with a
    scale for each row."""
    x_scale, weight_scale, y_scale = _float32(x_scale, weight_scale, y_scale)
    return x_scale.astype(np.float64) * weight_scale.astype(np.float64) / y_scale.astype(np.float64)


def tflite_dense_multiplier(
    x_scale: np.float32, weight_scale: np.ndarray, y_scale: np.float32
) -> np.ndarray:
    """``x_scale * weight_scale`` in float32, divided by ``y_scale`` in float64: of dense layers
    with one weight scale."""
    x_scale, weight_scale, y_scale = _float32(x_scale, weight_scale, y_scale)
    return (x_scale * weight_scale).astype(np.float64) / y_scale.astype(np.float64)


def _float32(*scales: np.ndarray) -> tuple[np.ndarray, ...]:
    for scale in map(np.asarray, scales):
        if scale.dtype != np.float32:
            raise TypeError(f"a scale is float32, not {scale.dtype}")
        if not ((scale > 0) & (scale < np.inf)).all():
            raise ValueError("a scale must be positive and finite")
    return tuple(map(np.asarray, scales))
