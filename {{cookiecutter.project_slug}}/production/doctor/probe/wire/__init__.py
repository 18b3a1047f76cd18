"""Clients that hide nothing: what a library would repair or try again is what the probe looks for."""
