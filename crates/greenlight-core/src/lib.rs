//! The rules: facts, states, decisions, ports.
