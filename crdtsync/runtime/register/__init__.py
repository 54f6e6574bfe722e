"""The register: what a program that sells holds in its hand, and each thing that it does."""
