"""Results as JSON, and back."""

import json

from dcgan.metrics.evaluator import Result

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
