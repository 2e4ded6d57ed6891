"""The command `import-features`: other programs' features into the layout mstcn."""
