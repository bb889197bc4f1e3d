"""The claims one by one, each with a function from nothing to numbers and a verdict that follows from them."""
