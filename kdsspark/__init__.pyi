from kdsspark.api.measuring import measure as measure

__version__: str
