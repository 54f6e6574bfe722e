"""Hypothesis strategies of what happens in a shop, and of what should not.

They need the extra ``testing`` (``pip install crdtsync[testing]``).
"""
