"""A page in the browser to explore the faces of a run."""
