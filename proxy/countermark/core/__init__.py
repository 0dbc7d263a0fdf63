"""The words of the house: errors, target, request, grant, picture, events.

Everything here is a value or an error. Nothing here does I/O, reads a clock or draws a random number.
"""
