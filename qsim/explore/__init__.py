"""Design spaces: the work of many networks and precisions, and which designs nothing beats."""
