"""What the commands do: the stages in order, on a configuration (driver)."""
