"""Result lines: written, read, kept by the project, summed up over seeds, set beside published values."""
