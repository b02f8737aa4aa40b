"""What is measured: data set → store → images with classes and splits → vectors of a space."""
