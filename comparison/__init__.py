"""The comparison with the article: the proof of its graph, and a report of a run beside its figures."""
