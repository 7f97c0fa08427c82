"""A page in the browser to play with the faces of a run."""
