"""From a checkpoint to pictures: its generator, population statistics, seeds, and what is drawn."""

BATCH_NORMS = ('population', 'batch', 'moving')
WEIGHTS = ('auto', 'trained', 'ema')
PRETRAINED = ('demo',)  # the generators in data/; the first one is the default
EXPORT_SUFFIXES = {'saved_model': '', 'onnx': '.onnx', 'tflite': '.tflite', 'npz': '.npz'}  # by format
VIDEO_SUFFIXES = ('.gif', '.mp4')
