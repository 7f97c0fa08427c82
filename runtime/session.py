"""What a session runs on."""

import os

import tensorflow.compat.v1 as tf


def session_config():
    """Returns the ConfigProto of every session: on a GPU, memory is taken as it is needed, not all at once."""
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    return config


def describe_device():
    """Returns in words what the graph will run on: the first GPU that TensorFlow found, or else the processor."""
    gpus = tf.config.list_physical_devices('GPU')
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get('device_name', 'GPU')
        return f'{name} ({gpus[0].name})'
    return (f'CPU, {os.cpu_count()} cores; TensorFlow found no GPU (TF_CPP_MIN_LOG_LEVEL=0 in the environment shows '
            'where it looked)')
