"""The document's component schemas: a file for each group of paths, as in `api/`."""
