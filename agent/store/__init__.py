"""Durable memory: journal and tables in one encrypted SQLite file, written by one thread."""
