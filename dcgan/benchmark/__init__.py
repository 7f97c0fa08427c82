"""Speed of training, drawing and packing, beside the limit of this machine."""
