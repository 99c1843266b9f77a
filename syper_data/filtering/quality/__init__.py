"""Image quality: one small class a measure, thresholds from real crops at a stated rate.

In: an eye crop, uint8 [h, w, 3]. Out: one number a measure, in a documented unit, and the reasons to
reject. ``measure`` is the base class (yours go beside ours with ``--measure module:Class``);
``detail``, ``light``, ``colour`` and ``eye`` hold the measures, ``measures`` the set that a spectrum
uses, ``thresholds`` what real crops allow.
"""
