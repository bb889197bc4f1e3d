"""How often a structure will be found, before the descents: counted on reduced starts, or by a formula."""
