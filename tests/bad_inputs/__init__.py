"""Bad and strange inputs, made by code, each with the answer that it must get; the table is docs/failures.md too."""
