"""Image files -> a uint8 pack, built once -> a stream of float batches, computed from (seed, step)."""

import dcgan  # noqa: F401 (says so if no package is installed)
