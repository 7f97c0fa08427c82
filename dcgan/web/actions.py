"""What the page's events do: from the values of components to values of components."""

import importlib.util
import random
import sys
import tempfile
import traceback
import zlib
from pathlib import Path

import gradio as gr
import numpy as np

from dcgan.errors import UserError
from dcgan.sampling import draw, pictures
from dcgan.sampling.latents import MAX_SEED, SavedLatent, encode_latent, format_seeds, parse_seeds, parse_sum
from dcgan.sampling.projection import project, read_photo

MAX_FACES, MAX_PIXELS, MAX_PICKED = 256, 1 << 22, 64
SCALE, FRAMES = 3, 12  # of faces to look at; of a film, from face to face
MAX_DECODING_MEMORY, MAX_DECODING_SECONDS = 1 << 29, 10  # of a photo
FIRST_SEEDS = '0-63'
PHOTO = 'photo'  # names the face nearest to the visitor's photo where a seed may be
FIELDS = ['seeds', 'picked', 'from', 'to', 'sum', 'face', 'step', 'weights']  # of the address, ?seeds=0-63&step=7440
FILM_SUFFIXES = ['.mp4', '.gif'] if importlib.util.find_spec('av') else ['.gif']  # the first is shown


class Actions:
    """The events of a page that shows an Explorer.

    A gr.Error says what visitors can mend; what they cannot goes to standard error, as it may hold paths.
    """

    def __init__(self, explorer):
        """Makes a folder for files to download, which is removed when the process ends."""
        self._explorer, self._folder = explorer, tempfile.TemporaryDirectory(prefix='dcgan-faces-')
        self._max_faces = max(1, min(MAX_FACES, MAX_PIXELS // explorer.size ** 2))

    def read_address(self, request: gr.Request):
        """Returns the values of FIELDS in the address that a visitor opened."""
        asked, steps = dict(request.query_params), list(map(str, self._explorer.steps))
        step, weights = asked.get('step', steps[self._explorer.newest]), asked.get('weights')
        if step not in steps:
            gr.Warning(f'There is no checkpoint of step {step:.20}; these faces are of the newest one.')
        return [asked.get('seeds', FIRST_SEEDS), *(asked.get(name, '') for name in FIELDS[1:6]),
                steps.index(step) if step in steps else self._explorer.newest,
                weights if weights in self._explorer.weights else self._explorer.weights[0]]

    def faces(self, seeds, at, weights):
        """Draws the faces of seeds, e.g. 7,100-163; returns them, a PNG of all, and the checkpoint in words."""
        seeds = _parsed(parse_seeds, seeds, self._max_faces)
        images = _drawn(lambda: self._explorer.generator(at, weights).images(seeds))
        grid = self._file('faces', at, '.png', pictures.grid(images, *pictures.layout(len(seeds))))
        return list(zip(images, map(str, seeds), strict=True)), grid, draw.moment(
            self._explorer.steps[at], self._explorer.epoch_steps)

    def turn(self, pages, seeds):
        """Returns the next seeds (1), the previous ones (-1) or others at random (0), as many as now."""
        seeds = _parsed(parse_seeds, seeds, self._max_faces)
        shift = pages * len(seeds) if pages else random.randrange(1 << 31) - int(seeds.min())
        return format_seeds(seeds + min(max(shift, -int(seeds.min())), MAX_SEED - int(seeds.max())))

    def pick(self, picked, event: gr.SelectData):
        """Picks the chosen face, or removes it from the picked ones; says which."""
        seed, seeds = event.value['caption'], list(map(str, _seeds(picked)))
        is_picked = seed in seeds
        seeds = [other for other in seeds if other != seed] if is_picked else [*seeds, seed]
        said = f'Face {seed} {"removed" if is_picked else "picked"}. Picked: {len(seeds)}.'
        return ','.join(seeds), gr.Gallery(selected_index=None), said

    def picked(self, picked, at, weights):
        """Draws the picked faces, enlarged."""
        seeds = _seeds(picked)
        images = _drawn(lambda: self._explorer.generator(at, weights, SCALE).images(np.array(seeds))) if seeds else []
        return list(zip(images, map(str, seeds), strict=True))

    def between(self, start, end, percent, picked, photo, at, weights):
        """Draws the face on the way from one to another; by default, from the last but one picked to the last."""
        points = np.array([_point(start, picked, photo, -2), _point(end, picked, photo, -1)])
        return None if None in points else _drawn(
            lambda: draw.between(self._explorer.generator(at, weights, SCALE), points, percent))

    def result(self, total, picked, at, weights):
        """Draws a sum of latents; by default the mean of the picked faces, as a sum of several draws no face."""
        text = total.strip() or (f'mean({picked})' if picked.strip() else '')
        terms = _parsed(parse_sum, text, MAX_FACES) if text else []
        return _drawn(lambda: draw.result(self._explorer.generator(at, weights, SCALE), terms)) if terms else None

    def film(self, subject, picked, seeds, at, weights, progress=gr.Progress(track_tqdm=True)):  # noqa: B008
        """Makes a film from each picked face to the next, or of the shown ones in training, in all formats."""
        is_walk, explorer = subject == 'picked', self._explorer
        points = np.array(_seeds(picked)) if is_walk else _parsed(parse_seeds, seeds, self._max_faces)
        if is_walk and len(points) < 2:
            raise gr.Error('Pick two faces or more.', print_exception=False)
        film = _drawn(lambda: draw.walk_film(explorer.generator(at, weights, SCALE), points, FRAMES) if is_walk else
                      draw.film_of_checkpoints(explorer.generators(weights), points, *pictures.layout(len(points)),
                                               explorer.epoch_steps))
        files = [self._file(subject, at, suffix, pictures.film(*film, suffix)) for suffix in FILM_SUFFIXES]
        return files[0], files

    def nearest(self, face, picked, photo, at, weights, progress=gr.Progress(track_tqdm=True)):  # noqa: B008
        """Shows the training images nearest to a face, by default the last one picked; and their distances as text."""
        point = _point(face, picked, photo, -1)
        if point is None:
            raise gr.Error('Pick a face first, or type its seed.', print_exception=False)
        content, lines = _drawn(lambda: self._explorer.nearest(at, weights, point))
        return self._file('nearest', at, '.png', content), lines[0]

    def project(self, encoded, at, weights, progress=gr.Progress(track_tqdm=True)):  # noqa: B008
        """Finds the face nearest to a photo; returns a picture of both, a file with its latent, and that."""
        if encoded is None:
            return None, gr.DownloadButton(visible=False), None
        generator = _drawn(lambda: self._explorer.generator(at, weights))
        photo = _parsed(read_photo, encoded, generator.checkpoint, MAX_DECODING_MEMORY, MAX_DECODING_SECONDS)
        found = _drawn(lambda: project(generator, photo))
        latent_file = self._file(PHOTO, at, '.npy', encode_latent(found.latent))
        latent = SavedLatent(Path(f'{PHOTO}-{zlib.crc32(found.latent):08x}.npy'), found.latent)  # no two have one name
        return (self._file(PHOTO, at, '.png', draw.projection(found, PHOTO, SCALE)),
                gr.DownloadButton(value=latent_file, visible=True), latent)

    def _file(self, kind, at, suffix, content):
        """Writes a file, which Gradio copies before the next one is written; returns its path."""
        path = Path(self._folder.name, f'{kind}-step-{self._explorer.steps[at] or 0:07d}{suffix}')
        path.write_bytes(content)
        return str(path)


def _seeds(text):
    """Returns the seeds of a field, a list; [] if it is empty."""
    return list(dict.fromkeys(_parsed(parse_seeds, text, MAX_PICKED).tolist())) if text.strip() else []


def _point(text, picked, photo, place):
    """Returns the seed or SavedLatent of a field; of an empty one, the picked seed at an index; None without one."""
    if text.strip() == PHOTO:
        if photo is None:
            raise gr.Error('Choose a photo first.', print_exception=False)
        return photo
    seeds = _parsed(parse_seeds, text, 1).tolist() if text.strip() else _seeds(picked)
    return seeds[place if len(seeds) > 1 else -1] if len(seeds) >= -place or text.strip() else None


def _parsed(parse, *arguments):
    try:
        return parse(*arguments)
    except UserError as error:
        raise gr.Error(f'{error}.', print_exception=False) from error


def _drawn(draw):
    try:
        return draw()
    except Exception as error:  # whatever it is, the page must go on
        print('cannot draw:', error if isinstance(error, UserError) else traceback.format_exc(), file=sys.stderr)
        raise gr.Error('The server could not draw this. Its log says why.', print_exception=False) from error
