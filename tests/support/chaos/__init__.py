"""A real server under load and faults: what it is done, what it answers, and whether that is right.

`make chaos` plays all scenes for minutes, the tests play each for seconds (docs/reliability.md).
"""
