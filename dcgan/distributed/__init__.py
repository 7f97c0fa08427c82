"""Several workers that train one model: who they are, what they exchange, and whether all are alive."""
