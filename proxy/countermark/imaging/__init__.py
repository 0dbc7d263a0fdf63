"""What shall become of a picture, decided without touching one: operations, URL syntaxes, geometry, formats, plan."""
