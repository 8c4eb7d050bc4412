//! The outside: webhooks in, reports out.
