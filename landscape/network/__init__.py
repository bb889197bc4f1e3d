"""Any torch module with a loss and data: its second derivatives, checked, and the way to a critical point."""
