"""The article's DCGAN: a generator, a discriminator, and the two trained against each other.

Names, shapes, collections and end points are those of the article's graph under TensorFlow 1.15 (``reference/``).
What is added here is ``global_step``, and, in the train op, its count and the moving averages of batch normalisation.
"""

import tensorflow.compat.v1 as tf

from ops import batch_normalization, conv2d, conv2d_transpose, dense, leaky_relu


class Generator:
    """Draws images from latents: a dense layer, then a transposed convolution per depth, each doubling the size.

    Attributes:
      variables: its trainable variables, once it was called.
    """

    def __init__(self, depths=(1024, 512, 256, 128), s_size=4):
        """Takes the channels of each hidden layer and the height and width of the first."""
        self.depths = [*depths, 3]
        self.s_size = s_size
        self.reuse = False

    def __call__(self, inputs, training=False):
        """Returns float32 images [n, size, size, 3] in [-1, 1], size = s_size * 2 ** len(depths).

        Args:
          inputs: latents, float32 [n, z_dim] in [-1, 1].
          training: whether batch normalisation takes the statistics of these n images or the moving averages.
        """
        outputs = tf.convert_to_tensor(inputs)
        with tf.variable_scope('g', reuse=self.reuse):
            with tf.variable_scope('reshape'):
                outputs = dense(outputs, self.depths[0] * self.s_size * self.s_size)
                outputs = tf.reshape(outputs, [-1, self.s_size, self.s_size, self.depths[0]])
                outputs = tf.nn.relu(batch_normalization(outputs, training=training), name='outputs')
            for layer, depth in enumerate(self.depths[1:-1], start=1):
                with tf.variable_scope(f'deconv{layer}'):
                    outputs = conv2d_transpose(outputs, depth, [5, 5], strides=(2, 2), padding='SAME')
                    outputs = tf.nn.relu(batch_normalization(outputs, training=training), name='outputs')
            with tf.variable_scope(f'deconv{len(self.depths) - 1}'):
                outputs = conv2d_transpose(outputs, self.depths[-1], [5, 5], strides=(2, 2), padding='SAME')
            with tf.variable_scope('tanh'):
                outputs = tf.tanh(outputs, name='outputs')
        self.reuse = True
        self.variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope='g/')
        return outputs


class Discriminator:
    """Tells real images (class 1) from generated ones (class 0): a convolution per depth, then a dense layer.

    Attributes:
      variables: its trainable variables, once it was called.
    """

    def __init__(self, depths=(64, 128, 256, 512)):
        """Takes the channels of each layer."""
        self.depths = list(depths)
        self.reuse = False

    def __call__(self, inputs, training=False, name=''):
        """Returns the logits of the two classes, float32 [n, 2].

        Args:
          inputs: images, float32 [n, height, width, 3] in [-1, 1], all but n known.
          training: whether batch normalisation takes the statistics of these n images or the moving averages.
          name: tells apart, in the names of the ops, the calls of one discriminator.
        """
        outputs = tf.convert_to_tensor(inputs)
        with tf.name_scope('d' + name), tf.variable_scope('d', reuse=self.reuse):
            for layer, depth in enumerate(self.depths, start=1):
                with tf.variable_scope(f'conv{layer}'):
                    outputs = conv2d(outputs, depth, [5, 5], strides=(2, 2), padding='SAME')
                    outputs = leaky_relu(batch_normalization(outputs, training=training), name='outputs')
            with tf.variable_scope('classify'):
                outputs = tf.reshape(outputs, [-1, outputs.shape[1:].num_elements()])
                outputs = dense(outputs, 2, name='outputs')
        self.reuse = True
        self.variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope='d/')
        return outputs


class DCGAN:
    """The two networks, their losses and the op that trains both.

    Attributes:
      g, d: the generator and the discriminator.
      z: the latents of a step, float32 [batch_size, z_dim], uniform in [-1, 1): a function of the seed and of
        ``global_step``, so that any step can be repeated; of several workers, each has its slice of them.
      generated: the images drawn from them, float32 [batch_size, size, size, 3] in [-1, 1], once ``loss`` was called.
    """

    def __init__(self, batch_size=128, s_size=4, z_dim=100,
                 g_depths=(1024, 512, 256, 128), d_depths=(64, 128, 256, 512), seed=0, worker=0, workers=1):
        self.batch_size = batch_size
        self.s_size = s_size
        self.z_dim = z_dim
        self.g = Generator(depths=g_depths, s_size=s_size)
        self.d = Discriminator(depths=d_depths)
        z = tf.random.stateless_uniform([batch_size * workers, z_dim], [seed, tf.train.get_or_create_global_step()],
                                        minval=-1.0, maxval=1.0)
        self.z = z[worker * batch_size:(worker + 1) * batch_size] if workers > 1 else z

    def loss(self, traindata):
        """Builds both networks and their losses, also gathered in the collections ``g_losses`` and ``d_losses``.

        Args:
          traindata: real images, float32 [n, size, size, 3] in [-1, 1].

        Returns:
          {self.g: scalar, self.d: scalar}, in nats: the cross entropy of "real" for the generated images, and that of
          "real" for the real plus that of "generated" for the generated ones.
        """
        self.generated = self.g(self.z, training=True)
        g_outputs = self.d(self.generated, training=True, name='g')
        t_outputs = self.d(traindata, training=True, name='t')
        tf.add_to_collection('g_losses', _cross_entropy(g_outputs, label=1))
        tf.add_to_collection('d_losses', _cross_entropy(t_outputs, label=1))
        tf.add_to_collection('d_losses', _cross_entropy(g_outputs, label=0))
        return {
            self.g: tf.add_n(tf.get_collection('g_losses'), name='total_g_loss'),
            self.d: tf.add_n(tf.get_collection('d_losses'), name='total_d_loss'),
        }

    def train(self, losses, learning_rate=0.0002, beta1=0.5, d_learning_rate=None, ema_decay=None,
              loss_scaling=False, average=None):
        """Returns the no-op ``train``: one Adam step of both networks, counted in ``global_step``.

        Args:
          losses: what ``loss`` returned.
          learning_rate, beta1: of both optimisers.
          d_learning_rate: the discriminator's, where it is to be another ("two time-scale update rule", Heusel et al.,
            2017); None, as in the article, for the same.
          ema_decay: share that an exponential moving average of the generator's variables keeps at a step; in its first
            steps it keeps less, (1 + step) / (10 + step). Training does not see the average. None, as in the article,
            for none.
          loss_scaling: whether gradients are taken of losses times a factor that follows what float16 can hold ("Mixed
            precision training", Micikevicius et al., 2018), and an update is left out where they are no finite numbers.
          average: function of a list of tensors that returns their means over several workers, of which this is one:
            all take the means of the gradients, and of the moving averages of batch normalisation. None for one alone.
        """
        g_opt = tf.train.AdamOptimizer(learning_rate=learning_rate, beta1=beta1)
        d_opt = tf.train.AdamOptimizer(learning_rate=learning_rate if d_learning_rate is None else d_learning_rate,
                                       beta1=beta1)
        if loss_scaling:
            g_opt, d_opt = (tf.mixed_precision.MixedPrecisionLossScaleOptimizer(adam, 'dynamic')
                            for adam in (g_opt, d_opt))
        g_opt_op = _minimize(g_opt, losses[self.g], self.g.variables, average)
        d_opt_op = _minimize(d_opt, losses[self.d], self.d.variables, average)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        if average is not None:
            updates = _average_moving(updates, average)
        with tf.control_dependencies([g_opt_op, d_opt_op, *updates]):
            done = tf.assign_add(tf.train.get_global_step(), 1)
        if ema_decay is not None:
            with tf.control_dependencies([done]):
                done = tf.train.ExponentialMovingAverage(ema_decay, num_updates=done).apply(self.g.variables)
        with tf.control_dependencies([done]):
            return tf.no_op(name='train')

    def sample_images(self, row=8, col=8, inputs=None, getter=None):
        """Draws a grid of images, batch normalisation taking, as in the article, the statistics of this very batch.

        Args:
          row, col: images down and across.
          inputs: latents, float32 [n, z_dim] in [-1, 1], at least row * col; None is ``self.z``.
          getter: custom getter of the generator's variables, as ``tf.variable_scope`` takes it; None for none.

        Returns:
          String scalar, a PNG of row * size by col * size pixels.

        Raises:
          ValueError: there are fewer latents than places in the grid.
        """
        inputs = self.z if inputs is None else tf.convert_to_tensor(inputs)
        if inputs.shape[0] is not None and inputs.shape[0] < row * col:
            raise ValueError(f'a grid of {row} x {col} images needs {row * col} latents, not {inputs.shape[0]}')
        updates = tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS)
        before = len(updates)
        with tf.variable_scope(tf.get_variable_scope(), custom_getter=getter):
            images = self.g(inputs, training=True)
        del updates[before:]  # to look at samples does not move the averages
        images = tf.image.convert_image_dtype((images + 1.0) / 2.0, tf.uint8)
        images = tf.unstack(images[:row * col], num=row * col)
        rows = [tf.concat(images[col * i:col * (i + 1)], axis=1) for i in range(row)]
        return tf.image.encode_png(tf.concat(rows, axis=0))


def _minimize(optimizer, loss, variables, average):
    gradients = optimizer.compute_gradients(loss, variables)
    if average is not None:
        gradients = zip(average([gradient for gradient, _ in gradients]), variables, strict=True)
    return optimizer.apply_gradients(gradients)


def _average_moving(updates, average):
    """Returns ops that give the moving averages, once updated, their means over several workers."""
    moving = [variable for variable in tf.global_variables()
              if variable.op.name.endswith(('/moving_mean', '/moving_variance'))]
    with tf.control_dependencies(updates):
        means = average([variable.read_value() for variable in moving])
    return [variable.assign(mean).op for variable, mean in zip(moving, means, strict=True)]


def _cross_entropy(logits, label):
    labels = tf.fill(tf.shape(logits)[:1], tf.constant(label, tf.int64))
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
