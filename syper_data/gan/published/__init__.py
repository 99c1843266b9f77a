"""Published StyleGAN2-ADA pickles, read without executing, compiling or importing anything they name.

``restricted_pickle`` interprets the opcodes, ``network_pickle`` holds the fixed list of names that
may occur, ``stored_tensor`` reads the embedded storages, ``published_generator`` checks the result
and builds our network; ``refusal`` is how each of them says no, in one line.
"""
