"""The statement in the formats of other tools: model card, CycloneDX, SPDX, CSV, Parquet.

Each is a function of one `Snapshot`, so that all say the same: verdict, interval, margin, who
accepted what, and all that was not measured.
"""
