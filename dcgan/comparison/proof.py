"""The proof that model.py builds the article's graph, as TensorFlow 1.15.5 built it from the article's code.

It compares two graphs, one of the article's size and a small one. With the small one it also compares numbers: from a
checkpoint and latents of TensorFlow 1.15.5, outputs, gradient norms and five train steps.

``python -m dcgan.comparison.proof`` prints the checks as JSON. ``prove_in_child`` runs it, with oneDNN off: oneDNN
rounds differently, an input of a leaky ReLU near 0 may change its sign, and Adam amplifies that a hundredfold.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from dcgan import configure
from dcgan.comparison.reference import REFERENCE, facts, read_reference
from dcgan.errors import UserError, reason_of
from model import DCGAN

PARTS = {'full': "the article's size", 'small': 'a small one, from a checkpoint of TensorFlow 1.15.5'}
SHOWN = 3  # differences named in a check
MIN_NORM = 0.1  # of a gradient; below, it is rounding: about 1e-5 for a bias before batch normalization
MOMENTUM = 0.99  # of the moving averages

# {name: (title, tolerance, unit)}. Images and logits differ by rounding. Train steps amplify it: Adam moves a weight by
# the learning rate even if its gradient is near 0.
NUMBERS = {
    'generated': ('generated images', 2.4e-6, 'in [-1, 1]'),
    'generated_inference': ('by moving averages', 2.4e-6, 'in [-1, 1]'),
    'g_logits': ('logits of generated', 1e-5, ''),
    't_logits': ('logits of real images', 1e-5, ''),
    'g_gradient_norms': ('generator gradients', 1e-3, 'of their norms'),
    'd_gradient_norms': ('discriminator gradients', 1e-3, 'of their norms'),
    'g_loss': ('generator loss', 1e-3, 'nats, over 5 steps'),
    'd_loss': ('discriminator loss', 1e-3, 'nats, over 5 steps'),
    'generated_after': ('images after 5 steps', 0.02, 'in [-1, 1]'),
    'weights': ('weights after 5 steps', 0.1, 'of the distance each moved'),
    'moments': ("Adam's averages", 0.1, 'of their norms'),
    'powers': ("Adam's beta1, beta2", 1e-5, 'of their powers'),
    'averages': ('moving averages', 1e-5, "of the discriminator, by definition; the article does not update them"),
}


class Built(NamedTuple):
    """The article's graph: the model, a tensor to feed with real images, losses, and train op with UPDATE_OPS."""

    dcgan: DCGAN
    images: tf.Tensor
    losses: dict
    train: tf.Operation


class Check(NamedTuple):
    """The result of one comparison.

    Attributes:
      part: which graph, a value of ``PARTS``.
      name: what was compared.
      found: what agrees, or how it differs.
      difference: largest difference of numbers; None if none was measured.
      tolerance: largest difference allowed; None if no numbers are compared.
      agrees: whether it agrees with the article.
    """

    part: str
    name: str
    found: str
    difference: float | None
    tolerance: float | None
    agrees: bool


def build(**config):
    """Builds the article's graph in the default graph; its real images are zeros; takes arguments of ``DCGAN``."""
    dcgan = DCGAN(**config)
    size = 16 * dcgan.s_size
    images = tf.zeros([dcgan.batch_size, size, size, 3])
    losses = dcgan.loss(images)
    train = dcgan.train(losses)
    return Built(dcgan, images, losses, tf.group(train, *tf.get_collection(tf.GraphKeys.UPDATE_OPS)))


def prove(reference=REFERENCE):
    """Compares our graph with the article's, on the CPU: TF32 of a GPU is not precise enough.

    Args:
      reference: folder of the article's graph and numbers, a Path.

    Returns:
      The Checks, first those of the larger graph.

    Raises:
      UserError: the reference is missing or damaged.
    """
    theirs = read_reference(reference)
    return [check for part in PARTS for check in _checks(part, theirs)]


def prove_in_child(reference=REFERENCE):
    """Calls ``prove`` in another process, with oneDNN off; same arguments, result and errors."""
    done = subprocess.run([sys.executable, '-m', 'dcgan.comparison.proof', str(reference.resolve())],
                          cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
                          env={**os.environ, 'TF_ENABLE_ONEDNN_OPTS': '0', 'CUDA_VISIBLE_DEVICES': '-1'})
    if done.returncode:  # a traceback ends with the error
        last_line = (done.stderr.strip().splitlines() or [f'exit status {done.returncode}'])[-1]
        raise UserError(last_line.removeprefix('dcgan.errors.UserError: '))
    return [Check(*check) for check in json.loads(done.stdout.splitlines()[-1])]


def format_table(checks):
    """Returns Checks as text: the name of each graph, and a line for each of its checks."""
    lines = [f'here: TensorFlow {tf.__version__}; there: reference/, which TensorFlow 1.15.5 wrote',
             'computed on the CPU, without oneDNN']
    for check in checks:
        if f'{check.part}:' not in lines:
            lines.append(f'{check.part}:')
        lines.append(f'  {check.name:<24} {"agrees" if check.agrees else "DIFFERS":<8} {describe(check)}'.rstrip())
    return '\n'.join(lines)


def describe(check):
    """Returns the finding of a Check as text."""
    if check.difference is None:
        return check.found
    return f'{f"largest difference {check.difference:.2g}, allowed {check.tolerance:g}":<43} {check.found}'


def verdict(checks):
    """Returns a sentence: whether all Checks agree."""
    where = f'TensorFlow {tf.__version__}, on the CPU'
    if failed := sum(not check.agrees for check in checks):
        return f"THE GRAPH IS NOT THE ARTICLE'S: {failed} of {len(checks)} checks fail, {where}"
    return f"the graph is the article's: {len(checks)} of {len(checks)} checks agree, {where}"


def _checks(part, reference):
    checks, (config, theirs) = [], reference.graphs[part]
    with tf.Graph().as_default():
        try:
            built = build(**config)
            checks += _graph_checks(PARTS[part], facts(_describe(built, theirs)), theirs)
            if part == 'small':
                measured = _measure(built, reference)
                checks += [Check(PARTS[part], title, of, measured[name], tolerance, measured[name] <= tolerance)
                           for name, (title, tolerance, of) in NUMBERS.items()]
        except Exception as error:  # a later TensorFlow or a changed model may raise anything
            names = [title for title, _, _ in NUMBERS.values()] if checks else ['graph']
            problem = f'{"not compared" if checks else "cannot be built"}: {type(error).__name__}: {reason_of(error)}'
            checks += [Check(PARTS[part], name, problem, None, None, False) for name in names]
    return checks


def _describe(built, theirs):
    """Returns the default graph as graph.json describes one; its collections and end points are those of ``theirs``."""
    trained = {variable.op.name for variable in tf.trainable_variables()}
    ops = {op.name: op for op in tf.get_default_graph().get_operations()}
    graph = {
        'variables': [(variable.op.name, variable.shape.as_list(), variable.op.name in trained)
                      for variable in tf.global_variables()],
        'collections': {name: len(tf.get_collection(name)) for name in theirs['collections']},
        'endpoints': [(name, ops[name].type, [output.shape.as_list() for output in ops[name].outputs])
                      for name in theirs['end points'] if name in ops]}
    for name, network in ('g', built.dcgan.g), ('d', built.dcgan.d):
        graph[f'{name}_variables'] = [variable.op.name for variable in network.variables]
        graph[f'{name}_parameters'] = sum(variable.shape.num_elements() for variable in network.variables)
    return graph


def _graph_checks(part, ours, theirs):
    """Returns the Checks of names, shapes and types, which need no computing, of two graphs' ``facts``."""
    both = [name for name in theirs['variables'] if name in ours['variables']]
    found = {
        'variables': f'{len(both)}, by name and order', 'their shapes': f'{len(both)}',
        'which are trained': f'{sum(ours["which are trained"].values())} of {len(both)}',
        **{title: f'{ours[title]["parameters"]} parameters, {len(ours[title]) - 1} variables'
           for title in ('generator', 'discriminator')},
        'collections': ', '.join(f'{name} {length}' for name, length in ours['collections'].items()),
        'end points': f'{len(ours["end points"])} ops, by name, type and shape'}
    checks = []
    for title, there in theirs.items():
        here = ours[title]
        if title in ('their shapes', 'which are trained'):  # 'variables' names those that are missing
            here, there = ({name: values[name] for name in both} for values in (here, there))
        differences = _differences(here, there)
        more = f'; {len(differences) - SHOWN} more' if len(differences) > SHOWN else ''
        checks.append(Check(part, title, '; '.join(differences[:SHOWN]) + more if differences else found[title],
                            None, None, not differences))
    return checks


def _differences(ours, theirs):
    """Returns how two {name: value} differ, order included, as text."""
    differences = [*(f'{name}: not here' for name in theirs if name not in ours),
                   *(f'{name}: not there' for name in ours if name not in theirs),
                   *(f'{name}: {value} here, {theirs[name]} there' for name, value in ours.items()
                     if name in theirs and value != theirs[name])]
    return differences or [f'place {place}: {our} here, {their} there'
                           for place, (our, their) in enumerate(zip(ours, theirs, strict=True), start=1)
                           if our != their]


def _measure(built, reference):
    """Returns {name in ``NUMBERS``: largest difference}, computed in the default graph."""
    dcgan, theirs = built.dcgan, reference.numbers
    losses = {'g_loss': built.losses[dcgan.g], 'd_loss': built.losses[dcgan.d]}
    outputs = {'generated': 'g/tanh/outputs:0', 'generated_inference': dcgan.g(dcgan.z, training=False),
               'g_logits': 'dg/d/classify/outputs/BiasAdd:0', 't_logits': 'dt/d/classify/outputs/BiasAdd:0'}
    for name, network in ('g', dcgan.g), ('d', dcgan.d):
        gradients = tf.gradients(built.losses[network], network.variables)
        outputs[f'{name}_gradient_norms'] = [tf.norm(gradient) for gradient in gradients]
    normalized = {f'd/{layer}': [f'{scope}/{layer}/conv2d/BiasAdd:0' for scope in ('dg/d', 'dt/d')]
                  for layer in (f'conv{number}' for number in range(1, len(dcgan.d.depths)))}
    feeds = [{dcgan.z: latents, built.images: images / np.float32(127.5) - 1}
             for latents, images in zip(theirs['z'], theirs['images_uint8'], strict=True)]
    with tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session:
        tf.train.Saver().restore(session, reference.checkpoint)
        ours = session.run(outputs, feeds[0])
        steps = [session.run({**losses, 'normalized': normalized, 'train': built.train}, feed) for feed in feeds]
        ours['generated_after'] = session.run('g/tanh/outputs:0', feeds[0])
        variables = session.run({variable.op.name: variable for variable in tf.global_variables()})
    ours |= {name: [step[name] for step in steps] for name in losses}
    return {**{name: _largest(ours[name], theirs[name], of=theirs[name] if 'norms' in name else 1) for name in ours},
            **_differences_of_variables(variables, reference, [
                variable.op.name for variable in dcgan.g.variables + dcgan.d.variables]),
            'averages': _difference_of_averages(variables, reference, [step['normalized'] for step in steps])}


def _largest(ours, theirs, of=1):
    """Returns the largest difference of two arrays relative to ``of``, clipped to ``MIN_NORM`` from below."""
    [difference] = np.diff([ours, theirs], axis=0)  # raises ValueError if their shapes differ
    return float(np.max(np.abs(difference) / np.maximum(of, MIN_NORM)))


def _differences_of_variables(ours, reference, names):
    """Compares the variables after the train steps with the article's.

    Biases before batch normalization are skipped: their gradients are rounding, and Adam moves them by the learning
    rate in any direction.

    Args:
      ours: {name: array} of all variables.
      reference: the Reference.
      names: of the trainable variables, in the order of the gradient norms.

    Returns:
      {'weights', 'moments', 'powers': largest relative difference}.
    """
    start, end, numbers = reference.start, reference.end, reference.numbers
    norms = [*numbers['g_gradient_norms'], *numbers['d_gradient_norms']]
    weights = [name for name, norm in zip(names, norms, strict=True) if norm > MIN_NORM]
    moments = [f'{name}/{slot}' for name in weights for slot in ('Adam', 'Adam_1')]
    powers = [name for name in end if '_power' in name]
    moved = {name: end[name] - start[name] for name in weights}
    return {name: float(np.max([np.linalg.norm(ours[one] - end[one]) / np.linalg.norm(of[one]) for one in ones]))
            for name, ones, of in (('weights', weights, moved), ('moments', moments, end), ('powers', powers, end))}


def _difference_of_averages(ours, reference, steps):
    """Compares the discriminator's moving averages with their definition, first of generated, then of real images.

    Args:
      ours: {name: array} of all variables after the train steps.
      reference: the Reference.
      steps: for each step, {layer: both inputs of batch normalization, float32 [n, height, width, channels]}.

    Returns:
      The largest difference.
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


if __name__ == '__main__':
    configure()
    print(json.dumps(prove(Path(sys.argv[1]))))
