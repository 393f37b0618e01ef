//! What lives beside ECS: registries, parameters, secrets, scalable targets, alarms, logs, load balancers, queues.
//!
//! ECS reads it while tasks start; nothing here depends on the simulation.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::error::ApiError;
use crate::ids::Ids;
use crate::model::Effect;
use crate::options::Options;
use crate::place::{Caller, Place};
use crate::request::{Paging, Request, page};

pub(crate) mod alarms;
pub(crate) mod balancing;
pub(crate) mod ecr;
pub(crate) mod functions;
pub(crate) mod images;
pub(crate) mod logs;
pub(crate) mod scaling;
pub(crate) mod secrets;
pub(crate) mod sqs;
pub(crate) mod ssm;

/// All neighbours of all places.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) registries: BTreeMap<Place, ecr::Registry>,
    pub(crate) parameters: BTreeMap<Place, ssm::Parameters>,
    pub(crate) secrets: BTreeMap<Place, secrets::Secrets>,
    pub(crate) scaling: BTreeMap<Place, scaling::Targets>,
    pub(crate) alarms: BTreeMap<Place, alarms::Alarms>,
    pub(crate) logs: BTreeMap<Place, logs::Logs>,
    pub(crate) balancing: BTreeMap<Place, balancing::Balancing>,
    pub(crate) queues: BTreeMap<Place, sqs::Queues>,
    /// The queues in which pushes are announced.
    pub(crate) ecr_events: BTreeMap<Place, String>,
    pub(crate) images: images::Rules,
    pub(crate) functions: functions::Functions,
    pub(crate) ids: Ids,
    pub(crate) short_pages: bool,
    /// Where the sandbox listens, as the start of a URL.
    pub(crate) endpoint: String,
}

impl Outside {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            registries: BTreeMap::new(),
            parameters: BTreeMap::new(),
            secrets: BTreeMap::new(),
            scaling: BTreeMap::new(),
            alarms: BTreeMap::new(),
            logs: BTreeMap::new(),
            balancing: BTreeMap::new(),
            queues: BTreeMap::new(),
            ecr_events: BTreeMap::new(),
            functions: functions::Functions::default(),
            images: images::Rules::new(options.auto_create_images),
            ids: Ids::new(options.seed, "outside"),
            short_pages: options.short_pages,
            endpoint: format!("http://{}", options.address),
        }
    }
}

impl Outside {
    /// What ECS did to its neighbours while time passed.
    pub(crate) fn take_effects(&mut self, place: &Place, effects: Vec<Effect>, now: Moment) {
        for effect in effects {
            // What nobody made does not come into being by ECS's use of it; logs do.
            let balancing = self.balancing.get_mut(place);
            match (effect, balancing) {
                (Effect::Log { region, group, stream, line }, _) => {
                    let place = Place::new(&place.account, &region);
                    self.logs.entry(place).or_default().append(&group, &stream, now, &line);
                }
                (Effect::Weights { rule, weights }, Some(balancing)) => {
                    balancing.set_weights(&rule, weights);
                }
                (Effect::Target { group, ip, port, state: Some(state) }, Some(balancing)) => {
                    balancing.set_target(&group, &ip, port, state);
                }
                (Effect::Target { group, ip, port, state: None }, Some(balancing)) => {
                    balancing.remove_target(&group, &ip, port);
                }
                _ => {}
            }
        }
    }
}

/// One call to a neighbour.
pub(crate) struct Call<'a> {
    pub(crate) outside: &'a mut Outside,
    pub(crate) place: &'a Place,
    pub(crate) caller: &'a Caller,
    pub(crate) now: Moment,
    pub(crate) request: Request<'a>,
}

impl Call<'_> {
    /// One page of a list, with the member names of the service at hand.
    pub(crate) fn page<T>(
        &self,
        items: Vec<(String, T)>,
        (token, size): (&str, &str),
        default: usize,
        error: &str,
    ) -> Result<(Vec<T>, Option<String>), ApiError> {
        let size = self.request.count(size).map_or(default, |size| size.max(1) as usize);
        let paging = Paging { token: self.request.text(token), size, short: self.outside.short_pages };
        page(items, &paging).map_err(|_| ApiError::new(error, "The specified nextToken is not valid."))
    }
}
