//! The binaries traind and trainctl, settings and the control socket.

pub mod cli;
pub mod control;
pub mod exit_code;
pub mod logging;
pub mod node;
pub mod observe;
pub mod ready;
pub mod service;
pub mod settings;
pub mod stop_signal;
pub mod trainctl;
