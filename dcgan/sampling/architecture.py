"""The article's generator as its variables describe it, checked before anything is built from them."""

import math

from dcgan.errors import UserError
from dcgan.runs.settings import MAX_IMAGE_SIZE

MAX_VALUES = 1 << 28  # in all variables; at full size there are 18.9 million
MAX_LAYER_VALUES = 1 << 26  # in the outputs of a layer for one image; at full size there are 131,072
LAYERS = ('reshape', 'deconv1', 'deconv2', 'deconv3')  # those with batch normalization


def architecture(path, shapes):
    """Returns z_dim, s_size and the four depths of a generator.

    Args:
      path: of the checkpoint, for the message.
      shapes: {name: list} of its variables.

    Raises:
      UserError: these are not the variables of the article's generator, or they are too large.
    """
    gammas = [_shape(path, shapes, f'g/{layer}/batch_normalization/gamma', 1) for layer in LAYERS]
    depths = [gamma[0] for gamma in gammas]
    z_dim, units = _shape(path, shapes, 'g/reshape/dense/kernel', 2)
    s_size = math.isqrt(units // depths[0])
    layer_values = [z_dim, *(depth * (s_size << number) ** 2 for number, depth in enumerate(depths))]
    for found, limit, unit in ((16 * s_size, MAX_IMAGE_SIZE, 'pixels a side'),
                               (sum(map(math.prod, shapes.values())), MAX_VALUES, 'values in all variables'),
                               (max(layer_values), MAX_LAYER_VALUES, 'values in a layer for one image')):
        if found > limit:  # out of memory, TensorFlow may crash instead of raising
            raise UserError(f'{path} is too large to draw from: {found:,} {unit}; the limit is {limit:,}')
    for name, shape in _expected(z_dim, s_size, depths).items():
        if name in shapes or '/moving_' not in name:
            found = _shape(path, shapes, name, len(shape))
            if found != shape:
                raise _foreign(path, f'{name} has shape {found}; expected {shape} with depths {depths}')
    return z_dim, s_size, depths


def _expected(z_dim, s_size, depths):
    """Returns {name: shape} of all variables of the generator."""
    units = depths[0] * s_size * s_size
    expected = {'g/reshape/dense/kernel': [z_dim, units], 'g/reshape/dense/bias': [units]}
    for number, (channels, filters) in enumerate(zip(depths, [*depths[1:], 3], strict=True), start=1):
        expected[f'g/deconv{number}/conv2d_transpose/kernel'] = [5, 5, filters, channels]
        expected[f'g/deconv{number}/conv2d_transpose/bias'] = [filters]
    for layer, depth in zip(LAYERS, depths, strict=True):
        for name in 'gamma', 'beta', 'moving_mean', 'moving_variance':
            expected[f'g/{layer}/batch_normalization/{name}'] = [depth]
    return expected


def _shape(path, shapes, name, rank):
    """Returns the shape of a variable, of that rank and not empty."""
    if name not in shapes:
        raise _foreign(path, f'it has no variable {name}')
    if len(shapes[name]) != rank or 0 in shapes[name]:
        raise _foreign(path, f'{name} has shape {shapes[name]}')
    return shapes[name]


def _foreign(path, reason):
    return UserError(f"{path} does not hold the article's generator: {reason}")
