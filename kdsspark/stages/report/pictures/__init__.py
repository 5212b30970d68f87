"""The pictures of the report: which are wanted, the cutting and projecting, the sheets."""
