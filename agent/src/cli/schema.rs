//! `lockstep schema`: JSON Schemas of all our files, for editors.

use crate::{
    config,
    exit::{Exit, Failure},
    output::{self, Format},
};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct SchemaArgs {
    /// The schema to print: lockstep, service, overlay, component, pins, at, taskdef, servicedef or agent.
    #[arg(value_name = "NAME", conflicts_with = "write")]
    name: Option<String>,
    /// Write all of them into this directory.
    #[arg(long, value_name = "DIRECTORY")]
    write: Option<PathBuf>,
}

const SUFFIX: &str = ".schema.json";

fn all() -> Vec<(&'static str, Value)> {
    let mut all = lockstep_manifests::schema::all();
    all.push(("agent.schema.json", config::schema()));
    all
}

pub(super) fn run(args: &SchemaArgs, format: Format) -> Result<Exit, Failure> {
    let all = all();
    let names: Vec<&str> = all.iter().filter_map(|(file, _)| file.strip_suffix(SUFFIX)).collect();
    if let Some(directory) = &args.write {
        let fail = |error: std::io::Error| {
            Failure::new(Exit::Failed, format!("failed to write into {}: {error}", directory.display()))
        };
        std::fs::create_dir_all(directory).map_err(fail)?;
        for (file, schema) in &all {
            std::fs::write(directory.join(file), format!("{}\n", output::json(schema))).map_err(fail)?;
        }
        let files: Vec<String> = all.iter().map(|(file, _)| directory.join(file).display().to_string()).collect();
        match format {
            Format::Json => output::data(&output::json(&json!({ "files": files }))),
            Format::Text => {
                output::data(&files.join("\n"));
                output::hint(
                    "the first line of a file names its schema: # yaml-language-server: $schema=PATH/service.schema.json",
                );
            }
        }
        return Ok(Exit::Done);
    }
    let Some(name) = &args.name else {
        match format {
            Format::Json => output::data(&output::json(&names)),
            Format::Text => output::data(&names.join("\n")),
        }
        return Ok(Exit::Done);
    };
    match all.iter().find(|(file, _)| file.strip_suffix(SUFFIX) == Some(name)) {
        Some((_, schema)) => {
            output::data(&output::json(schema));
            Ok(Exit::Done)
        }
        None => Err(Failure::new(Exit::Usage, format!("there is no schema `{name}`"))
            .hint(format!("there are {}", names.join(", ")))),
    }
}
