//! An image that came with another environment's pin is deployed when the environment's own registry has shown it: the pin
//! may have been moved while that could not be read.

use super::{
    environment::Worker,
    load::Snapshot,
    service::{Round, Track},
};
use crate::aws::EcrImage;
use lockstep_core::service::plan::Wait;
use lockstep_manifests::{Desired, render::bind_offline};

/// Seconds between two looks for an image that is not there.
const LOOK_AGAIN: i64 = 60;

impl Worker {
    /// The images of a service that another environment's pin names, by a policy, and that this environment pulls from
    /// another repository. Empty for a state that was deployed.
    pub(super) fn brought_by_others(
        &self,
        snapshot: &Snapshot,
        desired: &Desired,
        hash: &str,
        track: &Track,
    ) -> Vec<EcrImage> {
        if track.machine.has_deployed(hash) || track.shown.as_deref() == Some(hash) {
            return Vec::new();
        }
        let Some(loaded) = snapshot.services.iter().find(|it| it.directory.name == desired.name) else {
            return Vec::new();
        };
        let Some(Ok(rendered)) = loaded.environments.get(&desired.environment) else { return Vec::new() };
        let of_policy = |container: &String| {
            let mut all = loaded.environments.values().flatten();
            all.any(|rendered| rendered.updates.contains_key(container))
        };
        let mut found = Vec::new();
        for (link, pin) in &rendered.pins {
            if *link == desired.environment || !of_policy(&pin.container) {
                continue;
            }
            let Some(image) = EcrImage::of_container(&desired.task_definition, &pin.container) else { continue };
            let there = loaded.environments.get(link).and_then(|result| result.as_ref().ok());
            let there = there.zip(snapshot.repository.environments.get(link));
            let theirs = there.and_then(|(rendered, link)| {
                EcrImage::of_container(&bind_offline(rendered, link).task_definition, &pin.container)
            });
            if theirs.is_none_or(|theirs| place(&theirs) != place(&image)) {
                found.push(image);
            }
        }
        found
    }
}

impl Round<'_> {
    /// What a service has to wait for: that its registry has an image.
    pub(super) async fn image_not_shown(&self, images: &[EcrImage], hash: &str, track: &mut Track) -> Option<Wait> {
        if images.is_empty() {
            return None;
        }
        let now = self.clients.now();
        if let Some((of, at, text)) = &track.not_shown
            && of == hash
            && now - at < LOOK_AGAIN
        {
            return Some(Wait::For(text.clone()));
        }
        for image in images.iter().filter(|image| self.allow.registry(&image.host, &self.ground.environment.account)) {
            let clients = self.context.accounts.clients(&self.ground.environment.account, &image.region).await;
            let name = format!("{}/{}", image.host, image.id.repository);
            let text = match clients.image(&image.id).await {
                Ok(Some(_)) => continue,
                Ok(None) => format!("waiting for the image {}, which {name} does not have yet", image.id.reference),
                Err(error) => {
                    format!("waiting for {name}, which must show the image {} first: {error}", image.id.reference)
                }
            };
            track.not_shown = Some((hash.to_owned(), now, text.clone()));
            return Some(Wait::For(text));
        }
        track.shown = Some(hash.to_owned());
        None
    }
}

/// Where an image is pulled from.
fn place(image: &EcrImage) -> (&str, &str, &str) {
    (&image.id.account, &image.region, &image.id.repository)
}
