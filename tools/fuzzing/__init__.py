"""Random programs against each other: what `tools/fuzz` runs."""
