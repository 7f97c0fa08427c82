"""Charts of the report, as PNG bytes."""

import io
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure

STYLE = Path(__file__).with_name('charts.mplstyle')
WIDTH = 5.6  # inches: on a phone, text is still read
REACH = 5  # logged values on either side of one, in its running mean


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
        means = [np.mean(values[max(0, place - REACH):place + REACH + 1]) for place in range(len(values))]
        axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        axes.plot(steps, means, color=color, linewidth=1.8, label=title)
    axes.set(xlabel='step', ylabel='loss, nats', xlim=(0, steps[-1]), ylim=(0, None))
    for step, title in {milestone.step: milestone.title for milestone in milestones}.items():
        if 0 < step <= steps[-1]:
            axes.axvline(step, color='gray', linewidth=0.8, linestyle=':')
            axes.annotate(title, (step, 1), (-3, -3), ('data', 'axes fraction'), 'offset points', rotation=90,
                          ha='right', va='top', color='gray', fontsize=7)
    axes.legend()
    return _png(figure)


def _png(figure):
    content = io.BytesIO()
    figure.savefig(content)
    return content.getvalue()
