"""Understands a message: language, intent, sentiment, complaint, severity, urgency.

Flow: text → features (frozen sentence vectors, signs of the surface, hashed n-grams; once for all
heads) → heads (linear, fused, calibrated, with a scope of their own) → labels with confidence.
Training is the same flow with `fitting` in the place of the heads. Imports: bot and knowledge.
"""
