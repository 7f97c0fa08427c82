"""The facts of the article's graph under TensorFlow 1.15.5, and our graph beside them."""

import json
from pathlib import Path
from typing import NamedTuple

import tensorflow.compat.v1 as tf

from model import DCGAN

REFERENCE = Path(__file__).parent.parent / 'reference'
FACTS = json.loads((REFERENCE / 'graph.json').read_text())
ADDED = ['global_step']


class Built(NamedTuple):
    """The article's graph: the model, its real images (to be fed), its losses and its train op."""

    dcgan: DCGAN
    images: tf.Tensor
    losses: dict
    train: tf.Operation


def build(**config):
    """Builds the graph in the current default graph, as the article does, for images of zeros."""
    dcgan = DCGAN(**config)
    size = dcgan.s_size * 2 ** (len(dcgan.g.depths) - 1)
    images = tf.zeros([dcgan.batch_size, size, size, 3])
    losses = dcgan.loss(images)
    return Built(dcgan, images, losses, dcgan.train(losses))
