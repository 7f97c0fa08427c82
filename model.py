"""The article's DCGAN: a generator, a discriminator, and the two trained against each other.

The article ("使用DCGAN实现人脸图像生成", 流浪的鱼, 51CTO, 2019) has this code from https://github.com/sugyan/tf-dcgan,
Copyright (c) 2016 Yoshihiro Sugi, MIT License (LICENSE), and so has ``class DCGAN``, which the article does not print.
Variable names, shapes, collections and end points are those that TensorFlow 1.15 built from it (``reference/``). Four
places differ; each is marked "Differs" with its reason.
"""

import tensorflow.compat.v1 as tf

import ops  # Differs: the article calls tf.layers, which left TensorFlow with Keras 3


class Generator:
    """Turns latents into images; after a call, ``variables`` holds its trainable variables."""

    def __init__(self, depths=[1024, 512, 256, 128], s_size=4):
        """Initializes a network without variables.

        Args:
          depths: channels of the four hidden layers.
          s_size: height and width of the first, in pixels.
        """
        self.depths = depths + [3]
        self.s_size = s_size
        self.reuse = False

    def __call__(self, inputs, training=False):
        """Returns images, float32 [n, 16 * s_size, 16 * s_size, 3] in [-1, 1].

        Args:
          inputs: latents, float32 [n, z_dim].
          training: whether batch normalization uses the statistics of this batch, or the moving averages.
        """
        inputs = tf.convert_to_tensor(inputs)
        with tf.variable_scope('g', reuse=self.reuse):
            # Latents to small maps.
            with tf.variable_scope('reshape'):
                outputs = ops.dense(inputs, self.depths[0] * self.s_size * self.s_size)
                outputs = tf.reshape(outputs, [-1, self.s_size, self.s_size, self.depths[0]])
                outputs = tf.nn.relu(ops.batch_normalization(outputs, training=training), name='outputs')
            # Four transposed convolutions, each twice as high and wide.
            with tf.variable_scope('deconv1'):
                outputs = ops.conv2d_transpose(outputs, self.depths[1], [5, 5], strides=(2, 2), padding='SAME')
                outputs = tf.nn.relu(ops.batch_normalization(outputs, training=training), name='outputs')
            with tf.variable_scope('deconv2'):
                outputs = ops.conv2d_transpose(outputs, self.depths[2], [5, 5], strides=(2, 2), padding='SAME')
                outputs = tf.nn.relu(ops.batch_normalization(outputs, training=training), name='outputs')
            with tf.variable_scope('deconv3'):
                outputs = ops.conv2d_transpose(outputs, self.depths[3], [5, 5], strides=(2, 2), padding='SAME')
                outputs = tf.nn.relu(ops.batch_normalization(outputs, training=training), name='outputs')
            with tf.variable_scope('deconv4'):
                outputs = ops.conv2d_transpose(outputs, self.depths[4], [5, 5], strides=(2, 2), padding='SAME')
            # Images.
            with tf.variable_scope('tanh'):
                outputs = tf.tanh(outputs, name='outputs')
        self.reuse = True
        self.variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope='g')
        return outputs


class Discriminator:
    """Tells real images (class 1) from generated ones (class 0); ``variables`` as in Generator."""

    def __init__(self, depths=[64, 128, 256, 512]):
        """Initializes a network without variables.

        Args:
          depths: channels of the four layers.
        """
        self.depths = [3] + depths
        self.reuse = False

    def __call__(self, inputs, training=False, name=''):
        """Returns the logits of the two classes, float32 [n, 2].

        Args:
          inputs: images, float32 [n, height, width, 3] in [-1, 1]; all but n known.
          training: whether batch normalization uses the statistics of this batch, or the moving averages.
          name: tells the ops of one call from those of another.
        """
        def leaky_relu(x, leak=0.2, name=''):
            return tf.maximum(x, x * leak, name=name)

        outputs = tf.convert_to_tensor(inputs)
        with tf.name_scope('d' + name), tf.variable_scope('d', reuse=self.reuse):
            # Four convolutions, each half as high and wide.
            with tf.variable_scope('conv1'):
                outputs = ops.conv2d(outputs, self.depths[1], [5, 5], strides=(2, 2), padding='SAME')
                outputs = leaky_relu(ops.batch_normalization(outputs, training=training), name='outputs')
            with tf.variable_scope('conv2'):
                outputs = ops.conv2d(outputs, self.depths[2], [5, 5], strides=(2, 2), padding='SAME')
                outputs = leaky_relu(ops.batch_normalization(outputs, training=training), name='outputs')
            with tf.variable_scope('conv3'):
                outputs = ops.conv2d(outputs, self.depths[3], [5, 5], strides=(2, 2), padding='SAME')
                outputs = leaky_relu(ops.batch_normalization(outputs, training=training), name='outputs')
            with tf.variable_scope('conv4'):
                outputs = ops.conv2d(outputs, self.depths[4], [5, 5], strides=(2, 2), padding='SAME')
                outputs = leaky_relu(ops.batch_normalization(outputs, training=training), name='outputs')
            # Logits of two classes.
            with tf.variable_scope('classify'):
                # Differs: the article fixes the batch size here; this takes any number of images.
                reshape = tf.reshape(outputs, [-1, outputs.shape[1:].num_elements()])
                outputs = ops.dense(reshape, 2, name='outputs')
        self.reuse = True
        self.variables = tf.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES, scope='d')
        return outputs


class DCGAN:
    """The two networks, their losses and the op that trains both.

    Attributes:
      g, d: the generator and the discriminator.
      z: latents of a batch, float32 [batch_size, z_dim], uniform in [-1, 1).
    """

    def __init__(self, batch_size=128, s_size=4, z_dim=100,
                 g_depths=[1024, 512, 256, 128], d_depths=[64, 128, 256, 512], z=None):
        """Takes the sizes; the images are 16 * s_size pixels high and wide."""
        self.batch_size = batch_size
        self.s_size = s_size
        self.z_dim = z_dim
        self.g = Generator(depths=g_depths, s_size=self.s_size)
        self.d = Discriminator(depths=d_depths)
        # Differs: z may be passed in, as a function of the step, so that any step can be repeated.
        self.z = tf.random_uniform([self.batch_size, self.z_dim], minval=-1.0, maxval=1.0) if z is None else z

    def loss(self, traindata):
        """Returns {g: scalar, d: scalar}, the losses in nats, also in the collections ``g_losses`` and ``d_losses``.

        Args:
          traindata: real images, float32 [batch_size, height, width, 3] in [-1, 1].
        """
        generated = self.g(self.z, training=True)
        g_outputs = self.d(generated, training=True, name='g')
        t_outputs = self.d(traindata, training=True, name='t')
        # The generator wants its images taken for real, the discriminator wants both told apart.
        tf.add_to_collection(
            'g_losses',
            tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=tf.ones([self.batch_size], dtype=tf.int64),
                    logits=g_outputs)))
        tf.add_to_collection(
            'd_losses',
            tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=tf.ones([self.batch_size], dtype=tf.int64),
                    logits=t_outputs)))
        tf.add_to_collection(
            'd_losses',
            tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=tf.zeros([self.batch_size], dtype=tf.int64),
                    logits=g_outputs)))
        return {
            self.g: tf.add_n(tf.get_collection('g_losses'), name='total_g_loss'),
            self.d: tf.add_n(tf.get_collection('d_losses'), name='total_d_loss'),
        }

    def train(self, losses, learning_rate=0.0002, beta1=0.5, optimizers=None):
        """Returns the no-op ``train``, which updates both networks once.

        Args:
          losses: what ``loss`` returned.
          learning_rate, beta1: of both Adams.
          optimizers: two ``tf.train.Optimizer`` for ``g`` and ``d`` in place of these Adams.
        """
        g_opt = tf.train.AdamOptimizer(learning_rate=learning_rate, beta1=beta1)
        d_opt = tf.train.AdamOptimizer(learning_rate=learning_rate, beta1=beta1)
        if optimizers:  # Differs: averaging over workers and loss scaling wrap them from outside
            g_opt, d_opt = optimizers
        g_opt_op = g_opt.minimize(losses[self.g], var_list=self.g.variables)
        d_opt_op = d_opt.minimize(losses[self.d], var_list=self.d.variables)
        # Both in one step.
        with tf.control_dependencies([g_opt_op, d_opt_op]):
            return tf.no_op(name='train')
