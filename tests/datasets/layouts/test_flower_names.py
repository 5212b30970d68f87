import torchvision

from kdsspark.datasets.layouts.flower_names import FLOWER_NAMES


def test_the_names_are_those_of_torchvision() -> None:
    assert list(FLOWER_NAMES) == torchvision.datasets.Flowers102.classes
    assert len(set(FLOWER_NAMES)) == 102
