"""dfl: a small statically compiled, differentiable language."""
