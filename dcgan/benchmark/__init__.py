"""Speed of training, drawing, packing and starting, beside the limit of this machine."""
