"""qsim: what a quantized neural network computes, bit for bit, and what it costs in hardware."""

__version__ = "0.1.0"
