//! End to end: the built program and its parts against the sandbox, moto, registries and Git servers. One binary, because
//! each costs a link and runs alone.

mod at;
mod beside_moto;
mod budgets;
mod chaos;
mod commands;
mod definitions;
mod fleet;
mod following;
mod generated;
mod git_http;
mod git_push;
mod git_ssh_rig;
mod images;
mod images_moto;
mod images_race;
mod judge;
mod kill;
mod kill_git;
mod moto;
mod oci;
mod outcomes;
mod ownership;
mod people;
mod program;
mod rounds;
mod schema;
mod verify;
