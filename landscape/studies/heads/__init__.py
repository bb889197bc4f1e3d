"""Heads of real networks: the last linear layers and the features below them, as a point of a deep unconstrained features model.

With decay on the features and on every head layer, the loss of any network with that head is the loss of the model at that point.
Setting: Garrod and Keating, arXiv:2410.23169, section 5.
"""
