"""Measures how fast this machine trains the article's model, relative to how fast it multiplies matrices.

    python bench.py
    python bench.py --rounds=9

The model is the article's at full size, with batches of 128, in each precision that works here, with and without
dcgan/cpu_kernels.py. Each figure is the median of --rounds; each ratio compares measurements of the same round. Close
other programs first.
"""

from dcgan import cli
from dcgan.cli import FLAGS, flags

flags.DEFINE_integer('rounds', 5, 'Number of measurements of each figure.', lower_bound=1)


def main():
    """Measures, and prints a table."""
    from dcgan.benchmark.suite import format_table, measure
    from dcgan.device import platform_info

    figures, missing = measure(FLAGS.rounds)
    print(', '.join(f'{name} {value}' for name, value in platform_info().items()))
    print(f"the article's model, batch 128; median of {FLAGS.rounds} [min..max]")
    print('\n'.join([*format_table(figures), *(f'not measured: {sentence}' for sentence in missing)]))


if __name__ == '__main__':
    cli.run(main, '--rounds=9', 'stopped; the measurement is incomplete')
