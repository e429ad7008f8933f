"""The names of the ways from sums to levels. Each is bit-exact to the authority it names."""

REQUANTIZATIONS = {
    "onnx": "times a float32 multiplier, a half to the even integer; ONNX Runtime's QLinearConv,"
    " XNNPACK",
    "shift": "every scale a power of two: a right shift, a half to the even integer",
    "tflite": "31-bit multiplier and shift, rounded once, a half up; TFLite built with"
    " TFLITE_SINGLE_ROUNDING",
    "tflite-reference": "31-bit multiplier, then shift, each rounded, a half of the last away from"
    " zero; TFLite's reference convolutions",
    "tflite-builtin": "31-bit multiplier, then shift, each rounded, a half up; TFLite's optimized"
    " kernels",
    "thresholds": "as many levels up as thresholds are reached: any monotone activation; DoReFa-Net"
    " section 2.8, FINN",
}
