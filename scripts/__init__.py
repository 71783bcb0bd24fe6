"""What `make` calls. Those in Python are modules, so that tests can call their parts: `python -m scripts.deb`."""
