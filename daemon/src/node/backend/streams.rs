//! Answers that come line by line.
