"""The latent whose face is nearest to a photo.

Gradient descent on the latent reduces the difference of pixels and of the discriminator's features, as in Zhu et al.,
"Generative Visual Manipulation on the Natural Image Manifold" (2016), and Yeh et al., "Semantic Image Inpainting with
Deep Generative Models" (2017).
"""

from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from data.crop import MAX_MEMORY
from data.decoding import decode_one
from dcgan.cpu_kernels import cpu_kernels
from dcgan.device import make_session_config
from dcgan.progress import Progress
from dcgan.runs.checkpoints import CheckpointReader
from dcgan.sampling.generator import to_uint8
from dcgan.sampling.generator_checkpoint import load
from dcgan.sampling.population import population_statistics
from dcgan.sampling.real_images import nearest, settings_of
from model import Discriminator, Generator

SEEDS, STARTS, STEPS = 512, 8, 200  # the nearest of the first seeds are where the descent starts
NARROWED, KEPT = 50, 2  # from this step on, only the nearest go on
RATE, BETA1, BETA2 = 0.1, 0.9, 0.99  # of Adam; the rate falls to 0 along a cosine
FEATURE_WEIGHT = 0.05  # of the features' relative difference, beside that of the pixels in [-1, 1]
FEATURES = 'd/d/conv4/outputs:0'
MAX_SECONDS = 60  # of decoding a photo


class Projection(NamedTuple):
    """A photo and the nearest face that was found.

    Attributes:
      photo, face: uint8 [size, size, 3].
      latent: of the face, float32 [z_dim] in [-1, 1].
      distance: the root mean square difference of the two, in gray levels (0 to 255).
      by_features: whether the features of a discriminator were compared, too.
    """

    photo: np.ndarray
    face: np.ndarray
    latent: np.ndarray
    distance: float
    by_features: bool


def project(generator, photo):
    """Returns the Projection of a photo, uint8 [size, size, 3]; the same one each time.

    Args:
      generator: a TrainedGenerator.
      photo: as ``read_photo`` returns it.

    Raises:
      UserError: the discriminator in the generator's checkpoint is not the article's.
    """
    checkpoint, photos = generator.checkpoint, photo[np.newaxis]
    with tf.Graph().as_default() as graph, cpu_kernels():
        z = tf.placeholder(tf.float32, [None, checkpoint.z_dim])
        target = tf.placeholder(tf.float32, photos.shape)
        generated = Generator(checkpoint.depths, checkpoint.s_size)(z)
        images = to_uint8(generated)
        losses = tf.reduce_mean(tf.square(generated - target), axis=[1, 2, 3])
        features, discriminator = _features(tf.concat([target, generated], axis=0), checkpoint.path)
        if features is not None:
            differences = tf.reduce_mean(tf.square(features[1:] - features[:1]), axis=[1, 2, 3])
            losses += FEATURE_WEIGHT * differences / (tf.reduce_mean(tf.square(features[:1])) + 1e-6)
        [gradients] = tf.gradients(losses, z)
    with tf.Session(graph=graph, config=make_session_config('float32')) as session:
        load(session, {**checkpoint.variables, **population_statistics(checkpoint), **discriminator})
        latents = generator.latents(np.arange(SEEDS))
        parts = np.array_split(latents, -(-SEEDS // min(generator.batch_size, SEEDS)))
        found, _ = nearest(photos, np.concatenate([session.run(images, {z: part}) for part in parts]), STARTS)
        starts = latents[found[0]]
        latents = np.concatenate([_descend(starts, lambda latents: session.run(
            [losses, gradients], {z: latents, target: photos / 127.5 - 1})), starts])
        faces = session.run(images, {z: latents})
    [[best]], [[distance]] = nearest(photos, faces, 1)
    return Projection(photo, faces[best], latents[best], float(distance), features is not None)


def _descend(latents, slope):
    """Returns the best latents, float32 [k, z_dim], after Adam's steps.

    They are clipped to the range that the generator was trained on. A tanh would also keep them in it, but its
    gradient vanishes at the ends, so they could not leave these again.

    Args:
      latents: to start from, float32 [n, z_dim].
      slope: function of latents; returns the loss of each, and its gradient.
    """
    mean = square = np.zeros_like(latents)
    for step in Progress('projecting', STEPS, 'steps', delay=1).of(range(1, STEPS + 1)):
        losses, gradients = slope(latents)
        if step == NARROWED:
            best = np.argsort(losses, kind='stable')[:KEPT]
            latents, mean, square, gradients = (values[best] for values in (latents, mean, square, gradients))
        mean = BETA1 * mean + (1 - BETA1) * gradients
        square = BETA2 * square + (1 - BETA2) * np.square(gradients)
        rate = RATE * (1 + np.cos(np.pi * (step - 1) / STEPS)) / 2
        change = mean / (1 - BETA1 ** step) / (np.sqrt(square / (1 - BETA2 ** step)) + 1e-12)
        latents = np.clip(latents - rate * change, -1, 1).astype(np.float32)
    return latents


def read_photo(encoded, checkpoint, max_memory=MAX_MEMORY, max_seconds=MAX_SECONDS):
    """Returns a photo, cropped and resized as the training images of a checkpoint were, uint8 [size, size, 3].

    Args:
      encoded: bytes, the content of an image file.
      checkpoint: a GeneratorCheckpoint.
      max_memory, max_seconds: what decoding may take, in bytes and seconds.

    Raises:
      UserError: it is damaged, too large, in another format, or lacks the shape that the run's crop expects; or the
        settings of the run are damaged.
    """
    crop = settings_of(checkpoint.run).get('crop', 'auto')
    return decode_one(encoded, crop, checkpoint.size, max_memory, max_seconds)


def _features(images, path):
    """Returns features of images by the discriminator of a checkpoint, and its variables, {name: float32 array}.

    The features are float32 [n, height, width, channels]; None, with {}, if the checkpoint holds no discriminator.
    """
    gammas = [f'd/conv{number}/batch_normalization/gamma' for number in range(1, 5)]
    reader = None if path.suffix == '.npz' else CheckpointReader(path)
    if reader is None or not all(len(reader.shapes.get(gamma, [])) == 1 for gamma in gammas):
        return None, {}
    Discriminator([reader.shapes[gamma][0] for gamma in gammas])(images)
    shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables('d/')}
    values = reader.read(shapes, "the article's discriminator",
                         remedy='; to project by pixels alone, export the generator: export.py --format=npz')
    return tf.get_default_graph().get_tensor_by_name(FEATURES), values
