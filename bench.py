"""Measures how fast this machine trains the article's model, relative to how fast it multiplies matrices.

    python bench.py
    python bench.py --rounds=9 --json=speed.json

The model is the article's at full size, with batches of 128, in each precision that works here, with and without
dcgan/cpu_kernels.py. Each figure is the median of --rounds; each ratio compares measurements of the same round. Close
other programs first.
"""

from absl import flags

from dcgan import cli
from dcgan.files import define_path, require_writable, write_output

FLAGS = flags.FLAGS

flags.DEFINE_integer('rounds', 5, 'Number of measurements of each figure.', lower_bound=1)
define_path('json', None, 'Also write all measurements to this JSON file, replacing it.')


def main():
    """Measures, prints a table, and writes --json."""
    from dcgan.benchmark.suite import describe_platform, format_table, measure, to_json

    path = FLAGS.json
    if path is not None:
        require_writable(path, 'json')
    figures, missing = measure(FLAGS.rounds)
    print(', '.join(f'{name} {value}' for name, value in describe_platform().items()))
    print(f"the article's model, batch 128; median of {FLAGS.rounds} [min..max]")
    print('\n'.join([*format_table(figures), *(f'not measured: {sentence}' for sentence in missing)]))
    if path is not None:
        write_output(path, to_json(figures, missing), 'json')


if __name__ == '__main__':
    cli.run(main, '--json=PATH', 'stopped; the measurement is incomplete')
