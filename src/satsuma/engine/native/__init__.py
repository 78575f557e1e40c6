"""The engine of satsuma's own: packed microbatches on C kernels, for BERT-shaped encoders."""
