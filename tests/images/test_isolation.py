"""A decoder that crashes takes down its own process, and one image."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdsspark.errors import ImageError
from kdsspark.images import decoding, isolation


@pytest.fixture
def png(tmp_path: Path) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    return (tmp_path / "x.png").read_bytes()


def test_it_decodes_as_images_do_and_survives_a_crash(png: bytes) -> None:
    before = set(multiprocessing.active_children())
    with isolation.decoder(decoding.Decoder(32)) as decode:
        np.testing.assert_array_equal(decode(png), decoding.decode(png, 32))
        (child,) = set(multiprocessing.active_children()) - before
        with pytest.raises(ImageError, match="UnidentifiedImageError"):
            decode(b"no image")
        os.kill(child.pid or 0, signal.SIGSEGV)
        child.join()
        with pytest.raises(ImageError) as caught:
            decode(png)
        assert (caught.value.stage, caught.value.error) == ("decode", "ChildProcessError")
        np.testing.assert_array_equal(decode(png), decoding.decode(png, 32))
        other = threading.Thread(target=decode, args=(png,))
        other.start()
        other.join()
        assert len(set(multiprocessing.active_children()) - before) == 2  # one a thread
    assert set(multiprocessing.active_children()) == before
