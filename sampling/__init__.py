"""From a checkpoint to pictures: which checkpoint, its generator and statistics, seeds, and what is drawn of them."""
