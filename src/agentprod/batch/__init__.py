"""Many calls at once: bounded, in order, with nothing lost."""
