"""What tests share: tiny checkpoints, studies and results, and how to drive them. No test is in here."""
