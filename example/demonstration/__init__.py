"""How the demonstration is staged: processes, story, report and the expected ends."""
