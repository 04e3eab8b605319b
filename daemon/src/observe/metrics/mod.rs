//! Figures for Prometheus.

mod catalogue;
mod memory;
mod negotiation;
mod render;
mod server;
mod server_error;
mod snapshot;

pub use catalogue::{METRICS, MetricKind, MetricSpec, P2P_PREFIX};
pub use memory::resident_memory_bytes;
pub use render::{render_openmetrics, render_text};
pub use server::{METRICS_CONNECTIONS_MAX, METRICS_REQUEST_BYTES_MAX, MetricsServer};
pub use server_error::MetricsServerError;
pub use snapshot::{JobMetrics, JobWork, MetricsSnapshot, MetricsSource};
