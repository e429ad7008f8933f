"""Hypothesis settings of every test."""

from hypothesis import Phase, settings

settings.register_profile("qsim", deadline=None, max_examples=100)
settings.register_profile(
    "few",
    deadline=None,
    max_examples=25,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # of bench/mutation.py: a failure need not be small
)
settings.load_profile("qsim")
