"""What can be wrong with what the metrics need."""


class MetricError(Exception):
    """It cannot be measured as asked; the message says what was found, what was expected and what to do."""
