"""Speed of training, drawing and packing, relative to the limit of this machine."""
