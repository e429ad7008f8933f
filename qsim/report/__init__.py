"""Evaluations as records, tables, files and pictures."""
