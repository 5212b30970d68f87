"""Part c: from files to pixels, beside a card; and how far other decoders move the features."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.functional import resize

from gpu_parts.bench import Bench, Pixels, errors
from gpu_parts.report import Step, Values
from kdsspark.images import decoding, isolation

_PASS = 64  # photographs decoded in one call of the card's JPEG engine


def steps(bench: Bench) -> Iterator[Step]:
    """Rates first, then differences."""
    number = 16 if bench.quick else 2048
    pillow = partial(decoding.decode, short_side=bench.resize)
    cores = bench.threads
    yield "read", partial(_rate, bench, number, len, cores)
    yield f"Pillow, {cores} threads", partial(_rate, bench, number, pillow, cores)
    yield "card: decode and resize", partial(_card_rate, bench, number)
    yield "card: decode alone", partial(_card_rate, bench, number, resized=False)
    yield f"Pillow, {cores} processes", partial(_isolated_rate, bench, number, cores)
    for threads in sorted({1, max(1, cores // 4), max(1, cores // 2), 2 * cores}):
        some = max(1, number * threads // cores // 2)
        yield f"Pillow, {threads} threads", partial(_rate, bench, some, pillow, threads)
    yield f"torchvision, {cores} threads", partial(_rate, bench, number, to_tensor, cores)
    torchvision = partial(torchvision_pixels, short_side=bench.resize)
    name = f"torchvision and its resizing, {cores} threads"
    yield name, partial(_rate, bench, number, torchvision, cores)
    compared = 2 if bench.quick else 8
    expected, data = bench.pixels(compared), bench.encoded(compared)
    yield (
        "moved by torchvision",
        lambda: _moved(bench, expected, [torchvision(one) for one in data]),
    )
    yield (
        "moved by Pillow, resized on the card",
        lambda: _moved(bench, expected, [_pillow_then_card(bench, one) for one in data]),
    )
    yield (
        "moved by the card, resized by torchvision",
        lambda: _moved(bench, expected, _card_then_host(bench, data)),
    )
    yield "moved by the card", lambda: _moved(bench, expected, on_card(bench, data))


# -- decoders --------------------------------------------------------------------------------------


def encoded(data: bytes) -> Tensor:
    """The bytes as torchvision takes them."""
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def to_tensor(data: bytes) -> Tensor:
    """Decoded by torchvision, on the CPU."""
    return decode_jpeg(encoded(data), mode=ImageReadMode.RGB)


def torchvision_pixels(data: bytes, short_side: int) -> Pixels:
    """Decoded and resized by torchvision on the CPU; bilinear with antialias, as Pillow does."""
    small = resize(to_tensor(data), [short_side], antialias=True)
    return small.permute(1, 2, 0).contiguous().numpy()


def decoded_on_card(bench: Bench, data: Sequence[bytes], short_side: int | None) -> list[Tensor]:
    """uint8 [channels, height, width] on the card; photographs of one size are resized at once."""
    images = decode_jpeg([encoded(one) for one in data], ImageReadMode.RGB, device=bench.device)
    if short_side is None:
        return images
    if len({image.shape for image in images}) == 1:
        return list(resize(torch.stack(images), [short_side], antialias=True))
    return [resize(image, [short_side], antialias=True) for image in images]


def on_card(bench: Bench, data: Sequence[bytes]) -> list[Pixels]:
    """Decoded and resized on the card."""
    return [_host(image) for image in decoded_on_card(bench, data, bench.resize)]


def _card_then_host(bench: Bench, data: Sequence[bytes]) -> list[Pixels]:
    images = decoded_on_card(bench, data, None)
    return [_host(resize(image.cpu(), [bench.resize], antialias=True)) for image in images]


def _pillow_then_card(bench: Bench, data: bytes) -> Pixels:
    whole = decoding.decode(data, min(to_tensor(data).shape[1:]))  # as it is: nothing is resized
    image = torch.from_numpy(whole).permute(2, 0, 1).to(bench.device)
    return _host(resize(image, [bench.resize], antialias=True))


def _host(image: Tensor) -> Pixels:
    return image.permute(1, 2, 0).contiguous().cpu().numpy()


# -- rates -----------------------------------------------------------------------------------------


def _rate(bench: Bench, number: int, call: Callable[[bytes], object], threads: int) -> Values:
    """Files read and handed to ``call`` by so many threads."""
    files = bench.files(number)

    def one(path: str) -> None:
        call(decoding.read(path))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, files[: 2 * threads]))  # starts threads, and processes behind them
        start = time.perf_counter()
        list(pool.map(one, files))
        seconds = time.perf_counter() - start
    size = Path(files[0]).stat().st_size
    return {
        "images/s": len(files) / seconds,
        "ms a thread": 1e3 * seconds * threads / len(files),
        "bytes": size,
    }


def _isolated_rate(bench: Bench, number: int, processes: int) -> Values:
    with isolation.decoder(decoding.Decoder(bench.resize)) as decode:
        return _rate(bench, number, decode, processes)


def _card_rate(bench: Bench, number: int, resized: bool = True) -> Values:
    """Bytes that lie in memory, decoded a pass at a time."""
    data = bench.encoded(min(number, _PASS))
    short_side = bench.resize if resized else None
    seconds = bench.seconds(lambda: decoded_on_card(bench, data, short_side), 1.5)
    return {"images/s": len(data) / seconds, "GiB": bench.peak_gib()}


# -- differences -----------------------------------------------------------------------------------


def _moved(bench: Bench, expected: Sequence[Pixels], found: Sequence[Pixels]) -> Values:
    """Pixels in steps of 255, and the float32 features of ten crops."""
    gaps = [np.abs(a.astype(int) - b) for a, b in zip(expected, found, strict=True)]
    extractor = bench.extractor(bench.vgg, "float32")
    moved = errors(extractor(found), extractor(expected))
    pixels = {
        "pixels_mean": float(np.mean([gap.mean() for gap in gaps])),
        "pixels_max": int(max(gap.max() for gap in gaps)),
    }
    return {**pixels, **moved}
