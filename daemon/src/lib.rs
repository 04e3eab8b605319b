//! The binaries traind and trainctl, settings and the control socket.
