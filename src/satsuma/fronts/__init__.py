"""Several processes that speak HTTP before one engine: `satsuma serve --http-processes N`."""
