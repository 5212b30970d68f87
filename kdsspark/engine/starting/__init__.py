"""How Spark starts on the driver: in what environment, with what settings, and what fails then."""
