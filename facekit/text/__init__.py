"""Text that people wrote: names that may hold anything, keywords that are misspelt, tables for spreadsheets."""
