"""What is tried. Each step is a function of the context that returns an outcome; see ``plan.py``."""
