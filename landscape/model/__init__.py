"""What is minimised, and what leaves it unchanged: the loss, its gauge group, a critical point in its smallest form."""
