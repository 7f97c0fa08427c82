"""Results as a person reads them."""

FORMS = {'swd': '.2f', 'msssim': '.4f', 'fid': '.2f', 'kid': '.5f'}
TRAINED_ON = {True: ', those that it was trained on', False: ', not those that it was trained on', None: ''}


def number(result, value):
    """Returns a value or floor of a Result as text."""
    kind = result.metric.rstrip('0123456789k')
    return '-' if value is None else f'{value:{FORMS[kind]}}'


def samples(result):
    """Returns of how many images, or pairs of them, a Result is, as text."""
    return f'{result.protocol["samples"]:,} {"pairs" if result.metric.startswith("msssim") else "images"}'


def table(results):
    """Returns the Results of one checkpoint as text: what they are of, a line for each, what each metric is."""
    of = results[0].protocol
    lines = [
        f'checkpoint  {of["checkpoint"]}' + ('' if of['step'] is None else f', step {of["step"]:,}'),
        f'faces       from seed {of["seed"]} on, {of["size"]}x{of["size"]}, batch_norm {of["batch_norm"]}, weights '
        f'{of["weights"]}',
        f'real        {of["real_images"]:,} images of {of["data"]}{TRAINED_ON[of["are_trained_on"]]}',
        f'crop        {of["crop"]}; resized by {of["resizer"]}',
        f'{"metric":<16} {"samples":>14} {"value":>10} {"floor":>10}']
    for result in results:
        lines.append(f'{f"{result.metric} {result.part}":<16} {samples(result):>14} '
                     f'{number(result, result.value):>10} {number(result, result.floor):>10}')
    for metric, how in {result.metric: result.protocol['how'] for result in results}.items():
        lines.append(f'{metric}: {how}')
    return '\n'.join([*lines, *notes(results)])


def notes(results):
    """Returns what else is to be known of Results of one checkpoint, in sentences."""
    said = ['floor: the same between two halves of the real images, which share none']
    if lacking := ', '.join(dict.fromkeys(result.metric for result in results if result.floor is None)):
        said.append(f'no floor for {lacking}: that takes twice as many real images')
    if foreign := ', '.join(result.metric for result in results if result.protocol.get('inception_is_known') is False):
        said.append(f'{foreign}: not by the Inception graph that others measured by, so nothing published compares')
    return said
