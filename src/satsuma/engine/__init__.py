"""Numbers in, numbers out: tokens to hidden states to vectors. Knows no HTTP, asyncio or queue."""
