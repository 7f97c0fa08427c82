"""Image files -> a uint8 pack, made once -> a stream of float batches, computed from (seed, step)."""
