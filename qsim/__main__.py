"""`python -m qsim`."""

from qsim.cli import run

run()
