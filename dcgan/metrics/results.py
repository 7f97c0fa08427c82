"""Results of metrics, as text, as JSON, and back."""

import json
from typing import NamedTuple

FORMATS = {'swd': '.2f', 'msssim': '.4f', 'fid': '.2f', 'kid': '.5f'}
TRAINED_ON = {True: ', the training images', False: ', not the training images', None: ''}


class Result(NamedTuple):
    """A value of a metric, and what is needed to compare it.

    Attributes:
      metric: name, e.g. swd16k.
      part: for swd, the level of the pyramid in pixels, or 'mean'; else ''.
      value: metric between generated and real images.
      floor: the same metric between two disjoint halves of the real images; None if there are too few.
      protocol: how it was measured, {name: JSON value}.
    """

    metric: str
    part: str
    value: float
    floor: float | None
    protocol: dict


OWN_FIELDS = tuple(name for name in Result._fields if name != 'protocol')


def to_json(results):
    """Returns Results as the bytes of a JSON list of objects, each with the fields of a Result and of its protocol."""
    objects = [{**{name: getattr(result, name) for name in OWN_FIELDS}, **result.protocol} for result in results]
    return json.dumps(objects, indent=2).encode() + b'\n'


def from_json(content):
    """Returns the Results that ``to_json`` wrote.

    Raises:
      ValueError: the content is something else.
    """
    try:
        return [Result(*(entry.pop(name) for name in OWN_FIELDS), entry) for entry in json.loads(content)]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError('not a JSON list of results') from error


def number(result, value):
    """Returns the value or floor of a Result as text."""
    kind = result.metric.rstrip('0123456789k')
    return '-' if value is None else f'{value:{FORMATS[kind]}}'


def samples(result):
    """Returns the sample size of a Result as text."""
    return f'{result.protocol["samples"]:,} {"pairs" if result.metric.startswith("msssim") else "images"}'


def format_table(results):
    """Returns the Results of one checkpoint as text: the protocol, a line for each Result, what each metric is."""
    protocol = results[0].protocol
    lines = [
        f'checkpoint  {protocol["checkpoint"]}'
        + ('' if protocol['step'] is None else f', step {protocol["step"]:,}'),
        f'faces       from seed {protocol["seed"]} on, {protocol["size"]}x{protocol["size"]}, batch_norm '
        f'{protocol["batch_norm"]}, weights {protocol["weights"]}',
        f'real        {protocol["real_images"]:,} images of {protocol["data"]}'
        f'{TRAINED_ON[protocol["are_trained_on"]]}',
        f'crop        {protocol["crop"]}; resized by {protocol["resizer"]}',
        f'{"metric":<16} {"samples":>14} {"value":>10} {"floor":>10}']
    for result in results:
        lines.append(f'{f"{result.metric} {result.part}":<16} {samples(result):>14} '
                     f'{number(result, result.value):>10} {number(result, result.floor):>10}')
    for metric, how in {result.metric: result.protocol['how'] for result in results}.items():
        lines.append(f'{metric}: {how}')
    return '\n'.join([*lines, *notes(results)])


def notes(results):
    """Returns sentences on how to read the Results of one checkpoint."""
    sentences = ['floor: the same metric between two disjoint halves of the real images']
    if without := ', '.join(dict.fromkeys(result.metric for result in results if result.floor is None)):
        sentences.append(f'no floor for {without}: a floor needs twice as many real images')
    if foreign := ', '.join(result.metric for result in results if result.protocol.get('inception_is_known') is False):
        sentences.append(f'{foreign}: not the Inception graph of published numbers; do not compare with them')
    return sentences
