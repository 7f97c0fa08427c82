"""Results as JSON, and back."""

import json

from evaluation.evaluator import Result

OWN = tuple(name for name in Result._fields if name != 'protocol')


def as_json(results):
    """Returns Results as the bytes of a JSON list, an object for each: its own fields, and those of its protocol."""
    objects = [{**{name: getattr(result, name) for name in OWN}, **result.protocol} for result in results]
    return json.dumps(objects, indent=2).encode() + b'\n'


def of_json(content):
    """Returns the Results that ``as_json`` wrote.

    Raises:
      ValueError: it wrote something else.
    """
    try:
        return [Result(*(entry.pop(name) for name in OWN), entry) for entry in json.loads(content)]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError('these are no results') from error
