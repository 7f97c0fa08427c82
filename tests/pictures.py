"""Images to test with."""

import imageio.v3 as imageio
import numpy as np


def random_image(seed, height=218, width=178):
    return np.random.RandomState(seed).randint(0, 256, [height, width, 3]).astype(np.uint8)


def content_of(source):
    """Returns {name: content} of a Source's images: bytes, or the UserError that says why they cannot be read."""
    return dict(source.images())


def write_images(folder, count, height=24, width=20, suffix='.png'):
    """Writes that many images of noise, numbered from 1, into a folder; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        imageio.imwrite(folder / f'{number:06d}{suffix}', random_image(number, height, width))
    return folder
