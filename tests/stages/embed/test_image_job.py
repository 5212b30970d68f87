"""What tasks share that put images through a network: weights, sizes of passes, reading ahead."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kdsspark.config import Embed, Preprocessing
from kdsspark.images import decoding
from kdsspark.images.properties import Properties
from kdsspark.output.output import Output
from kdsspark.stages.embed import image_job
from kdsspark.stages.embed.image_job import ImageJob
from tests.inprocess import Task


def test_weights_are_fetched_once_a_machine(
    job: ImageJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "tmp"
    there.mkdir()
    named = tempfile.NamedTemporaryFile
    here = SimpleNamespace(gettempdir=lambda: str(there), NamedTemporaryFile=named)
    monkeypatch.setattr(image_job, "tempfile", here)
    name = job.output.weights("net", "0123")
    for output in (job.output, Output.at(f"memory://{tmp_path.name}/out")):
        with output.create(name) as file:
            file.write(b"tensors")
        remote = replace(job, output=output, weights=name)
        paths = [image_job._local_weights(remote) for _ in range(2)]
        assert [path.read_bytes() for path in paths] == [b"tensors"] * 2
        if output.is_local:
            assert paths == [Path(output.path(name))] * 2
    assert paths == [there / f"kdsspark-{os.getuid()}" / "net-0123.safetensors"] * 2
    assert len(list(paths[0].parent.iterdir())) == 1  # nothing half-fetched
    with output.create(name) as file:
        file.write(b"others")  # which never happens: the name has the digest of the tensors
    assert image_job._local_weights(remote).read_bytes() == b"tensors"


@pytest.mark.parametrize(
    ("chosen", "cpus", "device", "batch", "call"),
    [
        (7, 1, "cpu", 7, 28),  # as configured, four passes for each CPU
        (None, 2, "cpu", 5, 40),
        (None, 1, "cuda:1", 5, 125),  # on a GPU as many passes as 128 images make
    ],
)
def test_a_pass_has_the_same_size_whatever_the_memory_and_the_cpus(
    job: ImageJob,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    chosen: int | None,
    cpus: int,
    device: str,
    batch: int,
    call: int,
) -> None:
    from kdsspark.network import batches

    monkeypatch.setattr(batches, "batch_images", lambda *_: 5)
    monkeypatch.setattr(image_job.gpus, "device", lambda: device)
    task.n_cpus = cpus
    found = image_job.batch_and_call(replace(job, settings=Embed(batch_images=chosen)))
    assert found == (batch, call)


@pytest.mark.parametrize(
    ("settings", "cpus", "batch", "threads", "ahead"),
    [({}, 1, 1, 2, 4), ({}, 6, 1, 6, 12), ({}, 1, 16, 2, 32), ({"decode_threads": 3}, 8, 1, 3, 6)],
)
def test_so_many_images_are_read_ahead_that_the_next_pass_finds_its_own(
    job: ImageJob,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, int],
    cpus: int,
    batch: int,
    threads: int,
    ahead: int,
) -> None:
    made: list[tuple[Any, ...]] = []

    def loader(*arguments: Any) -> Any:
        made.append(arguments)
        return lambda uris: (uri for uri in uris)

    monkeypatch.setattr(image_job, "Loader", loader)
    task.n_cpus = cpus
    limited = replace(job, settings=Embed(image_seconds=9, **settings))
    with limited.load(["a", "b"], None, batch, "clock") as loaded:  # type: ignore[arg-type]
        assert list(loaded) == ["a", "b"]
    assert made == [(image_job.decoding.read, None, threads, ahead, 9, "clock")]


def test_images_are_resized_for_a_network_or_become_numbers_at_once(job: ImageJob) -> None:
    size = Preprocessing(resize=40, crop=32, interpolation="bicubic")
    of_network = replace(job.spec, preprocessing=size)
    assert image_job.decode_of(of_network) == decoding.Decoder(40, "bicubic")
    assert image_job.decode_of(replace(job.spec, architecture="pixels")) == Properties()


def test_where_there_is_no_network_the_numbers_are_stacked(job: ImageJob) -> None:
    pixels = replace(job, spec=replace(job.spec, architecture="pixels"))
    extract = image_job.extractor(pixels)
    images = [np.full(3, n, np.float32) for n in range(4)]
    assert image_job.extractor(pixels) == extract
    (found,) = extract(images).items()  # type: ignore[arg-type]
    assert found[0] == job.spec.layers[0].name
    np.testing.assert_array_equal(found[1], [[n] * 3 for n in range(4)])
    assert len(set(image_job.batch_and_call(pixels))) == 1  # nothing is passed in batches
