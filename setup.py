"""What the project needs. Its scripts run from the checkout: installing it installs these, and nothing of its own."""

from setuptools import setup

setup(
    name='dcgan-faces',
    version='0.1.0',
    description='Faces by a DCGAN: TensorFlow 1 graph code, faithful to its article, on the TensorFlow of today',
    license='MIT',
    python_requires='>=3.10,<3.14',
    packages=[],
    py_modules=[],
    install_requires=[
        'tensorflow>=2.16,<2.22',
        'numpy',
        'imageio>=2.28',
        'pillow>=10.1',  # what imageio reads and writes with; called directly to resize and for captions
        'absl-py',
        'tqdm',
        'filelock',
        'platformdirs',
    ],
    extras_require={
        'gpu': ['tensorflow[and-cuda]>=2.16,<2.22'],
        'report': ['matplotlib', 'jinja2'],  # what compare.py draws and writes its page with
        'video': ['av'],  # MP4, by imageio
        'onnx': ['tf2onnx', 'onnx<1.19'],  # later ones fail on the ml_dtypes that TensorFlow before 2.19 takes
        'explore': ['nicegui>=3.5'],  # the page of explore.py
        'parquet': ['pyarrow'],  # data sets as the Hugging Face hub serves them
        'test': ['pytest', 'pytest-xdist', 'ruff', 'av', 'matplotlib', 'jinja2', 'tf2onnx', 'onnx<1.19', 'onnxruntime',
                 'ai-edge-litert', 'nicegui>=3.5', 'selenium', 'pyarrow', 'nbclient', 'nbformat',
                 'ipykernel'],
    },
)
