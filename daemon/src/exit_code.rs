//! Exit codes, the same numbers in both programs.

/// All went well.
pub const OK: u8 = 0;
/// It failed.
pub const FAILED: u8 = 1;
/// The command line or the job file is wrong.
pub const USAGE: u8 = 2;
/// No daemon answers (as `systemctl`: not active).
pub const NOT_RUNNING: u8 = 3;
/// No such job or node (as `systemctl`: no such unit).
pub const NO_SUCH_OBJECT: u8 = 4;
/// Whoever asks may not, as where the control socket is another group's.
pub const PERMISSION: u8 = 5;
/// Waited in vain.
pub const TIMED_OUT: u8 = 6;
/// The job failed or was cancelled.
pub const JOB_FAILED: u8 = 7;
/// The daemon's settings are wrong: `EX_CONFIG` of sysexits.h.
pub const CONFIG: u8 = 78;
/// Ended by SIGHUP: 128 + 1.
pub const HUNG_UP: u8 = 129;
/// Ended by SIGINT: 128 + 2, as shells say it.
pub const INTERRUPTED: u8 = 130;
/// Ended by SIGTERM: 128 + 15.
pub const TERMINATED: u8 = 143;
