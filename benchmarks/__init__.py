"""Measures countermark against things that stand still: bare libvips, nginx, thumbor, and its own quiet self.

`python -m benchmarks --help` says how to run it. Every figure is a ratio or a count that was taken in one run, in
rounds that alternate between the two sides, because absolute times on a shared machine say little.
"""
