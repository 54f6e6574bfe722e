"""How good are the tests? A small defect is planted in a module, and one of its own tests must fail."""
