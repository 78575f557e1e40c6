"""satsuma on a card, beside the card's own limits and sentence-transformers.

Needs PyTorch, transformers, tokenizers and safetensors; sentence-transformers where it is compared.
Models and texts are made up: nothing is fetched.
"""
