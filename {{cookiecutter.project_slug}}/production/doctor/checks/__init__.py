"""The checks, one module for each area; see :data:`production.doctor.registry.AREAS`."""
