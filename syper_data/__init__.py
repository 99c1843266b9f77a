"""syper-data: make, audit, publish and use synthetic periocular image data."""

__version__ = "0.1.0"
