from kdsspark.api.measuring import measure as measure
from kdsspark.api.selector import KSSelector as KSSelector

__version__: str
