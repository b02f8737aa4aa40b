"""The autoencoder: a representation learnt from the collection itself.

encoder.py     Autoencoder: the encoder whose weights lie in the store; StoreFile: where they are
network.py     the convolutional network: encoder, decoder and, for labels, a head
training.py    train: pictures → weights and the history of the losses; Config, Trained
checkpoint.py  a training as plain arrays, so that a killed one goes on to the same weights
inference.py   Reconstructor: latents and reconstructions of pictures
"""

from __future__ import annotations
