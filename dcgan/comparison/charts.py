"""Charts of the report, as PNG bytes."""

import io
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

STYLE = Path(__file__).with_name('charts.mplstyle')
WIDTH = 5.6  # inches: on a phone, text is still read


@style.context(STYLE)
def losses(entries, milestones):
    """Draws both losses over the steps: the logged values, pale, and their running means.

    Args:
      entries: dicts with 'step', 'g_loss', 'd_loss', oldest first, at least one.
      milestones: Milestones, marked in the chart.
    """
    figure = Figure((WIDTH, 2.8))
    axes = figure.subplots()
    steps = [entry['step'] for entry in entries]
    for name, color, title in ('g_loss', 'C0', 'generator'), ('d_loss', 'C1', 'discriminator'):
        values = [entry[name] for entry in entries]
        # Running means over five logged values on either side.
        means = [np.mean(values[max(0, place - 5):place + 6]) for place in range(len(values))]
        axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        axes.plot(steps, means, color=color, linewidth=1.8, label=title)
    axes.set(xlabel='step', ylabel='loss, nats', xlim=(0, steps[-1]), ylim=(0, None))
    for step in {milestone.step for milestone in milestones}:
        if 0 < step <= steps[-1]:
            axes.axvline(step, color='gray', linewidth=0.8, linestyle=':')
    axes.legend()
    return _png(figure)


def _png(figure):
    content = io.BytesIO()
    figure.savefig(content)
    return content.getvalue()
