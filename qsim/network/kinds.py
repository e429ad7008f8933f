"""Kinds of layer by what a program does with the tensors they read."""

from qsim.network.layers import BatchNorm, Concat, Flatten, MatMul, Tabled
from qsim.network.moves import Move
from qsim.network.pointwise import Curve, Multiply, Scale
from qsim.network.pools import AveragePool, MaxPool
from qsim.network.recurrent import Recurrent
from qsim.network.roundings import RoundingRow

KeepsLevels = MaxPool | Flatten | Move | Scale  # make the very levels that they read
Moves = Flatten | Move  # change no value
ReadsLevels = AveragePool | BatchNorm | Curve | MatMul | Multiply | Recurrent | Tabled
ByTable = Curve | Tabled  # are computed from levels by a table
# their results are rounded as they are made
MakesLevels = Concat | ByTable | MatMul | Recurrent | RoundingRow
