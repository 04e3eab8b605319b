//! What the control server asks of the daemon behind it.

use futures::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::api::{ApiError, FollowEvent, Request, Response};

/// Events that wait for one slow follower; then the backend leaves out [`FollowEvent::Progress`], whose next one
/// says the same. A minute of a quick job's events.
pub const FOLLOW_EVENTS_MAX: usize = 256;

/// The daemon, as the control server sees it.
pub trait ControlBackend: Send + Sync + 'static {
    /// Answers one request. Never called with [`Request::JobFollow`] or [`Request::NodeWait`].
    fn handle(&self, request: Request) -> BoxFuture<'static, Result<Response, ApiError>>;

    /// Events of `job` (id, prefix or name): first its present state, last [`FollowEvent::Ended`], which is sent even
    /// to a slow follower. A dropped receiver means that nobody listens any more. The channel has room for
    /// [`FOLLOW_EVENTS_MAX`].
    fn follow_job(&self, job: String) -> BoxFuture<'static, Result<mpsc::Receiver<FollowEvent>, ApiError>>;

    /// A value that changes whenever the list of nodes may have: a node came, went, or changed its role.
    fn nodes_changed(&self) -> watch::Receiver<u64>;
}
