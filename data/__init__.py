"""Image files -> a uint8 pack, built once -> a stream of float batches, computed from (seed, step)."""
