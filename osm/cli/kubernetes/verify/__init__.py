"""What `osm verify` judges: step by step, whether one pod can reach another, and at which step it fails.

Pure but for the reading of facts: `result` is how a judgement looks, `config_dump` what an Envoy has, each other module
one question.
"""
