"""One module a published layout: each has ``read``, which takes a request and gives folds and pictures."""
