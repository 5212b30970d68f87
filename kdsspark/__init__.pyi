from kdsspark.api.measuring import measure as measure
from kdsspark.api.reading import read as read
from kdsspark.api.running import run as run
from kdsspark.api.selector import KSSelector as KSSelector

__version__: str
