"""One program a file format: writes a model folder's weights as some library wants them.

They run in environments of their own, and never in the process that is timed.
"""
