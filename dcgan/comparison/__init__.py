"""The comparison with the article: a proof of the graph, and a report that shows a run beside the article."""
