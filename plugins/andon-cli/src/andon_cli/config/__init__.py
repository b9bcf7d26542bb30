"""Settings as files have them: where each stands, what is wrong with it, and what is in force."""
