"""The page as a Hugging Face Space (docs/explore-and-export.md): it draws from the pretrained generator."""

from dcgan import configure
from dcgan.files import CACHE_DIR
from dcgan.web.explorer import Explorer
from dcgan.web.server import launch

if __name__ == '__main__':
    configure()
    launch(Explorer(None, 'auto', None, CACHE_DIR)).block_thread()
