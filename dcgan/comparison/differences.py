"""Where this project differs from the article, and why; the report shows it."""

# (the article, here, why), with code in backquotes
DIFFERENCES = [
    ('`tf.layers.*`', '`ops.py`: the same names, arguments, initializers and variable names on `tf.get_variable` and '
     '`tf.nn`', '`tf.layers` left TensorFlow with Keras 3'),
    ('reference variables', 'resource variables', 'each optimizer updated its variables in place while the other still '
     'read them, so the same seed gave another result each time'),
    ("batch normalization's moving averages are never updated", 'updated in each step, in a fixed order', 'inference '
     'needs them; training does not use them, and grids use the statistics of their batch, as in the article'),
    ('`tf.random_uniform` for z', 'z is passed in: a stateless uniform of (seed, `global_step`)', 'any step can be '
     'repeated, so a run resumes exactly'),
    ('no `global_step`', '`global_step`, incremented in each step; options aside, the only added variable', 'resuming '
     'and logs'),
    ('a fixed batch size in the discriminator', 'any batch size', 'any number of images can be classified'),
    ('two Adams inside `train`', 'optimizers may be passed in', 'several workers, float16 and a second learning rate '
     'are wrapper optimizers outside'),
    ("TensorFlow's gradients of convolutions and leaky ReLU; `deconv1` is one op", 'on a CPU, faster ways to compute '
     'the same sums (`dcgan/cpu_kernels.py`)', 'training is faster; variables, end points and their names stay'),
    ('grids are JPEGs', 'grids are PNGs', 'no compression artifacts'),
]
