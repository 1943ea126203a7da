"""Configuration: classes for users, views for reactors, parameters for the plant."""
