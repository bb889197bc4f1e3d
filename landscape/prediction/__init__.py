"""Why collapse is found: starts of any width at the cost of a narrow one, counterfactual starts, and what they predict."""
