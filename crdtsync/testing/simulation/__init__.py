"""A shop in a box: the product's own code on simulated machines, in virtual time, from a seed.

``shop`` is the shop itself, for whoever writes histories by hand; ``plan`` draws a day with its faults from a
seed, ``run`` plays it and checks what must hold (``checks``), ``shrink`` makes a failing one smaller.
"""
