"""Protocols: which images are compared with which, read as published or made from labelled images."""
