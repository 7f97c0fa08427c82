"""The generator of a checkpoint, ready to draw."""

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from dcgan.cpu_kernels import cpu_kernels
from dcgan.device import make_session_config
from dcgan.errors import UserError
from dcgan.progress import Progress
from dcgan.runs.checkpoints import require_finite
from dcgan.sampling.exported import is_statistic
from dcgan.sampling.generator_checkpoint import load
from dcgan.sampling.latents import SavedLatent, seed_latents
from dcgan.sampling.pictures import enlarge
from dcgan.sampling.population import population_statistics
from model import Generator


class TrainedGenerator:
    """The generator of a checkpoint, in its own session; a context that closes the session.

    Attributes:
      checkpoint: the GeneratorCheckpoint.
      batch_norm, batch_size, scale: as given.
      size: height and width of its images, in pixels, after enlarging.
    """

    def __init__(self, checkpoint, batch_norm='population', batch_size=128, scale=1):
        """Builds the graph and restores the weights.

        Args:
          checkpoint: a GeneratorCheckpoint.
          batch_norm: which mean and variance batch normalization uses. 'population': those of many fixed latents, so
            that an image does not depend on the others. 'batch': those of the images drawn at once, as the article
            does. 'moving': the moving averages of training, which lag behind.
          batch_size: maximum number of images to draw at once; more are split into batches of about the same size.
          scale: how many times to enlarge each image, see ``pictures.enlarge``.

        Raises:
          UserError: 'moving' is asked for, and the checkpoint has no moving averages.
        """
        self.checkpoint = checkpoint
        self.batch_norm = batch_norm
        self.scale = scale
        self.size = scale * checkpoint.size
        self.batch_size = batch_size
        values = dict(checkpoint.variables)
        if batch_norm == 'population':
            values.update(population_statistics(checkpoint))
            require_finite(checkpoint.path, values)
        elif batch_norm == 'moving' and not any(map(is_statistic, values)):
            remedy = ', or --weights=trained if the checkpoint has them' if checkpoint.weights == 'ema' else ''
            raise UserError(f'the {checkpoint.weights} weights of {checkpoint.path} have no moving averages of batch '
                            f'normalization; use --batch_norm=population{remedy}')
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(0)  # where ops are deterministic, initializers ask for one
            self._seeds = tf.placeholder(tf.int64, [None], name='seeds')
            self._latents = tf.identity(seed_latents(self._seeds, checkpoint.z_dim), name='z')
            with cpu_kernels():
                images = Generator(checkpoint.depths, checkpoint.s_size)(self._latents, training=batch_norm == 'batch')
            self._images = tf.identity(to_uint8(images), name='images')
            self._session = tf.Session(graph=graph, config=make_session_config('float32'))
            load(self._session, values)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()

    def latents(self, seeds):
        """Returns latents, float32 [n, z_dim]; those of seeds are in [-1, 1).

        Args:
          seeds: int64 [n], or with saved latents, as ``parse_seeds`` returns them.

        Raises:
          UserError: a saved latent has another length.
        """
        numbers = [0 if isinstance(seed, SavedLatent) else seed for seed in seeds]
        latents = self._session.run(self._latents, {self._seeds: numbers})
        for latent, seed in zip(latents, seeds, strict=True):
            if isinstance(seed, SavedLatent):
                if seed.latent.shape != latent.shape:
                    raise UserError(f'{seed.path} holds {len(seed.latent)} numbers; this generator takes '
                                    f'{len(latent)}; project the photo with this generator')
                latent[:] = seed.latent
        return latents

    def images(self, points):
        """Draws images, with a progress bar.

        Args:
          points: seeds, as ``parse_seeds`` returns them; or latents, float32 [n, z_dim]; n at least 1.

        Returns:
          Uint8 [n, size, size, 3].
        """
        return np.concatenate(list(self.batches(points)))

    def batches(self, points):
        """Draws ``points`` like ``images``, but yields the images of each batch, uint8 [k, size, size, 3]."""
        with Progress('drawing', len(points), 'images', delay=1) as bar:  # explore.py draws often and fast
            for part in np.array_split(points, -(-len(points) // self.batch_size)):
                part = self.latents(part) if part.dtype == object else part
                fed = self._seeds if part.ndim == 1 else self._latents
                try:
                    images = self._session.run(self._images, {fed: part})
                except tf.errors.ResourceExhaustedError as error:
                    raise UserError(f'not enough memory for {len(part)} images at once; lower --batch_size') from error
                if (images == images[:, :1, :1]).all():
                    tqdm.write(f'warning     {self.checkpoint.path} draws images of one color: its weights are damaged '
                               'or useless')
                yield enlarge(images, self.scale)
                bar.update(len(part))

    def save(self, folder):
        """Writes a SavedModel with the signatures ``serving_default`` (takes z) and ``seeds``, for any batch size.

        Args:
          folder: a Path that does not exist.

        Raises:
          OSError, tf.errors.OpError: it cannot be written.
        """
        signature = tf.saved_model.predict_signature_def
        with self._session.graph.as_default():
            builder = tf.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(self._session, [tf.saved_model.tag_constants.SERVING], {
                'serving_default': signature({'z': self._latents}, {'images': self._images}),
                'seeds': signature({'seeds': self._seeds}, {'images': self._images})})
            builder.save()

    def frozen(self):
        """Returns the GraphDef that computes 'images:0' from 'z:0', with the variables as constants."""
        graph = self._session.graph.as_graph_def()
        return tf.graph_util.convert_variables_to_constants(self._session, graph, ['images'])


def to_uint8(images):
    """Returns images of a generator, a tensor in [-1, 1], as uint8, a tensor of the same shape."""
    return tf.image.convert_image_dtype((images + 1.0) / 2.0, tf.uint8)
