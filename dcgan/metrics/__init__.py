"""Metrics of how close generated images are to real ones, each by the protocol of a paper."""
