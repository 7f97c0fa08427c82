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
WINDOW = 11  # logged values in a running mean


@rc_context(STYLE)
def losses(entries, milestones):
    """Draws both losses over the steps: the logged values, pale, and their running means.

    Args:
      entries: dicts with 'step', 'g_loss', 'd_loss', oldest first, at least one.
      milestones: {step: title}, marked in the chart.
    """
    figure = Figure((WIDTH, 2.8), layout='constrained')
    axes = figure.subplots()
    steps = [entry['step'] for entry in entries]
    window = np.ones(min(WINDOW, len(steps)))
    counts = np.convolve(np.ones(len(steps)), window, 'same')  # fewer near both ends
    for name, color, title in ('g_loss', BLUE, 'generator'), ('d_loss', ORANGE, 'discriminator'):
        values = [entry[name] for entry in entries]
        axes.plot(steps, values, color=color, alpha=0.3, linewidth=0.8)
        axes.plot(steps, np.convolve(values, window, 'same') / counts, color=color, linewidth=1.8, label=title)
    axes.set(xlabel='step', ylabel='loss, nats', xlim=(0, steps[-1]), ylim=(0, None))
    for step, title in milestones.items():
        if 0 < step <= steps[-1]:
            axes.axvline(step, color=GRAY, linewidth=0.8, linestyle=':')
            axes.annotate(title, (step, 1), xycoords=('data', 'axes fraction'), xytext=(-3, -3),
                          textcoords='offset points', rotation=90, ha='right', va='top', color=GRAY, fontsize=7)
    axes.legend()
    return _png(figure)


@rc_context(STYLE)
def numbers(series):
    """Draws metrics over the steps, each in its own panel; floors are dashed.

    Args:
      series: {title: [(step, value, floor or None), ...]}, at least one.
    """
    figure = Figure((WIDTH, 2.3 * len(series)), layout='constrained')
    panels = figure.subplots(len(series), squeeze=False)[:, 0]
    for panel, (title, points) in zip(panels, series.items(), strict=True):
        steps, values, floors = zip(*points, strict=True)
        panel.plot(steps, values, 'o-', color=BLUE, linewidth=1.5, markersize=4)
        if floors[0] is not None:
            panel.axhline(floors[0], color=GRAY, linewidth=1, linestyle='--')
            panel.annotate('real images', (1, floors[0]), xycoords=('axes fraction', 'data'), xytext=(-2, 3),
                           textcoords='offset points', ha='right', color=GRAY, fontsize=7)
        panel.set(title=title, xlabel='step')
        if min(value for value in (*values, *floors) if value is not None) >= 0:  # kid may be negative
            panel.set_ylim(bottom=0)
    return _png(figure)


def _png(figure):
    content = io.BytesIO()
    figure.savefig(content, format='png')
    return content.getvalue()
