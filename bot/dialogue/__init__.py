"""What to do with a message: language, intent by rule, policy and stand-alone questions."""
