"""Speed of training, relative to the limit of this machine."""
