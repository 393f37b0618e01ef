//! The shapes of the ECS API that a manifest speaks.
//!
//! [`types`] holds them as Rust structs, [`shapes`] as tables for validation by path. Both are
//! generated from the service model (see `generate/README.md`). What a value *means* to ECS, its
//! defaults and its list rules, is not here.

pub mod shapes;
pub mod types;

/// A structure of the API and its members.
#[derive(Clone, Copy, Debug)]
pub struct Structure {
    /// Its name in the model; of an operation's input, the name of the Rust struct.
    pub name: &'static str,
    /// Its members, in the model's order.
    pub members: &'static [Member],
}

impl Structure {
    /// The member of this name on the wire.
    pub fn member(&self, name: &str) -> Option<&'static Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// A member of a [`Structure`].
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether ECS refuses a structure without it.
    pub required: bool,
    /// Whether the AWS SDK that this version is built with can send it.
    pub in_sdk: bool,
}

impl Member {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, required: false, in_sdk: true }
    }

    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(crate) const fn not_in_sdk(self) -> Self {
        Self { in_sdk: false, ..self }
    }
}

/// What a member, a list's element or a map's value holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    String,
    /// A text of which the model lists the values. ECS may know more of them than the model.
    Enum(&'static [&'static str]),
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    Long,
    /// A number.
    Double,
    /// True or false.
    Boolean,
    /// Any JSON value.
    Document,
    /// A structure.
    Structure(&'static Structure),
    /// A list of one kind of elements.
    List(&'static Kind),
    /// A map from texts to one kind of values.
    Map(&'static Kind),
}

impl Kind {
    /// The structure that this kind holds, itself or as the element of a list.
    pub fn structure(&self) -> Option<&'static Structure> {
        match self {
            Self::Structure(structure) => Some(structure),
            Self::List(element) => element.structure(),
            _ => None,
        }
    }
}
