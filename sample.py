"""Draws faces from a checkpoint.

    python sample.py                                                             # a grid, from the pretrained generator
    python sample.py --model_dir=runs/demo_faces                                 # from the newest checkpoint of a run
    python sample.py --model_dir=runs/demo_faces --checkpoint=all --out=grids/   # from each checkpoint
    python sample.py --num_images=1000 --out=faces/                              # a file for each face
    python sample.py --seeds=7,100-163                                           # the faces of these seeds
    python sample.py --interpolate=7,100,31 --out=walk.gif
    python sample.py --arithmetic="mean(7,9,12) - mean(3,4) + mean(20,21)"
    python sample.py --project=photo.jpg --out=photo.png                         # the nearest face; saves its latent
    python sample.py --interpolate=photo.npy,7                                   # walk from it
    python sample.py --model_dir=runs/demo_faces --film=grids                    # how training went
    python sample.py --neighbours=5                                              # the nearest training images
    python sample.py --checkpoint=reference/end.ckpt                             # one that TensorFlow 1 wrote

A seed is one face, whatever is drawn with it; the file of a saved latent may stand for one. The architecture is read
from the checkpoint; no flag of training is needed again.
"""

from dcgan import cli
from dcgan.cli import FLAGS, flags
from dcgan.files import define_path

cli.define_generator_flags('latest, best (by train.py --evaluate_steps), a step, all (a picture for each that is '
                           'kept), or the path of a checkpoint.')
cli.define_data_flags()
cli.define_batch_flags()
define_path('out', None, 'A picture (.png; for walks and films also .gif or .mp4), or a folder, a name without suffix, '
            'for a file per face or, with --checkpoint=all, a grid per checkpoint. Default: a picture in --model_dir '
            'or, without a run, in the current folder.')
flags.DEFINE_bool('overwrite', False, 'Replace existing files.')
flags.DEFINE_integer('num_images', None, 'Number of faces; their seeds count up from --seed. Default: the cells of '
                     '--grid, or 64; with --neighbours, 8.', lower_bound=1)
flags.DEFINE_integer('seed', None, 'First seed, unless --seeds names them. Default: 0.', lower_bound=0)
flags.DEFINE_string('seeds', None, 'Seeds of the faces, or files of saved latents, e.g. 7,100-163,photo.npy.')
flags.DEFINE_string('grid', None, 'Rows x columns, e.g. 8x8. Default: about square.')
flags.DEFINE_integer('scale', 1, 'How many times to enlarge the images, each by itself, by Lanczos\'s filter.',
                     lower_bound=1, upper_bound=32)
flags.DEFINE_string('interpolate', None, 'Walk between the faces of these seeds or saved latents, e.g. 7,100,31.')
flags.DEFINE_integer('frames', 16, 'Images of each walk, from one seed to the next.', lower_bound=2)
flags.DEFINE_string('arithmetic', None, 'Sum of latents, e.g. "mean(7,9,12) - mean(3,4) + photo.npy"; spaces '
                    'around a file.')
define_path('project', None, 'Find the face that is nearest to this photo. Its latent is saved beside the picture, as '
            '.npy.')
flags.DEFINE_enum('film', None, ['checkpoints', 'grids'], 'Film of training: the same faces from all checkpoints, or '
                  'the grids that the run drew.')
flags.DEFINE_integer('neighbours', None, 'Show this many of the nearest training images beside each face.',
                     lower_bound=1)
cli.exclude('interpolate', 'arithmetic', 'project', 'film', 'neighbours')
cli.exclude('seeds', 'num_images')
cli.exclude('seeds', 'seed')


def main():
    """Draws what the flags say."""
    from dcgan.sampling.sample import sample  # loads TensorFlow

    sample(FLAGS, {name for name in FLAGS if FLAGS[name].present})


if __name__ == '__main__':
    cli.run(main, '--model_dir=DIR', 'stopped; nothing is half-written')
