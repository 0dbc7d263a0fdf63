"""Key management services that wrap the data keys of sealed keys. They are asked at a start, a reload and a rotation."""
