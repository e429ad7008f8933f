"""Scripts that make the bundled digits data and the float network trained on it."""
