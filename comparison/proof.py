"""The proof that our graph is the article's: built beside what TensorFlow 1.15.5 wrote, and each difference named.

Two graphs are compared, the article's size and a small one. Of the small one the numbers are compared, too: from a
checkpoint of TensorFlow 1.15.5, what it draws and judges, its gradients, and five train steps. What is drawn at random,
first weights and latents, is given by these, and so not compared.
"""

import contextlib
import math
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from comparison.reference import REFERENCE, read_reference
from model import DCGAN
from runtime.errors import reason_of

ADDED = ['global_step']  # the variables that are not the article's
PARTS = {'full': "the article's size", 'small': 'a small one, from a checkpoint of TensorFlow 1.15.5'}
SHOWN = 3  # differences of a check that are named
LEAST_NORM = 0.1  # of a gradient; what is smaller is rounding, that of a bias before batch normalisation, 1e-5
MOMENTUM = 0.99  # of the moving averages

# {name: (title, how much may differ, in what)}. Images and logits differ by rounding, which other kernels and
# processors do otherwise. After them rounding is amplified: an input of a leaky ReLU that is 0 but for rounding may
# fall on its other side, as one of 65,536 does with oneDNN's kernels, and Adam moves a weight by a gradient near 0 as
# by any other. That one input changed gradients by 0.0025, losses by 0.001, images by 0.02, weights by 0.1, Adam's
# averages by 0.21; without it all came a hundred times nearer. What is allowed leaves room for a few of its kind.
NUMBERS = {
    'generated': ('generated images', 2e-5, 'in [-1, 1]'),
    'generated_inference': ('by moving averages', 2e-5, 'in [-1, 1]'),
    'g_logits': ('logits of generated', 5e-5, ''),
    't_logits': ('logits of real images', 5e-5, ''),
    'g_gradient_norms': ('generator gradients', 0.01, 'of their norms'),
    'd_gradient_norms': ('discriminator gradients', 0.01, 'of their norms'),
    'g_loss': ('generator loss', 0.005, 'nats, over 5 steps'),
    'd_loss': ('discriminator loss', 0.005, 'nats, over 5 steps'),
    'generated_after': ('images after 5 steps', 0.05, 'in [-1, 1]'),
    'weights': ('weights after 5 steps', 0.3, 'of the way each has gone'),
    'moments': ("Adam's averages", 0.5, 'of their norms'),
    'powers': ("Adam's beta1, beta2", 1e-5, 'of their powers'),
    'averages': ('moving averages', 1e-5, "the discriminator's, from their definition; the article leaves them alone"),
    'steps': ('steps counted', 0, ''),
}


class Built(NamedTuple):
    """The article's graph: the model, its real images (to be fed), its losses and its train op."""

    dcgan: DCGAN
    images: tf.Tensor
    losses: dict
    train: tf.Operation


class Check(NamedTuple):
    """One thing that was compared.

    Attributes:
      part: of which graph, in words.
      name: what, in words.
      found: what agrees, or what differs, in words.
      difference: the largest, of numbers; None where none was measured.
      tolerance: how large it may be; None of what is not a number.
      agrees: whether all is as in the article.
    """

    part: str
    name: str
    found: str
    difference: float | None
    tolerance: float | None
    agrees: bool


def build(**config):
    """Builds the graph in the current default graph, as the article does, for images of zeros."""
    dcgan = DCGAN(**config)
    size = dcgan.s_size * 2 ** (len(dcgan.g.depths) - 1)
    images = tf.zeros([dcgan.batch_size, size, size, 3])
    losses = dcgan.loss(images)
    return Built(dcgan, images, losses, dcgan.train(losses))


def prove(reference=REFERENCE):
    """Compares our graph with the article's.

    The numbers are computed on the processor even where there is a GPU, whose TF32 rounds too coarsely to tell.

    Args:
      reference: folder of the article's facts, a Path.

    Returns:
      The Checks, those of the larger graph first.

    Raises:
      RunError: the reference is missing or damaged.
    """
    theirs = read_reference(reference)
    return [*_checks('full', theirs), *_checks('small', theirs)]


def table(checks):
    """Returns Checks as text: a line for each, under those of their graphs."""
    lines = [f'here: TensorFlow {tf.__version__}; there: reference/, which TensorFlow 1.15.5 wrote',
             'computed on the processor, even where there is a GPU, whose TF32 rounds too coarsely to tell']
    part = None
    for check in checks:
        if check.part != part:
            part = check.part
            lines.append(f'{part}:')
        lines.append(f'  {check.name:<24} {"agrees" if check.agrees else "DIFFERS":<8} {describe(check)}'.rstrip())
    return '\n'.join(lines)


def describe(check):
    """Returns in words what a Check found."""
    if check.difference is None:
        return check.found
    return f'{f"largest difference {check.difference:.2g}, allowed {check.tolerance:g}":<43} {check.found}'


def verdict(checks):
    """Returns in a sentence whether all Checks agree."""
    where = f'TensorFlow {tf.__version__}, on the processor'
    failed = sum(not check.agrees for check in checks)
    if failed:
        return f"THE GRAPH IS NOT THE ARTICLE'S: {failed} of {len(checks)} checks fail, {where}"
    return f"the graph is the article's: {len(checks)} of {len(checks)} checks agree, {where}"


def _checks(part, reference):
    facts = getattr(reference, part)
    with tf.Graph().as_default():
        try:
            built = build(**facts.config)
        except Exception as error:  # whatever a TensorFlow to come, or a change of the model, has it raise
            return [Check(PARTS[part], 'graph', f'cannot be built: {_reason(error)}', None, None, False)]
        checks = _graph_checks(PARTS[part], built, facts)
        return checks if part == 'full' else checks + _number_checks(PARTS[part], built, reference)


def _graph_checks(part, built, facts):
    """Returns the Checks of names, shapes and the like: what can be told without computing."""
    trained = {variable.op.name for variable in tf.trainable_variables()}
    ours = {variable.op.name: (variable.shape.as_list(), variable.op.name in trained)
            for variable in tf.global_variables()}
    both = [name for name in facts.variables if name in ours]
    collections = {name: len(tf.get_collection(name)) for name in facts.collections}
    ops = {op.name: f'{op.type} {[_shape(output) for output in op.outputs]}'
           for op in tf.get_default_graph().get_operations() if op.name in facts.endpoints}
    return [
        _compare(part, 'variables', dict.fromkeys(ours), dict.fromkeys([*ADDED, *facts.variables]),
                 f'{len(both)}, by name and order; {", ".join(ADDED)} is added'),
        _compare(part, 'their shapes', {name: ours[name][0] for name in both},
                 {name: facts.variables[name][0] for name in both}, f'{len(both)}'),
        _compare(part, 'which are trained', {name: ours[name][1] for name in both},
                 {name: facts.variables[name][1] for name in both}, f'{len(trained)} of {len(both)}'),
        *(_compare_network(part, title, getattr(built.dcgan, key).variables, getattr(facts, f'{key}_variables'),
                           getattr(facts, f'{key}_parameters'))
          for key, title in (('g', 'generator'), ('d', 'discriminator'))),
        _compare(part, 'collections', collections, facts.collections,
                 ', '.join(f'{name} {length}' for name, length in collections.items())),
        _compare(part, 'end points', {name: ops[name] for name in facts.endpoints if name in ops}, facts.endpoints,
                 f'{len(ops)} ops, by name, type and shape'),
    ]


def _shape(tensor):
    return None if tensor.shape.rank is None else tensor.shape.as_list()


def _compare_network(part, title, variables, names, parameters):
    count = sum(math.prod(variable.shape.as_list()) for variable in variables)
    ours = {**dict.fromkeys(variable.op.name for variable in variables), 'parameters': f'{count:,}'}
    return _compare(part, title, ours, {**dict.fromkeys(names), 'parameters': f'{parameters:,}'},
                    f'{count:,} parameters, {len(variables)} variables')


def _compare(part, name, ours, theirs, found):
    """Returns the Check of two {name: value}, whose order counts; ``found`` says what there is if they agree."""
    differences = _differences(ours, theirs)
    more = f'; {len(differences) - SHOWN} more' if len(differences) > SHOWN else ''
    return Check(part, name, '; '.join(differences[:SHOWN]) + more if differences else found, None, None,
                 not differences)


def _differences(ours, theirs):
    differences = [*(f'{name}: not here' for name in theirs if name not in ours),
                   *(f'{name}: not there' for name in ours if name not in theirs),
                   *(f'{name}: {value} here, {theirs[name]} there' for name, value in ours.items()
                     if name in theirs and value != theirs[name])]
    return differences or [f'place {place}: {our} here, {their} there'
                           for place, (our, their) in enumerate(zip(ours, theirs, strict=True), start=1)
                           if our != their]


def _number_checks(part, built, reference):
    """Returns the Checks of ``NUMBERS``."""
    ours = sorted((variable.op.name, variable.shape.as_list()) for variable in _variables_of_the_article())
    saved = sorted((name, list(value.shape)) for name, value in reference.start.items())
    differences = _differences(dict(ours), dict(saved))
    if differences:
        return _not_compared(part, f'start.ckpt does not restore, {differences[0]}')
    try:
        measured = _measure(built, reference)
    except Exception as error:  # as above
        return _not_compared(part, _reason(error))
    return [Check(part, title, of, measured[name], tolerance, measured[name] <= tolerance)
            for name, (title, tolerance, of) in NUMBERS.items()]


def _not_compared(part, reason):
    return [Check(part, title, 'not compared' if place else f'not compared: {reason}', None, tolerance, False)
            for place, (title, tolerance, _) in enumerate(NUMBERS.values())]


def _variables_of_the_article():
    return [variable for variable in tf.global_variables() if variable.op.name not in ADDED]


def _measure(built, reference):
    """Returns {name of ``NUMBERS``: largest difference}, computed in the default graph."""
    dcgan, theirs = built.dcgan, reference.numbers
    losses = {'g_loss': built.losses[dcgan.g], 'd_loss': built.losses[dcgan.d]}
    outputs = {'generated': dcgan.generated, 'generated_inference': dcgan.g(dcgan.z, training=False),
               'g_logits': 'dg/d/classify/outputs/BiasAdd:0', 't_logits': 'dt/d/classify/outputs/BiasAdd:0',
               'g_gradient_norms': _gradient_norms(losses['g_loss'], dcgan.g.variables),
               'd_gradient_norms': _gradient_norms(losses['d_loss'], dcgan.d.variables)}
    normalised = {f'd/{layer}': [f'{scope}/{layer}/conv2d/BiasAdd:0' for scope in ('dg/d', 'dt/d')]
                  for layer in (f'conv{number}' for number in range(1, len(dcgan.d.depths) + 1))}
    feeds = [{dcgan.z: latents, built.images: images / np.float32(127.5) - 1}
             for latents, images in zip(theirs['z'], theirs['images_uint8'], strict=True)]
    with _restored(reference) as session:
        ours = session.run(outputs, feeds[0])
        steps = [session.run([losses, normalised, built.train], feed)[:2] for feed in feeds]
        ours['generated_after'] = session.run(dcgan.generated, feeds[0])
        variables = session.run({variable.op.name: variable for variable in tf.global_variables()})
    ours |= {name: np.stack([of_step[name] for of_step, _ in steps]) for name in losses}
    return {**{name: _largest(ours[name], theirs[name], of=theirs[name] if 'norms' in name else 1) for name in ours},
            **_differences_of_variables(variables, reference, [
                variable.op.name for variable in dcgan.g.variables + dcgan.d.variables]),
            'averages': _difference_of_averages(variables, reference, [batches for _, batches in steps]),
            'steps': abs(int(variables['global_step']) - len(feeds))}


def _gradient_norms(loss, variables):
    return tf.stack([tf.norm(gradient) for gradient in tf.gradients(loss, variables)])


@contextlib.contextmanager
def _restored(reference):
    """A session on the default graph, its variables restored from the checkpoint of TensorFlow 1.15.5."""
    saver = tf.train.Saver(_variables_of_the_article())
    added = [variable.initializer for variable in tf.global_variables() if variable.op.name in ADDED]
    with tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session:
        saver.restore(session, reference.checkpoint)
        session.run(added)
        yield session


def _largest(ours, theirs, of=1):
    """Returns the largest difference of two arrays, as a share of ``of``, which is taken as ``LEAST_NORM`` at least."""
    if ours.shape != theirs.shape:
        raise ValueError(f'shape {ours.shape} here, {theirs.shape} there')
    return float(np.max(np.abs(ours - theirs) / np.maximum(of, LEAST_NORM)))


def _differences_of_variables(ours, reference, names):
    """Compares the variables after the train steps with those of the article.

    A variable that has no gradient but rounding, a bias that batch normalisation takes out again, is left aside: Adam
    moves it by the learning rate in any direction.

    Args:
      ours: {name: array} of all variables.
      reference: the Reference.
      names: those of the trained variables, in the order of the gradients' norms.
    """
    start, end, numbers = reference.start, reference.end, reference.numbers
    norms = [*numbers['g_gradient_norms'], *numbers['d_gradient_norms']]
    weights = [name for name, norm in zip(names, norms, strict=True) if norm > LEAST_NORM]
    moments = [f'{name}/{slot}' for name in weights for slot in ('Adam', 'Adam_1')]
    powers = [name for name in end if '_power' in name]
    moved = {name: end[name] - start[name] for name in weights}
    return {name: float(np.max([np.linalg.norm(ours[one] - end[one]) / np.linalg.norm(of[one]) for one in ones]))
            for name, ones, of in (('weights', weights, moved), ('moments', moments, end), ('powers', powers, end))}


def _difference_of_averages(ours, reference, steps):
    """Compares the discriminator's moving averages with their definition: they follow the generated, then the real.

    Args:
      ours: {name: array}, after the train steps.
      steps: of each step {layer: both batches before their normalisation, float32 [n, height, width, channels]}.
    """
    differences = []
    for layer in steps[0]:
        names = [f'{layer}/batch_normalization/moving_{kind}' for kind in ('mean', 'variance')]
        mean, variance = (reference.start[name] for name in names)
        for batch in (batch for batches in steps for batch in batches[layer]):
            mean = MOMENTUM * mean + (1 - MOMENTUM) * batch.mean((0, 1, 2), dtype=np.float64)
            variance = MOMENTUM * variance + (1 - MOMENTUM) * batch.var((0, 1, 2), ddof=1, dtype=np.float64)
        differences += [_largest(ours[names[0]], mean), _largest(ours[names[1]], variance)]
    return float(np.max(differences))


def _reason(error):
    return f'{type(error).__name__}: {reason_of(error)}'
