"""Run an artifact: image in, prediction with its explanation out. No HTTP.

pixels -> preprocess -> padding -> runtime -> explanation; predictor is their face, class_key says
what names a class, golden what an artifact must answer.
"""
