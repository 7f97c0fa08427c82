"""A trained generator, ready to draw."""

import numpy as np
import tensorflow.compat.v1 as tf
from tqdm import tqdm

from model import Generator
from runtime.errors import RunError
from runtime.session import session_config
from sampling.checkpoint import load
from sampling.population import population

BATCH_NORMS = ('population', 'batch', 'moving')


class TrainedGenerator:
    """The generator of a checkpoint, in a session of its own, within its context.

    Attributes:
      trained: the Trained that it was made of.
      batch_norm, batch_size: as it was made.
      size: height and width of its images, in pixels.
    """

    def __init__(self, trained, batch_norm='population', batch_size=128):
        """Builds the graph, and restores it.

        Args:
          trained: a Trained.
          batch_norm: by which mean and variance batch normalisation goes: 'population', those of many fixed latents,
            so that an image is the same whatever is drawn with it; 'batch', as the article does, those of the images
            that are drawn at once; 'moving', the averages over training, which lag behind it.
          batch_size: images drawn at once, at the most; more are drawn in batches about as large as one another.

        Raises:
          RunError: the checkpoint does not hold all that is needed.
        """
        self.trained = trained
        self.batch_norm = batch_norm
        self.size = trained.size
        self.batch_size = batch_size
        if batch_norm == 'moving' and trained.kind == 'ema':
            raise RunError('averaged weights have no moving averages of batch normalization; use '
                           '--batch_norm=population, or --weights=trained where the checkpoint has them')
        values = dict(trained.weights)
        if batch_norm == 'population':
            values.update(population(trained))
        with tf.Graph().as_default() as graph:
            self._seeds = tf.placeholder(tf.int64, [None], name='seeds')
            self._latents = tf.identity(_latents_of(self._seeds, trained.z_dim), name='z')
            images = Generator(trained.depths, trained.s_size)(self._latents, training=batch_norm == 'batch')
            images = tf.image.convert_image_dtype((images + 1.0) / 2.0, tf.uint8)
            self._images = tf.identity(images, name='images')
            self._pngs = tf.map_fn(tf.io.encode_png, self._images, fn_output_signature=tf.string)
            missing = [variable.op.name for variable in tf.global_variables() if variable.op.name not in values
                       and (batch_norm != 'batch' or '/moving_' not in variable.op.name)]
            if missing:
                raise RunError(f'{trained.path} lacks {", ".join(missing)}')
            if batch_norm == 'moving' and _never_moved(values):
                print(f'warning     the moving averages of {trained.path} are 0 and 1, as before the first step: '
                      "TensorFlow 1 did not update them by itself, nor does the article")
            self._session = tf.Session(graph=graph, config=session_config('float32'))
            load(self._session, values)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._session.close()

    def latents(self, seeds):
        """Returns the latents of seeds, int64 [n], as float32 [n, z_dim] in [-1, 1)."""
        return self._session.run(self._latents, {self._seeds: seeds})

    def images(self, points):
        """Draws and shows progress.

        Args:
          points: seeds, int64 [n], or latents, float32 [n, z_dim]; n at least 1.

        Returns:
          Uint8 [n, size, size, 3].
        """
        return np.concatenate(list(self.batches(points)))

    def batches(self, points):
        """Draws ``points``, as ``images`` takes them; yields the images of each batch, uint8 [k, size, size, 3]."""
        return self._draw(self._images, points)

    def pngs(self, points):
        """Draws ``points``, as ``images`` takes them; yields for each batch the PNGs, as an array of bytes [k]."""
        return self._draw(self._pngs, points)

    def save(self, folder):
        """Writes a SavedModel, of any number of images at once, with the signatures ``serving_default`` and ``seeds``.

        Args:
          folder: a Path, where there is nothing yet.
        """
        signature = tf.saved_model.predict_signature_def
        with self._session.graph.as_default():
            builder = tf.saved_model.Builder(str(folder))
            builder.add_meta_graph_and_variables(self._session, [tf.saved_model.tag_constants.SERVING], {
                'serving_default': signature({'z': self._latents}, {'images': self._images}),
                'seeds': signature({'seeds': self._seeds}, {'images': self._images})})
            builder.save()

    def frozen(self):
        """Returns the GraphDef of 'images:0' by 'z:0', with the variables' values as constants."""
        graph = self._session.graph.as_graph_def()
        return tf.graph_util.convert_variables_to_constants(self._session, graph, ['images'])

    def _draw(self, drawn, points):
        fed = self._seeds if points.ndim == 1 else self._latents
        with tqdm(desc='drawing', total=len(points), unit=' images', delay=1) as bar:  # a page draws much, and fast
            for part in np.array_split(points, -(-len(points) // self.batch_size)):
                try:
                    yield self._session.run(drawn, {fed: part})
                except tf.errors.ResourceExhaustedError as error:
                    raise RunError(f'there is no memory for {len(part)} images at once; a --batch_size smaller than '
                                   f'{self.batch_size} would do') from error
                bar.update(len(part))


def _latents_of(seeds, z_dim):
    """Returns the latents of seeds, int64 [n], as a tensor, float32 [n, z_dim], uniform in [-1, 1).

    Each depends on its seed alone, and is the same wherever TensorFlow runs.
    """
    @tf.autograph.experimental.do_not_convert  # there is nothing to convert, and it warns on Python 3.13
    def latent(seed):
        # In training the second number is the step, and -1 for the grids; population statistics take -3.
        return tf.random.stateless_uniform([z_dim], tf.stack([seed, -2]), -1.0, 1.0, alg='philox')

    return tf.map_fn(latent, seeds, fn_output_signature=tf.float32)


def _never_moved(values):
    return all((value == float(name.endswith('variance'))).all() for name, value in values.items()
               if '/moving_' in name)
