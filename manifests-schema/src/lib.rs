//! What a Lockstep manifest is: documents with exact places, layers, substitution and typed checks, from files to what
//! would be sent to ECS. No I/O of its own: files come through [`tree::Tree`], parameters as values.

pub mod arn;
pub mod at;
pub mod budget;
pub mod canonical;
pub mod check;
pub mod codes;
pub mod definition;
pub mod diagnostic;
pub mod ecs;
pub mod edit;
pub mod fields;
mod ignored;
pub mod kind;
pub mod layer;
pub mod listing;
pub mod lists;
pub mod locate;
pub mod membership;
pub mod merge;
pub mod name;
pub mod node;
pub mod parse;
pub mod patch;
pub mod path;
pub mod pins;
pub mod render;
pub mod repository;
pub mod schema;
pub mod service;
pub mod source;
pub mod stack;
pub mod strays;
pub mod substitute;
pub mod sync;
mod template;
pub mod trace;
pub mod tree;
pub mod updates;

pub use diagnostic::{Diagnostic, Severity};
pub use render::{Desired, Rendered};
pub use repository::{Environment, Repository};
pub use service::Service;
pub use sync::{CountRule, Heal, Mode, Narrowing, SyncPolicy};
