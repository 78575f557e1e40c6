"""Who runs next, with whom, and how much of the machine they get."""
