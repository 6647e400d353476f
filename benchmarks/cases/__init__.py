"""What is measured, a module each: ``NAME``, ``run`` and a docstring whose first line says what."""
