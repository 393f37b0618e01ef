//! What helps against an error of AWS.

/// What helps against an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Slower, later.
    Throttled,
    /// A permission.
    Denied,
    /// The credentials: expired, wrong, or none.
    Credentials,
    /// Credentials for another account.
    WrongAccount,
    /// Something that does not exist: a cluster, a service, a parameter.
    NotFound,
    /// ECS refuses the request as it is.
    Refused,
    /// The endpoint does not have the operation.
    Unsupported,
    /// The network, or AWS itself: later.
    Unreachable,
    /// A bug of ours: a report of it.
    Ours,
}
