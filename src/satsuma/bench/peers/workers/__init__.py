"""One program a library: loads a model, embeds texts, and is told what to do on stdin.

They run in environments of their own, so they import the library, numpy and `protocol`, no more.
"""
