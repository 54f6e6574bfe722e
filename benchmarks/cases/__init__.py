"""What is measured: one file per case. Each has ``SIZES`` and ``run(bench) -> figures``."""
