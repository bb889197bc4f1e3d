"""Where descent ends and why: prevalence over seeds, basins of attraction, slices of the loss."""
