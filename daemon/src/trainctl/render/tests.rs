//! Every answer as text.
