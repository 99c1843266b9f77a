"""Occlusions drawn over images, seeded: over eyes glasses, lashes, hair, a closed lid, glare, shapes; over
faces masks.

In: pixels and a seed; out: pixels (``image``). ``config`` says which and how often, ``eyes`` and ``faces`` hold
one function a kind, ``drawing`` what they draw with. ``occlude`` makes a data set of an image source.
"""
