"""Face photo to two aligned periocular crops (Kolf et al. 2023), and eye images to one iris scale.

In: an image source. Out: a dataset directory of kind ``crops`` with a list of what gave no crop.
Start at :func:`~syper_data.cropping.crop.crop`. ``geometry`` is the alignment and the one
resampling, ``detector`` and ``landmark_file`` say where eyes are, ``iris`` finds an iris without a
face, ``worker`` makes one shard, ``manifest`` is the plan that the folder holds.
"""
