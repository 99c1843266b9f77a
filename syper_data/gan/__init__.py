"""StyleGAN2-ADA: from crops or a published pickle to a generator file, and from keys to images.

Networks: ``config``, ``layers``, ``generator``, ``discriminator``. Training: start at ``training``
(``recipe``, ``crops``, ``training_run``, ``adversary`` with ``projected`` and ``stylegan2``, ``augment``
with ``ada``, ``watch``). Files: ``generator_file``, ``bundled``. Import of published
pickles: start at ``convert``; ``published/`` reads them without executing anything. Images: start at
``synthesis``.
"""
