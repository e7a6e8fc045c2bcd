"""Pictures as text: DOT, SVG, TikZ, Mermaid."""
