"""What a person sees: plans and results as text, figures, and the generated parts of the README."""
