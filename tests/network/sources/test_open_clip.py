"""Image towers of open_clip: the tags of their weights, and how images are prepared."""

from __future__ import annotations


def test_tags_of_open_clip_are_those_of_its_activation_function() -> None:
    from kdsspark.network.sources import open_clip  # takes a second

    assert "openai" not in open_clip.published("ViT-B-32")
    assert {"pretrained", "laion2b_s34b_b79k"} < set(open_clip.published("ViT-B-32"))
    assert "openai" in open_clip.published("ViT-B-32-quickgelu")
    openai = open_clip.preprocessing("ViT-B-32", "laion2b_s34b_b79k", "")
    assert (openai.resize, openai.crop, openai.interpolation) == (224, 224, "bicubic")
