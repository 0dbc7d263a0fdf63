"""The settings: what can be said (`model`), how it is read (`load`), and the page that is made of it (`reference`)."""
