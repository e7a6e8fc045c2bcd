"""Mathematics as people write it: names, partial derivatives and formulas, in terminal, pictures, LaTeX and page."""
