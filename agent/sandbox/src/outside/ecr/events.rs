//! What a registry says of pushes: events of EventBridge, put into a queue of SQS as a rule with that target would.

use serde_json::{Map, json};

use crate::clock::Moment;
use crate::outside::Outside;
use crate::outside::ecr::NewImage;
use crate::outside::sqs::NewMessage;
use crate::place::Place;

impl Outside {
    /// Pushes a made-up image under a tag, which moves. Returns the digest.
    pub(crate) fn push_image(
        &mut self,
        place: &Place,
        repository: &str,
        tag: &str,
        image: &NewImage,
        now: Moment,
    ) -> String {
        let unique = self.ids.uuid();
        let registry = self.registries.entry(place.clone()).or_default();
        let pushed = registry.push(repository, tag, &unique, image, now);
        for digest in &pushed.parts {
            self.announce(place, repository, digest, None, now);
        }
        self.announce(place, repository, &pushed.whole, Some(tag), now);
        pushed.whole
    }

    /// Copies the image of a tag to the same repository of another registry, as replication does. Answers whether it is
    /// there.
    pub(crate) fn replicate_image(
        &mut self,
        from: &Place,
        to: &Place,
        repository: &str,
        tag: &str,
        now: Moment,
    ) -> bool {
        let Some((digest, parts)) = self.registries.get(from).and_then(|registry| registry.copy(repository, tag))
        else {
            return false;
        };
        self.registries.entry(to.clone()).or_default().paste(repository, parts, now);
        self.announce(to, repository, &digest, Some(tag), now);
        true
    }

    /// From now on, pushes in a place are announced in a queue of that place, which is made if need be.
    pub(crate) fn deliver_ecr_events(&mut self, place: &Place, queue: &str, now: Moment) {
        self.queues.entry(place.clone()).or_default().ensure(queue, now);
        self.ecr_events.insert(place.clone(), queue.to_owned());
    }

    /// Announces a pushed manifest, if that is wished for.
    pub(crate) fn announce(&mut self, place: &Place, repository: &str, digest: &str, tag: Option<&str>, now: Moment) {
        let Some(queue) = self.ecr_events.get(place) else {
            return;
        };
        let mut detail = json!({
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": digest,
            "action-type": "PUSH",
        });
        if let Some(tag) = tag {
            detail["image-tag"] = json!(tag);
        }
        let event = json!({
            "version": "0",
            "id": self.ids.uuid(),
            "detail-type": "ECR Image Action",
            "source": "aws.ecr",
            "account": place.account,
            "time": now.iso(),
            "region": place.region,
            "resources": [],
            "detail": detail,
        })
        .to_string();
        // The service sends in its own name.
        let new = NewMessage { body: &event, attributes: Map::new(), sender: "events.amazonaws.com", delay: None };
        self.queues.entry(place.clone()).or_default().ensure(queue, now).send(new, now, &mut self.ids);
    }
}
