"""What users would pick instead, each in a folder of its own, all doing the same work; `contract` says what that is."""
