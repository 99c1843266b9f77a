"""How good a generator's images are, measured against real ones.

``evaluate`` reads images (``images``), turns them into feature vectors (``judge``), reduces those
to figures (``figures``) and to the question whether training images were copied (``memorisation``),
and writes ``evaluation.json``, pictures and a page (``page``). ``release`` makes a release folder
of a training run and its evaluation.
"""
