"""Hypothesis settings of every test."""

from hypothesis import settings

settings.register_profile("qsim", deadline=None, max_examples=100)
settings.load_profile("qsim")
