"""What ``import kdsspark`` offers to Python: arrays measured in process, studies, their tables."""
