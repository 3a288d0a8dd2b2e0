"""What the stages do (verbs) and what a user chooses between (nouns); see docs/design.md."""
