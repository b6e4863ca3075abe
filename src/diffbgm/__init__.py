"""Background music for a finished video."""
