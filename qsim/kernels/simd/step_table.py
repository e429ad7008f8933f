"""The words in which a compiled program is written: steps, what they read and what they write."""

from typing import NamedTuple

import numpy as np

# What a step does.
PRODUCT, CHANNELWISE, LOAD_SUMS, MAX_POOL, QUANTIZE, COPY_LEVELS, LOOK_UP = range(7)
COUNT_BITS, PACK_BITS, UNPACK_BITS, POOL_BITS = range(7, 11)  # on planes, see ``bit_program``

# How sums become levels; KEEP_SUMS: they are stored as they are; AS_LEVELS: they are levels.
(
    KEEP_SUMS,
    AS_LEVELS,
    FLOAT,
    FLOAT_SUM,
    DOUBLE,
    ROUND_ONCE,
    ROUND_TWICE,
    ROUND_TWICE_AWAY,
    SHIFT_SUM,
    THRESHOLDS,
) = range(10)

# What is counted of the bits of inputs and weights, see ``bit_tiles``.
XOR, MASKED_XOR = range(2)

# What of another tensor is added to the sums, or to the levels.
NOTHING, LEVELS, SUMS = range(3)

# How the levels of another tensor are added to them.
NO_ADDITION, ADD_FLOAT, ADD_TFLITE = range(3)

FIELDS = (
    "kind",
    "positions",  # of the output, the tables' tails not counted
    "channels",
    "panels",  # of channels, each as wide as a tile
    "rows",  # where in the tables the offsets of the windows begin
    "pitch",
    "runs",
    "n_runs",
    "steps",  # of a run
    "weights",
    "panel_size",  # in weights
    "passes",  # of weights, one or two
    "second_weights",
    "second_runs",
    "second_n_runs",
    "wrap",  # the bits in which they wrap around, 31 at most; 0: none
    "is_wide",  # whether their sums are kept in 64 bits
    "out_rows",  # where in the tables the offsets of the output positions begin
    "out_offset",  # the byte of level 0
    "parameters",  # where in the columns those of the first channel are
    "mode",
    "low",
    "high",
    "n_thresholds",
    "threshold_steps",  # where in ``threshold_steps`` those of this step begin
    "other",
    "other_rows",  # where in the tables the offsets of the other tensor begin
    "other_offset",  # the byte of its level 0
    "addition",
    "added",  # which row of the additions' parameters
    "added_low",
    "added_high",
    "fills",  # where in the tables the border begins, pairs of offset and length
    "n_fills",
    # of a max pool, a table and the image
    "source",  # the offset of pixel 0, 0
    "source_row",
    "height",
    "width",
    "kernel_h",
    "kernel_w",
    "stride_h",
    "stride_w",
    "top",
    "left",
    "out_width",
    "out_pixel",
    "exact",  # whether the quotient of an image value is float64, not float32
    # of planes of bits
    "op",
    "pairs",  # where in the tables the pairs of planes begin
    "n_pairs",
    "factor",  # of counts
    "weight_mask",  # the distance from a word of weights to its mask
    "source_plane",  # the words from a plane of the source to the next
    "planes",  # of what is made of bits; 0: sums are made
    "out_plane",  # the bytes from one of them to the next
    "limits",  # where in ``numbers`` the limits of counts, or what is added to them, begin
    "n_limits",
    "limit_rows",  # where in the tables their places by position begin
    "limit_plane",  # the distance from the limits of a threshold to those of the next
    "octets",  # where in ``octets`` flips, or tests of bytes, begin
    "n_octets",
    "word_fills",  # where in the tables the border of planes begins, pairs of place and length
    "n_word_fills",
)
STEP = np.dtype([(name, np.int64) for name in FIELDS])


class Columns(NamedTuple):
    """Parameters of epilogues by channel, those of one step after those of another, each step's
    padded to whole tiles; see ``epilogues``."""

    bias: np.ndarray  # int32
    wide_bias: np.ndarray  # int64, for sums of two passes
    factor: np.ndarray  # float32
    other_factor: np.ndarray  # float32
    offset: np.ndarray  # float32
    double: np.ndarray  # float64
    multiplier: np.ndarray  # int32
    shift: np.ndarray  # int32
    up: np.ndarray  # int32
    other_up: np.ndarray  # int32
    start: np.ndarray  # int32, the level of the least sum


COLUMN_TYPES = Columns(
    bias=np.int32,
    wide_bias=np.int64,
    factor=np.float32,
    other_factor=np.float32,
    offset=np.float32,
    double=np.float64,
    multiplier=np.int32,
    shift=np.int32,
    up=np.int32,
    other_up=np.int32,
    start=np.int32,
)


class Constants(NamedTuple):
    """What a program reads.

    tables            int64, offsets
    weights           int8, packed
    columns           parameters by channel
    exceeded          int32 (most thresholds of a step, channels), as ``pack_thresholds`` says
    threshold_steps   int32, of every step with thresholds
    ratios            float32 (additions, 3), zeros int64 (additions, 4): of ``add_float``, the
                      last whether the tile's levels are its first operand
    fixed             int64 (additions, 7): of ``add_tflite``, which is larger, two multipliers, two
                      shifts and two flags
    panels            uint32, weights as planes of bits
    numbers           int32, limits of counts and what is added to them
    octets            uint8, flips of channels and tests of bytes
    """

    tables: np.ndarray
    weights: np.ndarray
    columns: Columns
    exceeded: np.ndarray
    threshold_steps: np.ndarray
    ratios: np.ndarray
    zeros: np.ndarray
    fixed: np.ndarray
    panels: np.ndarray
    numbers: np.ndarray
    octets: np.ndarray


class Memory(NamedTuple):
    """What a program writes: bytes (uint8), sums (int32) and planes (uint32) of tensors, and
    scratch tiles: sums (int32 and int64), levels and counts of bits (int32)."""

    data: np.ndarray
    words: np.ndarray
    planes: np.ndarray
    tile: np.ndarray
    wide: np.ndarray
    levels: np.ndarray
    others: np.ndarray
    counts: np.ndarray
