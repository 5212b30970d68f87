"""The parts of ``benchmarks/gpu.py``; each module has its steps in ``steps``."""
