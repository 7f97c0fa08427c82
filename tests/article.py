"""The facts of the article's graph under TensorFlow 1.15.5."""

import json

from dcgan.comparison.reference import REFERENCE

FACTS = json.loads((REFERENCE / 'graph.json').read_text())
