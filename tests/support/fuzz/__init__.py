"""Bad input, made up at random: each target says what it is given and what may come of it.

`make fuzz` tries for minutes, the tests for seconds (docs/reliability.md).
"""
