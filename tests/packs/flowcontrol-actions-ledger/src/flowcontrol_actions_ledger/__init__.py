"""Books texts, and shows them on a page."""
