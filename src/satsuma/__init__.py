"""Cloudflare Workers AI text embeddings, self-hosted."""

__version__ = "0.1.0"
