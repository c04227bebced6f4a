"""Two groups, channels or periods side by side, with the difference and its interval."""
