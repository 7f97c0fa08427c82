"""The comparison with the article: a proof of the graph, and a report that compares a run with the article."""
