"""Charts of the report, as PNG bytes."""

import io

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

INK, BLUE, ORANGE, GRAY = '#333333', '#2166ac', '#d6604d', '#8a8a8a'
WIDTH = 5.6  # inches: on a phone, text is still read
STYLE = {
    'font.size': 8, 'axes.titlesize': 9, 'legend.frameon': False, 'axes.spines.top': False, 'axes.spines.right': False,
    'axes.edgecolor': GRAY, 'xtick.color': INK, 'ytick.color': INK, 'axes.grid': True, 'axes.grid.axis': 'y',
    'axes.axisbelow': True, 'grid.color': '#e6e6e6', 'grid.linewidth': 0.6, 'savefig.dpi': 200}
REACH = 5  # logged values on either side of one, in its running mean


@rc_context(STYLE)
def losses(entries, milestones):
    """Draws both losses over the steps: the logged values, pale, and their running means.

    Args:
      entries: dicts with 'step', 'g_loss', 'd_loss', oldest first, at least one.
      milestones: Milestones, marked in the chart.
    """
    figure = Figure((WIDTH, 2.8), layout='constrained')
    axes = figure.subplots()
    steps = [entry['step'] for entry in entries]
    for name, color, title in ('g_loss', BLUE, 'generator'), ('d_loss', ORANGE, 'discriminator'):
        values = [entry[name] for entry in entries]
        means = [np.mean(values[max(0, place - REACH):place + REACH + 1]) for place in range(len(values))]
        axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        axes.plot(steps, means, color=color, linewidth=1.8, label=title)
    axes.set(xlabel='step', ylabel='loss, nats', xlim=(0, steps[-1]), ylim=(0, None))
    for step, title in {milestone.step: milestone.title for milestone in milestones}.items():
        if 0 < step <= steps[-1]:
            axes.axvline(step, color=GRAY, linewidth=0.8, linestyle=':')
            axes.annotate(title, (step, 1), xycoords=('data', 'axes fraction'), xytext=(-3, -3),
                          textcoords='offset points', rotation=90, ha='right', va='top', color=GRAY, fontsize=7)
    axes.legend()
    return _png(figure)


@rc_context(STYLE)
def numbers(steps, results):
    """Draws metrics over the steps, each in its own panel; floors are dashed.

    Args:
      steps: of the measured checkpoints.
      results: {title: Results at these steps}, of at least one metric.
    """
    figure = Figure((WIDTH, 2.3 * len(results)), layout='constrained')
    panels = figure.subplots(len(results), squeeze=False).flat
    for panel, (title, row) in zip(panels, results.items(), strict=True):
        values, floor = [result.value for result in row], row[0].floor
        panel.plot(steps, values, 'o-', color=BLUE, linewidth=1.5, markersize=4)
        if floor is not None:
            panel.axhline(floor, color=GRAY, linewidth=1, linestyle='--')
            panel.annotate('real images', (1, floor), xycoords=('axes fraction', 'data'), xytext=(-2, 3),
                           textcoords='offset points', ha='right', color=GRAY, fontsize=7)
        panel.set(title=title, xlabel='step')
        if min(*values, floor or 0) >= 0:  # kid may be negative
            panel.set_ylim(bottom=0)
    return _png(figure)


def _png(figure):
    content = io.BytesIO()
    figure.savefig(content, format='png')
    return content.getvalue()
