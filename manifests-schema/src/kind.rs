//! The kinds of layers, and how strictly what stands in one must match something.

/// What a layer is, which decides the keys that it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// `defaults` of the repository or of an environment.
    Defaults,
    /// A file under `components/`.
    Component,
    /// `service.yaml`.
    Service,
    /// `<environment>.yaml`, or an entry under `environments:`.
    Overlay,
}

/// Where what a layer names (a path to ignore, a container with a policy) must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MustMatch {
    /// Nowhere: many services share it.
    Nowhere,
    /// In one of the service's environments, for the service's own settings.
    Somewhere,
    /// In the environment that it is written for.
    Here,
}

impl LayerKind {
    /// Where what such a layer names must be found.
    pub fn must_match(self) -> MustMatch {
        match self {
            Self::Service => MustMatch::Somewhere,
            Self::Overlay => MustMatch::Here,
            Self::Defaults | Self::Component => MustMatch::Nowhere,
        }
    }
}
