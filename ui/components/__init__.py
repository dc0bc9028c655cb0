"""Parts of the page that are our own markup: Python, JavaScript and CSS of one part lie side by side."""
