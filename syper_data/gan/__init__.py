"""StyleGAN2-ADA: from crops or a published pickle to a generator file, and from keys to images.

Networks: ``config``, ``layers``, ``generator``, ``discriminator``. Training: start at ``training``
(``recipe``, ``training_run``, ``projected``, ``feature_net``, ``augment``). Files: ``generator_file``,
``bundled``. Import of published pickles: start at ``convert``; ``published/`` reads them without
executing anything. Images: start at ``synthesis``.
"""
