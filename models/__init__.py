"""Language models: what turns turns into text. Knows no chat platform and no documents."""
