"""What users read: reports, explanations, tables and graphs."""
