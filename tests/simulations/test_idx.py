"""IDX files: what was written comes back, and each defect has its line."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline_lib.errors import FetchError
from pipeline_lib.simulations.idx import read_idx
from tests.simulations.idx_files import packed

GOOD = packed(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
ZIPPED = gzip.compress(GOOD, mtime=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)), compressed=st.booleans())
def test_images_come_back_as_they_were_written(tmp_path, images, compressed):
    content = packed(images)
    (tmp_path / "images").write_bytes(gzip.compress(content) if compressed else content)
    found = read_idx(tmp_path / "images")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no IDX file: it begins with nothing"),
        (b"\x89PNG and more", "is no IDX file: it begins with 89 50 4e 47"),
        (GOOD[:3], "is no IDX file: it begins with 00 00 08"),
        (b"\0\0\x0d\x03" + GOOD[4:], "holds values of type 0x0d, not unsigned bytes, 0x08"),
        (packed(np.zeros(5, dtype=np.uint8)), "has 1 axes, not image, row and column"),
        (GOOD[:15], "ends within its header"),
        (packed(np.zeros((0, 28, 28), dtype=np.uint8)), "holds no images: its axes are 0 x 28 x 28"),
        (GOOD[:-1], "says 2 x 3 x 4, 24 values, and holds 23"),
        (GOOD + b"\0", "says 2 x 3 x 4, 24 values, and holds 25"),
        (GOOD[:4] + b"\xff" * 12, "4294967295 x 4294967295 x 4294967295, "),
        (ZIPPED[:-9], "cannot be read: Compressed file ended"),
        (ZIPPED[:10] + b"\xff" * 20, "cannot be read: Error -3"),
        (ZIPPED[:-8] + bytes([ZIPPED[-8] ^ 1]) + ZIPPED[-7:], "cannot be read: CRC check failed"),
    ],
)
def test_each_defect_has_its_line(tmp_path, content, says):
    (tmp_path / "images").write_bytes(content)
    with pytest.raises(FetchError) as caught:
        read_idx(tmp_path / "images")
    assert caught.value.line.startswith(f"{tmp_path / 'images'}: ")
    assert says in caught.value.line
    assert caught.value.fix


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FetchError, match="nowhere: cannot be read"):
        read_idx(tmp_path / "nowhere")
