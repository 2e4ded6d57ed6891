"""Surgical video in, phases and a report out."""
