"""The till in a browser: a page that a register serves to its own machine, and to nobody else.

``app`` is the way in (`crdtsync till`). One thread, the ``counter``, has the register; pages ask it
(``desk``). Baskets lie on disk before they are shown (``shelf``); a sale is "paid" when ``Register.sell`` has
returned.
"""
