"""The engine on PyTorch: CUDA cards, and every other device that PyTorch knows."""
