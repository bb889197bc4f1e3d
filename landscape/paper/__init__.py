"""What Garrod and Keating (arXiv:2410.23169) claim, checked with numbers computed now, and explanations of what they saw."""
