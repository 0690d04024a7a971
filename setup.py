"""A shim for tools that still look for this file; the metadata is in setup.cfg."""

from setuptools import setup

setup()
