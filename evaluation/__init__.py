"""How good the faces of a checkpoint are: numbers, each with its protocol and its floor."""
