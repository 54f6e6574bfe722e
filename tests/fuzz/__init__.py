"""What a stranger, a broken disk or a spreadsheet may hand us: bytes that a fuzzer makes, guided by coverage.

``python -m tests.fuzz.run`` looks for new ones (needs ``requirements/fuzz.txt``), ``test_kept_inputs.py``
plays those that were kept in every run of the suite, with nothing installed beside it.
"""
