"""The conformance ledger: every operation against its definition in loops, and against what calculus demands of it.

`jaxcnn verify` runs it. A new operation is one loop in tests/reference (and its gradient), and one entry in
`jaxcnn.verify.operations`.
"""
