"""Scales from data: of activations, observed batch by batch, and of weights."""
