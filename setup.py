"""The dependencies. The scripts run from the checkout: installing the project installs only its dependencies."""

from setuptools import setup

setup(
    name='dcgan-faces',
    version='0.2.0.dev0',
    description='Faces from a DCGAN: TensorFlow 1 graph code, faithful to its article, on current TensorFlow',
    license='MIT',
    python_requires='>=3.10,<3.14',
    packages=[],
    py_modules=[],
    install_requires=[
        'tensorflow>=2.16,<2.22',
        'numpy',
        'imageio>=2.28',
        'pillow>=10.1',  # imageio reads and writes with it; called directly to decode, resize and draw captions
        'absl-py',
        'tqdm',
        'filelock',
        'platformdirs',
        'matplotlib',  # compare.py draws its charts with it
        'jinja2',  # and writes its page with this
    ],
    extras_require={
        'gpu': ['tensorflow[and-cuda]>=2.16,<2.22'],
        'video': ['av'],  # MP4, by imageio
        'onnx': ['tf2onnx', 'onnx<1.19'],  # later ones fail on the ml_dtypes that TensorFlow before 2.19 takes
        'explore': ['gradio>=6.31,<7'],  # the page of explore.py
        'parquet': ['pyarrow'],  # data sets as the Hugging Face hub serves them
        'test': ['pytest', 'pytest-xdist', 'pytest-timeout', 'ruff', 'av', 'tf2onnx', 'onnx<1.19', 'onnxruntime',
                 'ai-edge-litert', 'gradio>=6.31,<7', 'selenium', 'pyarrow', 'nbclient', 'nbformat',
                 'ipykernel'],
    },
)
