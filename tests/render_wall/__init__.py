"""Tests of the render wall: real processes, real signals, real sandbox."""
