"""Results as text."""

FORMATS = {'swd': '.2f', 'msssim': '.4f', 'fid': '.2f', 'kid': '.5f'}
TRAINED_ON = {True: ', the training images', False: ', not the training images', None: ''}


def number(result, value):
    """Returns the value or floor of a Result as text."""
    kind = result.metric.rstrip('0123456789k')
    return '-' if value is None else f'{value:{FORMATS[kind]}}'


def samples(result):
    """Returns the sample size of a Result as text."""
    return f'{result.protocol["samples"]:,} {"pairs" if result.metric.startswith("msssim") else "images"}'


def format_table(results):
    """Returns the Results of one checkpoint as text: the protocol, a line for each Result, what each metric is."""
    protocol = results[0].protocol
    lines = [
        f'checkpoint  {protocol["checkpoint"]}'
        + ('' if protocol['step'] is None else f', step {protocol["step"]:,}'),
        f'faces       from seed {protocol["seed"]} on, {protocol["size"]}x{protocol["size"]}, batch_norm '
        f'{protocol["batch_norm"]}, weights {protocol["weights"]}',
        f'real        {protocol["real_images"]:,} images of {protocol["data"]}'
        f'{TRAINED_ON[protocol["are_trained_on"]]}',
        f'crop        {protocol["crop"]}; resized by {protocol["resizer"]}',
        f'{"metric":<16} {"samples":>14} {"value":>10} {"floor":>10}']
    for result in results:
        lines.append(f'{f"{result.metric} {result.part}":<16} {samples(result):>14} '
                     f'{number(result, result.value):>10} {number(result, result.floor):>10}')
    for metric, how in {result.metric: result.protocol['how'] for result in results}.items():
        lines.append(f'{metric}: {how}')
    return '\n'.join([*lines, *notes(results)])


def notes(results):
    """Returns sentences on how to read the Results of one checkpoint."""
    sentences = ['floor: the same metric between two disjoint halves of the real images']
    if without := ', '.join(dict.fromkeys(result.metric for result in results if result.floor is None)):
        sentences.append(f'no floor for {without}: a floor needs twice as many real images')
    if foreign := ', '.join(result.metric for result in results if result.protocol.get('inception_is_known') is False):
        sentences.append(f'{foreign}: not the Inception graph of published numbers; do not compare with them')
    return sentences
