//! What is presented to a source's server: resolved when the source is opened, and again after whatever failed.

use crate::{
    config::{SourceConfig, resolve_secret},
    git::{Access, Credentials, Location, Remote, SshAccess, SshKey},
    reconcile::Context,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Opens a source's repository with its token.
///
/// # Errors
/// A sentence without the token.
pub async fn open(source: &SourceConfig, state: &Path, context: &Context) -> Result<Remote, String> {
    open_with(source, state, context).await.map(|(remote, _)| remote)
}

/// The same, and what is presented.
pub(super) async fn open_with(
    source: &SourceConfig,
    state: &Path,
    context: &Context,
) -> Result<(Remote, Access), String> {
    let access = resolve(source, context).await?;
    let (location, branch, state) = (source.location.clone(), source.branch.value.clone(), state.to_owned());
    let presented = access.clone();
    let remote = tokio::task::spawn_blocking(move || Remote::open(&location, &branch, &state, access))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    Ok((remote, presented))
}

/// Resolves the credentials again, and presents them from now on where they are new. Answers whether they are.
pub(super) async fn renew(
    source: &SourceConfig,
    context: &Context,
    remote: Arc<Mutex<Remote>>,
    presented: &mut Access,
) -> bool {
    if source.token.is_none() && source.ssh_key.is_none() {
        return false;
    }
    match resolve(source, context).await {
        Ok(access) if access != *presented => {
            *presented = access.clone();
            // Whoever has the repository now is a look or a push, which has a limit; waiting for it is not for this thread.
            let renewed = tokio::task::spawn_blocking(move || {
                remote.lock().unwrap_or_else(PoisonError::into_inner).renew(access);
            });
            if renewed.await.is_err() {
                return false;
            }
            tracing::info!(source = source.id, "the credentials for the repository are new; it is asked again");
            true
        }
        Ok(_) => false,
        Err(reason) => {
            tracing::debug!(source = source.id, reason, "the credentials for the repository cannot be read again");
            false
        }
    }
}

async fn resolve(source: &SourceConfig, context: &Context) -> Result<Access, String> {
    let credentials = match &source.token {
        None => None,
        Some(_) if matches!(source.location, Location::Ssh(_)) => {
            return Err("a token is for https://; ssh:// takes `sshKey`".to_owned());
        }
        Some(token) => {
            if matches!(&source.location, Location::Http(url) if url.starts_with("http://")) {
                return Err("a token is never sent over http://; use https://".to_owned());
            }
            let token = resolve_secret(token, &context.accounts).await?;
            Some(Credentials { username: source.username.clone(), token })
        }
    };
    let ssh = match (&source.location, &source.ssh_key) {
        (Location::Ssh(_), key) => {
            let key = match key {
                None => None,
                Some(secret) => {
                    let text = resolve_secret(secret, &context.accounts).await?;
                    Some(SshKey::parse(&text).map_err(|reason| format!("{secret}: {reason}"))?)
                }
            };
            Some(SshAccess { key, known_hosts: source.known_hosts.clone() })
        }
        _ => None,
    };
    Ok(Access { credentials, authority: source.authority.clone(), ssh, ..Access::default() })
}
