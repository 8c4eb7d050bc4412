//! A GitHub of our own: a model, and its HTTP and git in front.
