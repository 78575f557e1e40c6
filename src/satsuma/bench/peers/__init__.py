"""Other embedding libraries beside satsuma: each in a process of its own, timed in turns."""
