"""The back office in the browser: rooms of pages that the relay serves, for the people of its shops.

``office`` is the thread that keeps the views of each shop (``shop``) in step with the relay's log, in files
of their own; pages ask it. ``accounts`` and ``sessions`` say who may come in, ``guard`` what a request must
be. A room is a module ``room_…`` with its routes, and its templates; ``rooms`` lists them.
"""
