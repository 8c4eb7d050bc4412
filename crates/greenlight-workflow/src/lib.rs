//! The language: YAML to workflow, expressions, matrix, filters, findings.
