"""Where the weights come from, and whether they are the right ones."""
