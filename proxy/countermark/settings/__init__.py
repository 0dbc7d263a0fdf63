"""The settings: what can be said (`model`), how a file is read (`load`), and the page that is made of it (`reference`)."""
