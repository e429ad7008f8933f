"""Scripts that make the bundled digits data and the networks trained on it."""
