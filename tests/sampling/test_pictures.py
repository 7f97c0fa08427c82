"""Captions of pictures: cut, and readable whatever a file is called."""

import numpy as np
import pytest

from dcgan.sampling import pictures

IMAGE = np.zeros([16, 16, 3], np.uint8)


@pytest.mark.parametrize('name', ['plain.jpg', 'x' * 300, '\udcc8\udccb.jpg', '人脸.jpg', 'a\x1b[31m\x00b', '\u202etxt',
                                  ''])
def test_any_name_can_be_a_caption(name):
    sheet = pictures.sheet([[(IMAGE, f'{name}\n12.3')]])
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] < 600
    assert (sheet[20:] < 128).any()  # something is written


def test_what_no_font_can_draw_is_escaped(monkeypatch):
    monkeypatch.setattr(pictures, 'CJK_FONTS', ('no such font.ttf',))
    expected = pictures.sheet([[(IMAGE, r'\u4eba\u8138.jpg')]])
    np.testing.assert_array_equal(pictures.sheet([[(IMAGE, '人脸.jpg')]]), expected)
