"""One merge method a file."""
